"""Does anything but the picture tell a reader's browser which images are synthetic? A classifier looks for it."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_:/="
EXIF = b"eXIfMM\0*\0\0\0\x08"
NOTE = len(EXIF[4:]).to_bytes(4) + EXIF + crc32(EXIF).to_bytes(4)  # a chunk of a PNG file
LEVEL = 0.999  # of the interval: a study that tells nothing fails once in a thousand runs
pytestmark = pytest.mark.slow


def chunks(content: bytes) -> list[bytes]:
    """The kinds of chunks of a PNG file, e.g. pixels, EXIF, words."""
    kinds, at = [], 8
    while at < len(content) and kinds[-1:] != [b"IEND"]:
        kinds.append(content[at + 4 : at + 8])
        at += 12 + int.from_bytes(content[at : at + 4])
    return kinds


def seen_by_the_browser(browser: Any, images: int) -> np.ndarray:
    """One row for each image in the reader's order: all that comes before the answer, but for the picture."""
    rows: list[list[float]] = []
    words: dict[str, int] = {}
    step = browser.ask("go").json()
    for position in range(images):
        started = time.perf_counter()
        image = browser.client.get(step["image"])
        loaded = time.perf_counter()
        shown = browser.ask("shown", position=position, scale=2)
        reported = time.perf_counter()
        assert image.status_code == shown.status_code == 200
        headers = sorted(f"{name}: {value}" for name, value in image.headers.items())
        letters = Counter(step["image"])
        told = [value for value in step.values() if isinstance(value, (bool, int, float))]
        rows.append(
            [
                *(letters[letter] for letter in CHARACTERS),
                *(CHARACTERS.find(letter) for letter in step["image"][-12:]),
                *map(float, told),
                len(image.content),
                words.setdefault(str(chunks(image.content)), len(words)),
                len(headers),
                sum(map(len, headers)),
                *(words.setdefault(header, len(words)) for header in (headers * 8)[:8]),
                len(shown.content),
                loaded - started,
                reported - loaded,
                position,
            ]
        )
        started = time.perf_counter()
        step = browser.ask("answer", position=position, answer="real").json()
        rows[-1].append(time.perf_counter() - started)
    found = np.array(rows)
    found[1:, -1] = found[:-1, -1]  # the time of an answer is known before the next image, not before its own
    return found


def area_under_roc(features: np.ndarray, synthetic: np.ndarray) -> tuple[float, float]:
    """Interval of the area under the ROC curve of a classifier that has not seen the image it judges."""
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    model = GradientBoostingClassifier(n_estimators=60, max_depth=3, random_state=0)
    scores = cross_val_predict(model, features, synthetic, cv=folds, method="predict_proba")[:, 1]
    theirs, ours = scores[synthetic == 1], scores[synthetic == 0]
    beaten = np.greater.outer(theirs, ours) + np.equal.outer(theirs, ours) / 2
    rng = np.random.default_rng(0)
    times_drawn = [rng.multinomial(n, np.full(n, 1 / n), 2000) for n in beaten.shape]
    areas = ((times_drawn[0] @ beaten) * times_drawn[1]).sum(1) / beaten.size
    low, high = np.quantile(areas, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def interval(study: Any, browser: Any) -> tuple[float, float]:
    order = study.order(browser.reader.pk)
    synthetic = np.array([image.truth == "synthetic" for image in order])
    return area_under_roc(seen_by_the_browser(browser, len(order)), synthetic.astype(int))


def test_nothing_that_a_browser_sees_before_the_answer_tells_real_from_synthetic(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    study = serve_study(sizes=(16,), each=300, practice=0, seconds=None)
    low, high = interval(study, reader())
    assert low < 0.5 < high, f"the area under the ROC curve is {low:.3f} to {high:.3f}"


@pytest.mark.parametrize("tell", ["one byte", "a note", "the address", "a header", "ten milliseconds", "the order"])
def test_a_planted_tell_is_found(
    serve_study: Callable[..., Any], reader: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tell: str
) -> None:
    from radcommons.study import readers, reading

    study = serve_study(sizes=(16,), each=75 if tell == "ten milliseconds" else 50, practice=0, seconds=None)
    if tell in ("one byte", "a note"):
        for image in study.images:
            if image.truth == "synthetic":
                content = study.path(image).read_bytes()
                told = content + b"\0" if tell == "one byte" else (content[:33] + NOTE + content[33:])[: len(content)]
                study.path(image).write_bytes(told)
    elif tell == "the address":
        address = reading.Reading._address
        monkeypatch.setattr(
            reading.Reading,
            "_address",
            lambda way, n: address(way, n) + "?v=2" * (way.order[n].truth == "synthetic"),
        )
    elif tell == "the order":
        monkeypatch.setattr(reading, "order_of", lambda reader: study.images)
        monkeypatch.setattr(type(study), "order", lambda self, reader: list(study.images))
    else:
        answer, served = readers.HttpResponse, reading.Reading.image
        synthetic = []

        def image(self: Any, position: int) -> Any:
            synthetic.append(self.order[position].truth == "synthetic")
            if tell == "ten milliseconds" and synthetic[-1]:
                time.sleep(0.01)
            return served(self, position)

        def response(*arguments: Any, **named: Any) -> Any:
            made = answer(*arguments, **named)
            if tell == "a header" and synthetic[-1]:
                made["X-Cache"] = "HIT"
            return made

        monkeypatch.setattr(reading.Reading, "image", image)
        monkeypatch.setattr(readers, "HttpResponse", response)
    low, _ = interval(study, reader())
    assert low > 0.5, f"the tell was missed: the area under the ROC curve is {low:.3f} or more"
