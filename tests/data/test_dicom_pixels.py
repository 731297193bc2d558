"""Where header and pixels disagree, and what is damaged: read right, or refused with the reason; never taken wrong."""

import subprocess
import sys
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from radcommons.data.dicom_film import read_header
from radcommons.data.pixels import read
from radcommons.errors import ImageRefused

WINDOW = {"WindowCenter": "2000", "WindowWidth": "3000"}
DAMAGED = "image data are truncated or damaged"


def refused(path: Path) -> str:
    with pytest.raises(ImageRefused) as caught:
        read(path)
    return str(caught.value)


def windowed(stored: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip((stored - 1999.5) / 2999 + 0.5, 0, 1))


# --- HighBit ---


@pytest.mark.parametrize("high", range(11, 16))
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless], ids=lambda u: u.keyword)
def test_samples_are_taken_from_below_their_high_bit(write_dicom, film_like, high, signed, syntax):
    """What other bits hold, overlays once, is not read."""
    samples = film_like(12).astype(np.int32) - (2048 if signed else 0)
    below = high - 11
    cells = (samples & 0xFFF) << below | (np.arange(80) % (1 << below)) | (0x8000 if high < 15 else 0)
    cells = cells.astype(np.uint16).view(np.int16 if signed else np.uint16)
    header = {"BitsStored": 12, "HighBit": high, "RescaleSlope": "1", "RescaleIntercept": "2048" if signed else "0"}
    path = write_dicom(cells, bits=16, syntax=syntax, **header, **WINDOW)
    assert np.array_equal(read(path).pixels, windowed(samples + (2048 if signed else 0)))


@pytest.mark.parametrize("high", [10, 16])
def test_an_impossible_high_bit_is_refused(write_dicom, film_like, high):
    assert (
        refused(write_dicom(film_like(12), bits=12, HighBit=high))
        == f"DICOM HighBit is {high} for 12 bits stored in 16"
    )


def test_a_high_bit_above_pixels_that_lie_low_is_refused(write_dicom, film_like):
    path = write_dicom(film_like(12), bits=12, HighBit=15)
    assert refused(path) == "DICOM HighBit is 15, but the pixels are in the lower 12 bits"


# --- header and codestream ---


def encode(name: str, samples: np.ndarray, bits: int) -> bytes:
    if name == "jpeg":
        return imagecodecs.jpeg8_encode(samples, level=98, bitspersample=bits)
    if name == "lossless":
        return imagecodecs.jpeg8_encode(samples, lossless=True, predictor=1, bitspersample=bits)
    if name == "jpeg-ls":
        return imagecodecs.jpegls_encode(samples)
    return imagecodecs.jpeg2k_encode(samples, level=0, reversible=True, codecformat="J2K", bitspersample=bits)


SYNTAX = {
    "jpeg": JPEGBaseline8Bit,
    "lossless": JPEGLosslessSV1,
    "jpeg-ls": JPEGLSLossless,
    "jpeg-2000": JPEG2000Lossless,
}


@pytest.fixture
def packed(write_dicom):
    """Writes a DICOM file whose one frame is `frame`, with a header of its own."""

    def write(frame: bytes, shape: tuple[int, int] = (64, 80), *, kind=np.uint16, bits: int = 12, syntax: str,
              fragments: int = 1, **header: object) -> Path:  # fmt: skip
        data = encapsulate([frame], fragments_per_frame=fragments)
        path = write_dicom(np.zeros(shape, kind), bits=bits, syntax=ExplicitVRLittleEndian, **header)
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = data
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.mark.parametrize("name", ["jpeg", "lossless", "jpeg-ls", "jpeg-2000"])
@pytest.mark.parametrize("bits", [8, 16], ids=["8 bits in 16", "16 bits said, 8 compressed"])
def test_eight_bits_in_sixteen_are_read(packed, film_like, name, bits):
    samples = film_like(8)
    path = packed(encode(name, samples, 8), bits=bits, syntax=SYNTAX[name], WindowCenter="128", WindowWidth="256")
    assert np.abs(read(path).pixels.astype(int) - samples).max() <= (3 if name == "jpeg" else 0)


@pytest.mark.parametrize("name", ["lossless", "jpeg-ls", "jpeg-2000"])
@pytest.mark.parametrize(("bits", "in_stream"), [(12, 12), (12, 16), (16, 16)])
@pytest.mark.parametrize("above", ["zeros", "copies of the sign"])
def test_a_signed_header_over_an_unsigned_stream_is_twos_complement(packed, film_like, name, bits, in_stream, above):
    samples = film_like(bits).astype(np.int32) - 2 ** (bits - 1)
    used = bits if above == "zeros" else in_stream
    stream = encode(name, (samples & (2**used - 1)).astype(np.uint16), in_stream)
    path = packed(stream, kind=np.int16, bits=bits, syntax=SYNTAX[name])
    assert np.array_equal(read(path).pixels, np.rint((samples - samples.min()) / np.ptp(samples) * 255))


def test_a_signed_jpeg_2000_under_a_signed_header_is_read(packed, film_like):
    samples = (film_like(12).astype(np.int32) - 2048).astype(np.int16)
    path = packed(encode("jpeg-2000", samples, 12), kind=np.int16, syntax=JPEG2000Lossless)
    assert np.array_equal(read(path).pixels, np.rint((samples.astype(int) + 2048) / 4095 * 255))


def test_signs_that_cannot_be_told_are_refused(packed, film_like):
    signed = (film_like(12).astype(np.int32) - 2048).astype(np.int16)
    path = packed(encode("jpeg-2000", signed, 12), syntax=JPEG2000Lossless)
    assert refused(path) == "the compressed pixels are signed and the DICOM header says unsigned"
    path = packed(encode("lossless", film_like(12), 12), kind=np.int16, bits=16, syntax=JPEGLosslessSV1)
    assert "12 bits and the DICOM header says 16, signed: their sign is not known" in refused(path)


def test_more_bits_than_the_header_says_are_refused_where_they_are_used(packed, film_like):
    samples = film_like(12)
    same = packed(encode("lossless", samples, 16), syntax=JPEGLosslessSV1, **WINDOW)
    assert np.array_equal(read(same).pixels, windowed(samples))
    more = packed(encode("lossless", film_like(16), 16), syntax=JPEGLosslessSV1)
    assert refused(more) == "the compressed pixels have 16 bits and the DICOM header says 12"
    wide = packed(encode("lossless", samples, 12), kind=np.uint8, bits=8, syntax=JPEGLosslessSV1)
    assert refused(wide) == "the compressed pixels have 12 bits and the DICOM header allocates 8"


def test_cells_compressed_with_their_high_bit_are_aligned(packed, film_like):
    samples = film_like(12)
    path = packed(encode("lossless", samples << 4, 16), HighBit=15, syntax=JPEGLosslessSV1, **WINDOW)
    assert np.array_equal(read(path).pixels, windowed(samples))


@pytest.mark.parametrize("name", ["jpeg", "lossless", "jpeg-ls", "jpeg-2000"])
def test_another_size_or_colour_than_the_header_says_is_refused(packed, film_like, name):
    grey = film_like(8)
    path = packed(encode(name, grey, 8), (80, 64), kind=np.uint8, bits=8, syntax=SYNTAX[name])
    assert refused(path) == "the compressed pixels are 80 x 64 and the DICOM header says 64 x 80"
    colour = encode(name, np.dstack([grey] * 3), 8)
    path = packed(colour, kind=np.uint8, bits=8, syntax=SYNTAX[name])
    assert refused(path) == "colour image: the compressed pixels have 3 components"


@pytest.mark.parametrize("said", SYNTAX)
@pytest.mark.parametrize("name", SYNTAX)
def test_the_stream_decides_which_decoder_reads_it_whatever_the_transfer_syntax_says(packed, film_like, said, name):
    samples = film_like(8)
    path = packed(encode(name, samples, 8), kind=np.uint8, bits=8, syntax=SYNTAX[said], WindowCenter="128",
                  WindowWidth="256")  # fmt: skip
    assert np.abs(read(path).pixels.astype(int) - samples).max() <= (3 if name == "jpeg" else 0)


def test_pixels_that_are_not_compressed_under_a_compressed_syntax_are_refused(write_dicom, film_like):
    path = write_dicom(film_like(8))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0"))
    assert refused(path) == "DICOM transfer syntax says compressed and the pixels are not"


@pytest.mark.parametrize("bits", range(9, 17))
@pytest.mark.parametrize("predictor", range(1, 8))
def test_lossless_jpeg_of_every_depth_and_predictor_gives_the_exact_pixels(packed, film_like, bits, predictor):
    samples = film_like(bits)
    stream = imagecodecs.jpeg8_encode(samples, lossless=True, predictor=predictor, bitspersample=bits)
    path = packed(stream, bits=bits, syntax=JPEGLosslessSV1)
    low, high = int(samples.min()), int(samples.max())
    assert np.array_equal(read(path).pixels, np.rint((samples.astype(int) - low) / (high - low) * 255))


def test_twelve_bit_extended_jpeg_is_read(packed, film_like):
    samples = film_like(12, (200, 200))
    path = packed(encode("jpeg", samples, 12), (200, 200), syntax=JPEGExtended12Bit, **WINDOW)
    assert np.abs(read(path).pixels.astype(int) - windowed(samples)).max() <= 2


# --- damage ---

STREAMS = [("jpeg", 8), ("jpeg", 12), ("lossless", 8), ("lossless", 12), ("lossless", 16), ("jpeg-ls", 8),
           ("jpeg-ls", 16), ("jpeg-2000", 8), ("jpeg-2000", 16)]  # fmt: skip


def noisy(bits: int) -> np.ndarray:
    """A picture with grain, of which every byte counts."""
    rng = np.random.default_rng(3)
    smooth = cv2.GaussianBlur(rng.random((200, 200)), (0, 0), 8)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    top = 2**bits - 1
    return np.clip(np.rint(smooth * top + rng.normal(0, top / 200, smooth.shape)), 0, top).astype(
        np.uint8 if bits == 8 else np.uint16
    )


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(("name", "bits"), STREAMS)
def test_data_cut_in_the_middle_are_refused_with_and_without_an_end_marker(packed, name, bits, kept):
    whole = encode(name, noisy(bits), bits)
    cut = whole[: int(len(whole) * kept)].rstrip(b"\xff")
    kind = np.uint8 if bits == 8 else np.uint16
    zeros = [cut + bytes(500) + b"\xff\xd9"] if kept < 0.99 else []  # as many as are missing may pass for data
    for frame in (cut, cut + b"\xff\xd9", cut + b"\xff\xd9" + bytes(200), *zeros):
        assert refused(packed(frame, (200, 200), kind=kind, bits=bits, syntax=SYNTAX[name])) == DAMAGED


@pytest.mark.parametrize(("name", "bits"), [s for s in STREAMS if s[0] != "jpeg-2000"])
def test_data_with_a_piece_missing_in_the_middle_are_refused(packed, name, bits):
    """The decoder loses its place. JPEG 2000 has no check of its own against this."""
    whole = encode(name, noisy(bits), bits)
    middle = len(whole) // 2
    kind = np.uint8 if bits == 8 else np.uint16
    frame = whole[:middle].rstrip(b"\xff") + whole[middle + 700 :]
    assert DAMAGED in refused(packed(frame, (200, 200), kind=kind, bits=bits, syntax=SYNTAX[name]))


@pytest.mark.parametrize("behind", [bytes(128), bytes(200), b"\xff\xd9" + bytes(30), b"trailing bytes"])
@pytest.mark.parametrize(("name", "bits"), STREAMS)
def test_a_whole_frame_with_padding_behind_it_is_read(packed, name, bits, behind):
    samples = noisy(bits)
    path = packed(encode(name, samples, bits) + behind, (200, 200), kind=samples.dtype, bits=bits, syntax=SYNTAX[name],
                  WindowCenter=str(2 ** (bits - 1)), WindowWidth=str(2**bits))  # fmt: skip
    expected = samples / (2**bits - 1) * 255
    assert np.abs(read(path).pixels - expected).max() <= (4 if name == "jpeg" else 1)


@pytest.mark.parametrize("fragments", [2, 5])
def test_a_frame_in_several_fragments_is_one(packed, film_like, fragments):
    samples = film_like(12)
    path = packed(encode("lossless", samples, 12), syntax=JPEGLosslessSV1, fragments=fragments, **WINDOW)
    assert np.array_equal(read(path).pixels, windowed(samples))


@pytest.mark.parametrize("shape", [(64, 64), (65, 67), (96, 33), (33, 96)])
@pytest.mark.parametrize("bits", [9, 12, 14, 16])
@pytest.mark.parametrize("name", ["jpeg", "lossless"])
def test_no_sound_film_of_more_than_eight_bits_is_called_damaged(packed, film_like, name, bits, shape):
    """Smooth ones too, and ones whose border is of one value, where the last bytes change little."""
    if name == "jpeg" and bits != 12:
        return
    smooth = film_like(bits, shape)
    framed = smooth.copy()
    framed[-20:], framed[:, -20:] = 0, 0
    inverted = (2**bits - 1) - framed
    for samples in (smooth, framed, inverted):
        read(packed(encode(name, samples, bits), shape, bits=bits, syntax=SYNTAX[name]))


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("colour", [False, True])
def test_a_jpeg_file_cut_in_the_middle_is_refused_without_a_line_of_the_decoder(tmp_path, cut, progressive, colour):
    picture = noisy(8)
    picture = np.dstack([picture] * 3) if colour else picture
    content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
    path = tmp_path / "film.jpg"
    path.write_bytes(content[: int(len(content) * cut)] + b"\xff\xd9")
    code = f"from pathlib import Path; from radcommons.data.pixels import read; read(Path({str(path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.stderr.splitlines()[-1].endswith(DAMAGED) and "Corrupt" not in done.stderr
    path.write_bytes(content + bytes(300))
    assert read(path).pixels.shape == (200, 200)


# --- files that are not quite Part 10 ---


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=lambda u: u.keyword)
@pytest.mark.parametrize("lacks", ["preamble", "meta", "syntax"])
def test_a_file_without_preamble_or_transfer_syntax_is_read(write_dicom, film_like, syntax, lacks):
    samples = film_like(12)
    path = write_dicom(samples, bits=12, syntax=syntax, PatientID="P-9", ViewPosition="PA", **WINDOW)
    if lacks == "preamble":
        path.write_bytes(path.read_bytes()[132:])
    elif lacks == "meta":
        content = path.read_bytes()
        length = int.from_bytes(content[140:144], "little")
        path.write_bytes(content[144 + length :])
    else:
        dataset = dcmread(path)
        del dataset.file_meta.TransferSyntaxUID
        dataset.save_as(path, implicit_vr=syntax.is_implicit_VR, little_endian=True, enforce_file_format=False)
    assert read_header(path).patient == "P-9"
    film = read(path)
    assert film.view == "PA" and np.array_equal(film.pixels, windowed(samples))


@pytest.mark.parametrize("content", [b"text", bytes(500), b"\x08\x00" + b"x" * 400, b"\x02\x00\x10\x00UI" + b"x" * 90])
def test_what_is_no_dicom_is_called_so_and_not_damaged(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert read_header(path).refused == "not a DICOM file"


# --- RLE and what headers contradict ---


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_rle_that_lacks_bytes_or_a_segment_is_refused_and_random_bytes_never_crash(packed, film_like, bits):
    samples = film_like(bits, (200, 200))
    kind = samples.dtype
    header = np.zeros(16, "<u4")
    segments = [(samples >> shift & 0xFF).astype(np.uint8).tobytes() for shift in ((8, 0) if bits > 8 else (0,))]
    packed_segments = [imagecodecs.packbits_encode(segment) for segment in segments]
    header[0], at = len(segments), 64
    for number, segment in enumerate(packed_segments, start=1):
        header[number] = at
        at += len(segment)
    whole = header.tobytes() + b"".join(packed_segments)
    how = {"kind": kind, "bits": bits, "syntax": RLELossless}
    low, high = int(samples.min()), int(samples.max())
    expected = np.rint((samples.astype(int) - low) / (high - low) * 255)
    assert np.array_equal(read(packed(whole, (200, 200), **how)).pixels, expected)
    for cut in (10, 63, 64, 100, len(whole) // 2, len(whole) - 50):
        assert refused(packed(whole[:cut], (200, 200), **how)) == DAMAGED
    other = header.copy()
    other[0] = len(segments) + 1
    assert refused(packed(other.tobytes() + whole[64:], (200, 200), **how)) == DAMAGED
    rng = np.random.default_rng(bits)
    for _ in range(30):  # refused or read, never an end of the import
        noise = bytearray(whole)
        for place in rng.integers(0, len(whole), 5):
            noise[place] = int(rng.integers(0, 256))
        try:
            read(packed(bytes(noise), (200, 200), **how))
        except ImageRefused as refusal:
            assert str(refusal)


@pytest.mark.parametrize("spelling", ["monochrome2", "MONOCHROME 2", " MONOCHROME2"])
@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_a_photometric_interpretation_is_known_in_any_case_and_spacing(write_dicom, film_like, spelling):
    samples = film_like(12)
    path = write_dicom(samples, bits=12, PhotometricInterpretation=spelling, **WINDOW)
    assert np.array_equal(read(path).pixels, windowed(samples))


@pytest.mark.parametrize(
    ("photometric", "shape", "taken"),
    [("MONOCHROME1", "INVERSE", True), ("MONOCHROME2", "IDENTITY", True), ("MONOCHROME1", "IDENTITY", False),
     ("MONOCHROME2", "INVERSE", False)],
)  # fmt: skip
def test_a_presentation_shape_that_contradicts_the_photometric_interpretation_is_refused(
    write_dicom, film_like, photometric, shape, taken
):
    path = write_dicom(film_like(12), bits=12, PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    if taken:
        read(path)
    else:
        assert refused(path) == f"DICOM PresentationLUTShape {shape} contradicts {photometric}"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "modality"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.3", "Modality": None}, "modality MG"),
        ({"BodyPartExamined": "CHEST", "SeriesDescription": "HIP AP"}, "contradiction in the body part"),
        ({"ViewPosition": "PA", "SeriesDescription": "SCOUT"}, "scout image"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}, "section"),
    ],
)
def test_a_header_that_speaks_of_another_kind_of_image_somewhere_is_refused(write_dicom, film_like, header, reason):
    assert reason in refused(write_dicom(film_like(12), bits=12, **header))


@pytest.mark.parametrize("header", [{"BodyPartExamined": "CHEST", "SeriesDescription": "Chest PA abdomen seen"},
                                    {"BodyPartExamined": "CHEST", "StudyDescription": "HIP AP"},
                                    {"ImageType": ["DERIVED", "PRIMARY", "POST_PROCESSED"]}])  # fmt: skip
def test_a_header_that_speaks_of_the_chest_too_is_not(write_dicom, film_like, header):
    read(write_dicom(film_like(12), bits=12, **header))


def test_a_png_on_its_side_and_an_image_of_two_levels_are_refused(tmp_path, film_like):
    from PIL import Image

    picture, exif = Image.fromarray(film_like(8)), Image.Exif()
    for orientation, taken in ((1, True), (6, False)):
        exif[0x0112] = orientation
        picture.save(tmp_path / "a.png", exif=exif)
        if taken:
            read(tmp_path / "a.png")
        else:
            assert "rotated or mirrored" in refused(tmp_path / "a.png")
    cv2.imwrite(str(tmp_path / "b.png"), (film_like(8) > 100).astype(np.uint8) * 255)
    assert refused(tmp_path / "b.png") == "image has fewer than 4 grey levels"
