import logging
import warnings

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from radcommons.data.dicom_film import read_header
from radcommons.data.pixels import read
from radcommons.data.views import decide
from radcommons.errors import ImageRefused

NATIVE = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
LOSSLESS = [JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless]
ENCAPSULATED = [JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless]
LOSSY = [(JPEGBaseline8Bit, 8), (JPEGExtended12Bit, 12), (JPEGLSNearLossless, 12), (JPEG2000, 12), (JPEG2000, 8)]


def scaled(stored: np.ndarray) -> np.ndarray:
    """Minimum to maximum as 0 to 255, by hand."""
    stored = stored.astype(np.float64)
    return np.rint((stored - stored.min()) / np.ptp(stored) * 255)


def refused(path) -> str:
    with pytest.raises(ImageRefused) as caught:
        read(path)
    return str(caught.value)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("syntax", NATIVE + LOSSLESS, ids=lambda uid: uid.keyword)
def test_lossless_transfer_syntaxes_give_the_exact_pixels(write_dicom, film_like, syntax, bits):
    stored = film_like(bits)
    assert np.array_equal(read(write_dicom(stored, syntax=syntax, bits=bits)).pixels, scaled(stored))


def test_high_throughput_jpeg_2000_gives_the_exact_pixels(write_dicom, film_like):
    stored = film_like(16)
    assert np.array_equal(read(write_dicom(stored, syntax=HTJ2KLossless)).pixels, scaled(stored))


@pytest.mark.parametrize(("syntax", "bits"), LOSSY, ids=lambda value: getattr(value, "keyword", str(value)))
def test_lossy_transfer_syntaxes_give_nearly_the_pixels(write_dicom, film_like, syntax, bits):
    stored = film_like(bits)
    pixels = read(write_dicom(stored, syntax=syntax, bits=bits)).pixels
    assert np.abs(pixels - scaled(stored)).max() <= 4


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_signed_values_are_scaled_from_their_minimum(write_dicom, film_like, bits):
    shifted = film_like(bits).astype(np.int32) - 2 ** (bits - 1)
    stored = shifted.astype(np.int8 if bits == 8 else np.int16)
    assert np.array_equal(read(write_dicom(stored, bits=bits)).pixels, scaled(shifted))


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
@pytest.mark.parametrize("syntax", NATIVE, ids=lambda uid: uid.keyword)
def test_whatever_stands_above_the_stored_bits_counts_nothing(write_dicom, film_like, syntax, kind):
    """PS3.5 8.1.1: overlays of old scanners stand in the unused bits."""
    stored = film_like(12).astype(kind) - kind(2048 if kind is np.int16 else 0)
    rubbish = ((stored & 0x0FFF) | (np.arange(80) % 7 << 12)).astype(kind)
    assert rubbish.max() > stored.max()
    assert np.array_equal(read(write_dicom(rubbish, syntax=syntax, bits=12)).pixels, scaled(stored))


def test_monochrome1_is_inverted(write_dicom, film_like):
    stored = film_like(12)
    plain = read(write_dicom(stored, bits=12)).pixels
    inverted = read(write_dicom(stored, bits=12, PhotometricInterpretation="MONOCHROME1")).pixels
    assert np.array_equal(inverted, 255 - plain)


def by_window(stored, centre, width):
    """PS3.3 C.11.2.1.2.1, by hand."""
    return np.rint(np.clip((stored - (centre - 0.5)) / (width - 1) + 0.5, 0, 1) * 255)


def test_the_first_window_is_used_instead_of_the_minimum_and_maximum(write_dicom, film_like):
    stored = film_like(12)
    path = write_dicom(stored, bits=12, WindowCenter=[2000, 1], WindowWidth=[1001, 2])
    assert np.array_equal(read(path).pixels, by_window(stored.astype(float), 2000, 1001))


def test_the_window_counts_in_rescaled_values(write_dicom, film_like):
    stored = film_like(12)
    path = write_dicom(
        stored, bits=12, RescaleSlope="2", RescaleIntercept="-1024", WindowCenter="2976", WindowWidth="2001"
    )
    assert np.array_equal(read(path).pixels, by_window(stored * 2.0 - 1024, 2976, 2001))


def test_a_negative_slope_turns_the_scale_with_and_without_a_window(write_dicom, film_like):
    stored = film_like(12)
    slope = {"RescaleSlope": "-1", "RescaleIntercept": "4095", "bits": 12}
    assert np.array_equal(read(write_dicom(stored, **slope)).pixels, scaled(4095 - stored.astype(int)))
    windowed = read(write_dicom(stored, WindowCenter=2000, WindowWidth=1001, **slope)).pixels
    dark_first = by_window(4095.0 - stored, 2000, 1001)
    assert np.array_equal(windowed, dark_first)


def test_exact_and_sigmoid_window_functions_are_honoured(write_dicom, film_like):
    stored = film_like(12)
    window = {"WindowCenter": 2000, "WindowWidth": 1000, "bits": 12}
    exact = read(write_dicom(stored, VOILUTFunction="LINEAR_EXACT", **window)).pixels
    assert np.array_equal(exact, np.rint(np.clip((stored - 2000.0) / 1000 + 0.5, 0, 1) * 255))
    sigmoid = read(write_dicom(stored, VOILUTFunction="SIGMOID", **window)).pixels
    assert np.array_equal(sigmoid, np.rint(255 / (1 + np.exp(-4 * (stored - 2000.0) / 1000))))
    narrow = read(write_dicom(stored, VOILUTFunction="SIGMOID", WindowCenter=2000, WindowWidth=1, bits=12)).pixels
    assert set(np.unique(narrow)) >= {0, 255}


def test_an_empty_window_counts_as_none_and_an_impossible_one_is_refused(write_dicom, film_like):
    stored = film_like(12)
    assert np.array_equal(read(write_dicom(stored, bits=12, WindowCenter="", WindowWidth="")).pixels, scaled(stored))
    zero = write_dicom(stored, bits=12, WindowCenter=2000, WindowWidth=0)
    assert refused(zero) == "DICOM window width is 0; it must be 1 or more"
    assert "not both" in refused(write_dicom(stored, bits=12, WindowCenter=2000))
    odd = write_dicom(stored, bits=12, WindowCenter=2000, WindowWidth=9, VOILUTFunction="CUBIC")
    assert "function other than" in refused(odd)
    assert refused(write_dicom(stored, bits=12, WindowCenter=60000, WindowWidth=10)) == "image is blank"


def lut_item(entries: np.ndarray, first: int, bits: int, *, modality: bool = False) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "US", entries.tolist())
    if modality:
        item.ModalityLUTType = "OD"
    return item


def test_a_voi_lookup_table_goes_before_the_window_and_uses_its_own_range(write_dicom, film_like):
    stored = film_like(12)
    curve = np.rint(4095 * (np.arange(4096) / 4095) ** 2).astype(int)  # 12-bit entries, declared as 16 bits
    path = write_dicom(
        stored, bits=12, VOILUTSequence=Sequence([lut_item(curve, 0, 16)]), WindowCenter=1, WindowWidth=2
    )
    assert np.array_equal(read(path).pixels, np.rint(curve[stored] / 4095 * 255))


def test_a_modality_lookup_table_goes_first(write_dicom, film_like):
    stored = film_like(8)
    curve = (np.arange(256)[::-1] * 16).astype(int)
    path = write_dicom(stored, ModalityLUTSequence=Sequence([lut_item(curve, 0, 16, modality=True)]))
    assert np.array_equal(read(path).pixels, 255 - stored)


def test_padding_is_left_out_of_the_scale_and_shown_black(write_dicom, film_like):
    stored = film_like(12) // 2 + np.uint16(1000)
    stored[:, :10] = 4095
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        path = write_dicom(stored, bits=12, PixelPaddingValue=4095, PhotometricInterpretation=photometric)
        pixels = read(path).pixels
        assert pixels[:, :10].max() == 0
        assert pixels[:, 10:].max() == 255
    ranged = write_dicom(stored, bits=12, PixelPaddingValue=4000, PixelPaddingRangeLimit=4095)
    assert read(ranged).pixels[:, :10].max() == 0


def test_a_signed_negative_padding_value_is_recognised(write_dicom, film_like):
    stored = film_like(8).astype(np.int16)
    stored[:5] = -2000
    pixels = read(write_dicom(stored, bits=16, PixelPaddingValue=-2000)).pixels
    assert pixels[:5].max() == 0 and np.array_equal(pixels[5:], scaled(stored[5:]))


def test_the_header_gives_view_age_and_sex(write_dicom, film_like):
    film = read(write_dicom(film_like(), ViewPosition="AP", PatientAge="018M", PatientSex="F"))
    assert (film.view, film.age_years, film.sex) == ("AP", 1.5, "F")
    film = read(write_dicom(film_like(), PatientAge="411Y", PatientSex="O"))
    assert (film.view, film.age_years, film.sex) == (None, None, None)


@pytest.mark.parametrize("view", ["LL", "RL", "LLD", "RLD", "LATERAL"])
def test_a_lateral_view_is_refused(write_dicom, film_like, view):
    path = write_dicom(film_like(), ViewPosition=view)
    reason = "lateral decubitus view" if view.endswith("LD") else "lateral view"
    assert refused(path) == reason
    assert decide(read_header(path).statements).refused == reason


def test_a_film_whose_rows_run_front_to_back_is_lateral(write_dicom, film_like):
    assert refused(write_dicom(film_like(), PatientOrientation=["A", "F"])) == "lateral view"
    assert read(write_dicom(film_like(), PatientOrientation=["L", "F"])).pixels.shape == (64, 80)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "YBR_FULL_422", "PALETTE COLOR", "", None])
def test_colour_is_refused(write_dicom, film_like, photometric):
    assert "colour" in refused(write_dicom(film_like(), PhotometricInterpretation=photometric))
    stored = np.stack([film_like()] * 3)
    assert "colour" in refused(write_dicom(stored, SamplesPerPixel=3, PlanarConfiguration=1))


def test_other_unusable_kinds_are_refused(write_dicom, film_like):
    stored = film_like()
    frames = write_dicom(np.stack([stored, stored]), NumberOfFrames=2)
    assert refused(frames) == "several frames in one file"
    assert refused(write_dicom(stored, PixelData=None)) == "DICOM file has no pixel data"
    assert refused(write_dicom(stored, PixelData=b"")) == "DICOM file has no pixel data"
    assert "8 or 16 bits" in refused(write_dicom(stored.astype(np.uint32)))
    assert "fewer than 8 bits" in refused(write_dicom(stored // 64, bits=2))
    assert refused(write_dicom(np.full_like(stored, 9))) == "image is blank"
    assert refused(write_dicom(stored, BitsAllocated=None)) == "DICOM header lacks BitsAllocated"
    assert refused(write_dicom(stored[:20])).startswith("image is 80 x 20 pixels")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, *LOSSLESS, JPEGBaseline8Bit, JPEG2000], ids=lambda u: u.keyword
)
def test_a_truncated_dicom_file_is_refused(write_dicom, film_like, syntax, kept):
    path = write_dicom(film_like(8, (200, 200)), syntax=syntax, bits=8)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    refused(path)


def test_a_truncated_frame_in_a_whole_file_is_refused(write_dicom, film_like):
    path = write_dicom(film_like(8, (200, 200)), Rows=300)
    assert refused(path) == "DICOM pixels are truncated"


@pytest.mark.parametrize("syntax", [*ENCAPSULATED, JPEGBaseline8Bit, JPEGLSNearLossless], ids=lambda uid: uid.keyword)
def test_a_frame_cut_short_before_it_was_packed_is_refused(write_dicom, film_like, syntax):
    """libjpeg fills what is missing without a word, so the end of the image is looked for."""
    whole = dcmread(write_dicom(film_like(8, (200, 200)), syntax=syntax, bits=8))
    frame = get_frame(whole.PixelData, 0, number_of_frames=1)
    cut = encapsulate([frame[: int(len(frame) * 0.9) // 2 * 2]])
    assert "truncated" in refused(write_dicom(film_like(8, (200, 200)), syntax=syntax, bits=8, PixelData=cut))


def test_a_header_read_needs_no_pixels(write_dicom, film_like):
    path = write_dicom(
        film_like(), PatientID="X9", ViewPosition="PA", PatientAge="050Y", PatientSex="M", PixelData=None
    )
    header = read_header(path)
    assert (header.patient, decide(header.statements).view, header.age_years, header.sex) == ("X9", "PA", 50, "M")
    assert header.uid and header.refused is None
    path.write_bytes(b"text")
    assert read_header(path).refused == "not a DICOM file"
    assert read_header(path.with_name("none")).refused == "image file cannot be opened"


SECRET = "Mustermann47110815"


def test_no_reason_warning_or_log_holds_an_identifier(write_dicom, film_like, caplog, capfd):
    """Invalid header values make pydicom warn with the value in the text; truncation makes it log."""
    caplog.set_level(logging.DEBUG)
    stored = film_like()
    odd = {"PatientName": SECRET, "PatientID": SECRET, "StudyInstanceUID": SECRET, "PatientAge": SECRET[:4]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's own, while this test writes
        paths = [write_dicom(stored, f"{SECRET}{n}.dcm", **odd, **more) for n, more in enumerate((
            {}, {"ViewPosition": "LL"}, {"PhotometricInterpretation": SECRET}, {"Rows": 999}, {"VOILUTFunction": SECRET,
            "WindowCenter": 1, "WindowWidth": 1}, {"syntax": JPEG2000Lossless}, {"syntax": RLELossless},
        ))]  # fmt: skip
    content = paths[-2].read_bytes()
    paths[-2].write_bytes(content[:-200])
    paths[-1].write_bytes(paths[-1].read_bytes()[:300] + SECRET.encode() * 9)
    caplog.clear()
    capfd.readouterr()
    said = []
    for path in paths:
        said.append(str(read_header(path).refused))
        try:
            read(path)
        except ImageRefused as refusal:
            said.append(str(refusal))
            assert (refusal.__cause__ is None and refusal.__suppress_context__) or refusal.__context__ is None
    assert len(said) > len(paths)
    out, err = capfd.readouterr()
    assert SECRET not in "".join(said) + caplog.text + out + err
    assert not caplog.records
