"""An rgan trained on films for a few minutes, its grid of samples, and its distance to held-out films.

The preset `small-128` with as many images as fit the time: the schedule is measured first and then runs to its end. The
films are those of a store, or of a simulated hospital. Only what the generator has learned is copied to the results:
weights, sample grid and numbers, no list of patients.
"""

import shutil
import tempfile
import time
from pathlib import Path

from generator_quality import rows

from gpu_parts.results import Results, arguments
from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.extractors import load_extractor
from radcommons.gan.recipes import load_settings
from radcommons.gan.training import train
from radcommons.runs.log import read_log
from radcommons.settings import preset_path

TRIAL_SECONDS = 8.0  # of training, to learn how many images a second there are
MARGIN = 0.9  # of the images that the trial promises: the schedule shall end before the clock does
MOST_BYTES = 16_000_000  # of the generator
QUALITY_SECONDS = 60.0  # that the scores may need
TOY = ("resolution=16", "channels={4=8,8=8,16=8}", "noise=[16]")


def open_store(given: Path | None, folder: Path, *, toy: bool) -> Store:
    """The given store, a folder or an archive of one; without it a simulated hospital."""
    if given is None:
        patients, side = (24, 16) if toy else (600, 128)
        ingest_phantoms(folder / "store", patients=patients, site="A", resolution=side, seed=0)
        return Store.open(folder / "store")
    if given.is_dir():
        return Store.open(given)
    shutil.unpack_archive(given, folder / "unpacked")
    return Store.open(next((folder / "unpacked").rglob("store.json")).parent)


def main() -> None:
    options = arguments(__doc__)
    results = Results(options.out / "films.json", options.seconds)
    trial_seconds = min(TRIAL_SECONDS, options.training_seconds / 4)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store = open_store(options.store, folder, toy=options.toy)
        results.note(store=store.name, films={part: len(store.rows(part)) for part in ("train", "val", "test")})
        overrides = TOY if options.toy else ("precision=auto",)
        preset = load_settings(preset_path("train", "small-128"), overrides)

        # ---- a short run, for the speed ----
        begun: list[float] = []  # when the first step was done

        def trial_over() -> bool:
            begun.append(time.monotonic())
            return len(begun) > 20 and begun[-1] - begun[10] > trial_seconds

        train(store, preset, folder / "trial", should_stop=trial_over)
        speed = (len(begun) - 11) * preset.batch_size / (begun[-1] - begun[10])  # type: ignore[attr-defined]
        results.note(trial_images_per_second=speed)

        # ---- the run ----
        seconds = min(options.training_seconds, results.left - QUALITY_SECONDS)
        total = max(200, int(MARGIN * speed * seconds))
        every = {name: max(1, total // 10) for name in ("checkpoint_every", "samples_every", "log_every")}
        settings = preset.model_copy(update={"total_images": total, **every})
        ends = time.monotonic() + seconds
        outcome = train(store, settings, folder / "rgan", should_stop=lambda: time.monotonic() > ends)
        for entry in read_log(folder / "rgan"):
            results.add(entry)
        results.note(
            images_seen=outcome.images_seen,
            of=total,
            finished=outcome.finished,
            training_seconds=outcome.seconds,
            images_per_second=outcome.images_this_call / outcome.seconds,
        )
        samples = sorted((folder / "rgan" / "samples").iterdir())
        if samples:
            shutil.copy(samples[-1], options.out / "films.png")

        # ---- what is kept of it ----
        package = folder / "generator"
        shutil.copytree(folder / "rgan" / "generator", package, ignore=shutil.ignore_patterns("patients.json"))
        archive = Path(shutil.make_archive(str(folder / "packed"), "zip", package))
        results.note(generator_bytes=archive.stat().st_size)
        if archive.stat().st_size <= MOST_BYTES:
            shutil.copy(archive, options.out / "generator.zip")

        # ---- its films beside held-out ones ----
        device = "cpu" if options.toy else "cuda"
        results.note(quality=rows(store, [folder / "rgan"], load_extractor("efficientnet-lite0", device=device)))


if __name__ == "__main__":
    main()
