"""Films for a reader study: real ones from a store's test part, one for each patient, and synthetic ones."""

from pathlib import Path

import cv2
import numpy as np

from radcommons.data.image_set import is_image_set, open_image_set
from radcommons.data.store import Store
from radcommons.errors import SettingRefused
from radcommons.models.generator import Generator
from radcommons.packages.references import local_folder
from radcommons.pool.pool import Pool
from radcommons.pool.settings import PoolSettings
from radcommons.progress import Track, silent
from radcommons.records import sha256_file
from radcommons.seeds import derive, numpy_stream
from radcommons.study.design import StudySettings, StudySource
from radcommons.study.making import Origins
from radcommons.synthetic.reading import SyntheticSet
from radcommons.synthetic.tables import is_complete


def real_films(settings: StudySettings) -> list[np.ndarray]:
    """Films of each block, the practice images first; no patient is shown twice.

    Raises:
        SettingRefused: the test part has too few patients.
        StoreRefused: the store has no films of a block's size.
    """
    store = Store.open(settings.store)
    rows = numpy_stream(settings.seed, "study", "films").permutation(store.rows("test"))
    patients = store.manifest["patient"].to_numpy()[rows]
    rows = rows[np.sort(np.unique(patients, return_index=True)[1])]
    counts = _counts(settings, [block.real for block in settings.block])
    if sum(counts) > len(rows):
        raise SettingRefused(
            f"{settings.store}: the study shows {sum(counts)} real films of different patients, practice included, and "
            f"the test part has {len(rows)} patients; ask for fewer, or import more films"
        )
    parts = np.split(rows, np.cumsum(counts))
    return [store.images(b.resolution)[np.sort(part)] for b, part in zip(settings.block, parts, strict=False)]


def synthetic_films(settings: StudySettings, track: Track = silent) -> tuple[list[np.ndarray], Origins]:
    """Synthetic images of each block, the practice images first, an equal share from every source; and who drew them.

    Raises:
        SettingRefused: a source's images are too small, or too few.
        The errors of a set, a pool or a generator that cannot be opened.
    """
    counts = _counts(settings, [block.synthetic for block in settings.block])
    sources = [_opened(source, settings, track) for source in settings.synthetic]
    for source in sources:
        for block in settings.block:
            if source.side < block.resolution:
                raise SettingRefused(
                    f"{source.name} has images of {source.side} x {source.side} pixels, and a block shows "
                    f"{block.resolution} x {block.resolution}; nothing is enlarged, leave the block out"
                )
    blocks, drawn_by = [], []
    for number, (block, count) in enumerate(zip(settings.block, counts, strict=True)):
        rng = numpy_stream(settings.seed, "study", "synthetic", number)
        shares = [count // len(sources) + (i < count % len(sources)) for i in range(len(sources))]
        drawn = [source.draw(share, number) for source, share in zip(sources, shares, strict=True) if share]
        digests = [digest for _, some in drawn for digest in some]
        order = rng.permutation(count)
        blocks.append(np.concatenate([_shrunk(images, block.resolution) for images, _ in drawn])[order])
        drawn_by.append([digests[i] for i in order])
    return blocks, Origins(tuple(source.origin for source in sources), drawn_by)


def _counts(settings: StudySettings, of_blocks: list[int]) -> list[int]:
    return [of_blocks[0] + settings.practice // 2, *of_blocks[1:]]


class _Once:
    """Random numbers of images of a source that has so many, each given out once."""

    def __init__(self, name: str, count: int, seed: int) -> None:
        self.name, self._count = name, count
        self._left = numpy_stream(seed, "study", "set").permutation(count)

    def take(self, count: int) -> np.ndarray:
        if count > len(self._left):
            raise SettingRefused(f"{self.name} has {self._count} images, and the study needs more; draw more")
        taken, self._left = self._left[:count], self._left[count:]
        return taken


class _Set:
    """Images of a synthetic set."""

    def __init__(self, folder: Path, seed: int, track: Track) -> None:
        self.name = str(folder)
        opened = open_image_set(folder, track=track)
        self.side, self._images = opened.resolution, opened.images
        self.origin = StudySource(kind="set", digest=opened.digest)
        self._drawn_by = SyntheticSet.open(folder).drawn_by() if is_complete(folder) else [None] * len(opened)
        self._rows = _Once(self.name, len(self._images), seed)

    def draw(self, count: int, block: int) -> tuple[np.ndarray, list[str | None]]:
        """The next images, and the digests of their generators."""
        taken = self._rows.take(count)
        return self._images[taken], [self._drawn_by[row] for row in taken]


class _Pool:
    """Some of the images that 'radcommons pool' would write of a specification."""

    def __init__(self, spec: Path, seed: int, track: Track) -> None:
        self.name = str(spec)
        self._pool = Pool(PoolSettings.load(spec), track=track)
        self.side = min(self._pool.resolution, *(generator.resolution for generator in self._pool.generators))
        self.origin = StudySource(kind="pool", digest=sha256_file(spec))
        self._rows = _Once(self.name, len(self._pool), seed)
        self._track = track

    def draw(self, count: int, block: int) -> tuple[np.ndarray, list[str | None]]:
        """The next images, and the digests of their generators."""
        rows = np.sort(self._rows.take(count))
        images = []
        with self._track("Generating", total=count) as advance:
            for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
                for batch in self._pool.batches(int(run[0]), int(run[-1]) + 1):
                    images.append(batch.images)
                    advance(len(batch.images))
        shares = self._pool.plan.shares
        digests = [next(share.generator.digest for share in shares if row < share.stop) for row in rows]
        return np.concatenate(images), list(digests)


class _Generator:
    """Images of a generator, with labels as frequent as in training."""

    def __init__(self, reference: str, seed: int, track: Track) -> None:
        self.name, self._seed, self._track = reference, seed, track
        self._generator = Generator.load(reference, track=track)
        self.side = self._generator.resolution
        self.origin = StudySource(kind="generator", digest=self._generator.digest)

    def draw(self, count: int, block: int) -> tuple[np.ndarray, list[str | None]]:
        """New images, and the digests of their generators."""
        digest = self._generator.digest
        seed = derive(self._seed, "study", digest, block)
        return self._generator.generate(count, seed=seed, track=self._track).images, [digest] * count


def _opened(source: str, settings: StudySettings, track: Track) -> _Set | _Pool | _Generator:
    if source.endswith(".toml"):
        return _Pool(Path(source), settings.seed, track)
    folder = local_folder(source, track)
    return _Set(folder, settings.seed, track) if is_image_set(folder) else _Generator(source, settings.seed, track)


def _shrunk(images: np.ndarray, side: int) -> np.ndarray:
    if images.shape[-1] == side:
        return images
    return np.stack([cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in images])
