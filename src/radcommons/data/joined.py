"""Several stores as one: for experiments that ask what hospitals would reach if all films lay in one place."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from radcommons.data.listing import PARTS
from radcommons.data.store import Store, images_file, manifest_file
from radcommons.errors import SettingRefused
from radcommons.files import whole_folder
from radcommons.records import StoreRecord, sha256_file

DESCRIBED = ("image_id", "patient", "split", "view", "age", "sex")
DIGESTS = ("sha256", "stored_sha256")


def joined_manifest(stores: Sequence[Store]) -> pl.DataFrame:
    """The entries of all films, store after store, with the findings that every store labels.

    Raises:
        SettingRefused: they have no finding in common, or a patient is in the training part of one store and in
            another part of another.
    """
    findings = _common_findings(stores)
    if not findings:
        raise SettingRefused(f"{', '.join(str(store.path) for store in stores)} have no finding in common")
    columns = (*DESCRIBED, *findings, *DIGESTS)
    table = pl.concat([store.manifest.select(columns) for store in stores]).with_row_index("row")
    of_training = set(table.filter(pl.col("split") == "train")["patient"])
    if both := of_training & set(table.filter(pl.col("split") != "train")["patient"]):
        raise SettingRefused(
            f"{len(both)} patients are in the training part of one store and in the test or validation part of "
            "another; import both sites into one store"
        )
    return table.with_columns(pl.col("row").cast(pl.Int64))


def join_stores(stores: Sequence[Store], out: Path, *, resolution: int) -> Store:
    """Write one store with the films of all, at all sides up to `resolution`; raises as `joined_manifest` does."""
    table, first = joined_manifest(stores), stores[0].record
    sides = tuple(side for side in stores[0].resolutions if side <= resolution)
    with whole_folder(out) as new:
        for side in sides:
            np.save(images_file(new, side), np.concatenate([store.images(side) for store in stores]))
        parquet = io.BytesIO()  # polars takes no path that is not UTF-8
        table.write_parquet(parquet)
        manifest_file(new).write_bytes(parquet.getvalue())
        keys = {store.record.key_fingerprint for store in stores}
        record = StoreRecord(
            name=" + ".join(store.name for store in stores),
            source=" + ".join(dict.fromkeys(store.record.source for store in stores)),
            findings=_common_findings(stores),
            resolutions=sides,
            label_policy=first.label_policy,
            fit=first.fit,
            images=len(table),
            patients=table["patient"].n_unique(),
            rejected=0,
            absent=0,
            upsampled=sum(store.record.upsampled for store in stores),
            split={part: int((table["split"] == part).sum()) for part in PARTS},
            split_salt=first.split_salt,
            request_sha256="",
            manifest_sha256=sha256_file(manifest_file(new)),
            key_fingerprint=keys.pop() if len(keys) == 1 else None,
        )
        (new / "store.json").write_text(record.to_json(), encoding="utf-8")
    return Store.open(out)


def _common_findings(stores: Sequence[Store]) -> tuple[str, ...]:
    return tuple(f for f in stores[0].findings if all(f in store.findings for store in stores))
