"""Raw frames are read, written and refused."""

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from etendue.camera.camera import Camera
from etendue.camera.guess import guess_camera
from etendue.camera.raw import RawFrame, read_header, read_pixels, read_raw, write_raw
from etendue.camera.shipped import load_camera
from etendue.errors import InputError


def small_frame(path: Path, **cards: object) -> Path:
    header = fits.Header({"DATE-OBS": "2024-05-06T07:08:09", "EXPTIME": 30.0, "FILTER": "Sloan r"})
    header.update(cards)
    pixels = np.full((40, 50), 1000, dtype=np.uint16)
    pixels[:3, :3] = 16383
    fits.PrimaryHDU(pixels, header).writeto(path)
    return path


def test_a_guessed_camera_reads_its_frame_and_survives_saving(tmp_path: Path) -> None:
    path = small_frame(
        tmp_path / "a.fits",
        TRIMSEC="[5:50,1:40]",
        BIASSEC="[1:4,1:40]",
        GAIN=1.7,
        OBJCTRA="12 00 00",
        OBJCTDEC="-1 30 00",
    )
    camera = guess_camera(path)
    amplifier = camera.detectors[0].amplifiers[0]
    assert amplifier.raw_data.to_list() == [0, 40, 4, 50]
    assert amplifier.raw_serial_overscan is not None
    assert (amplifier.gain, amplifier.saturation) == (1.7, 16383.0)
    assert any("plate scale" in note and "assumed" in note for note in camera.notes)
    assert Camera.from_yaml(camera.to_yaml()) == camera
    info = read_raw(path, camera).info
    assert (info.band, info.ra_deg, info.dec_deg) == ("Sloanr", 180.0, -1.5)


def test_a_guess_without_time_says_so(tmp_path: Path) -> None:
    path = tmp_path / "b.fits"
    fits.PrimaryHDU(np.zeros((4, 4), np.uint16), fits.Header({"EXPTIME": 1.0})).writeto(path)
    with pytest.raises(InputError, match="no time of observation"):
        guess_camera(path)


@pytest.mark.parametrize("suffix", [".fits", ".fits.fz"])
def test_written_frames_are_read_back_exactly(tmp_path: Path, suffix: str) -> None:
    source = small_frame(tmp_path / "a.fits")
    camera = guess_camera(source)
    frame = read_raw(source, camera)
    pixels = np.random.default_rng(1).integers(0, 65536, (40, 50)).astype(np.uint16)
    copy = RawFrame(array=pixels, header=frame.header, detector_id=0, path="", info=frame.info)
    path = tmp_path / f"copy{suffix}"
    write_raw(copy, path)
    back = read_raw(path, camera)
    np.testing.assert_array_equal(back.array, pixels)
    assert back.info.exposure_id == frame.info.exposure_id
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_unusable_files_are_refused_by_name(tmp_path: Path) -> None:
    camera = load_camera("lowell42")
    good = small_frame(tmp_path / "good.fits")
    truncated, text, table = tmp_path / "truncated.fits", tmp_path / "text.fits", tmp_path / "table.fits"
    truncated.write_bytes(good.read_bytes()[:5000])
    text.write_text("not FITS")
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column("a", "E", array=[1.0])])]).writeto(
        table
    )
    for path, words in (
        (truncated, "is cut short: at least 1880 bytes are missing"),
        (text, "is no FITS file"),
        (table, "no two-dimensional image"),
        (tmp_path / "absent.fits", "no such file"),
        (tmp_path, "is a folder"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            read_raw(path, camera)
        assert str(path) in str(caught.value)


def test_a_damaged_compressed_frame_is_refused(tmp_path: Path) -> None:
    source = small_frame(tmp_path / "a.fits")
    frame = read_raw(source, guess_camera(source))
    noise = np.random.default_rng(2).integers(0, 65536, frame.array.shape).astype(np.uint16)
    path = tmp_path / "b.fits.fz"
    write_raw(RawFrame(array=noise, header=frame.header, detector_id=0, path="", info=frame.info), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-4000])
    with pytest.raises(InputError, match="is cut short"):
        read_header(path)
    path.write_bytes(whole[:-6000] + bytes(3000) + whole[-3000:])
    with pytest.raises(InputError, match="no readable FITS"):
        read_raw(path, guess_camera(source))


@pytest.mark.parametrize("missing", [1, 1200])
def test_a_file_that_lacks_only_the_padding_of_its_last_block_is_read(tmp_path: Path, missing: int) -> None:
    path = small_frame(tmp_path / "a.fits")
    path.write_bytes(path.read_bytes()[:-missing])
    assert read_pixels(path)[1].shape == (40, 50)


def test_a_zipped_file_that_is_cut_short_is_refused_by_its_header_already(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(small_frame(tmp_path / "a.fits").read_bytes()))
    assert read_header(path)["EXPTIME"] == 30.0
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="is cut short"):
        read_header(path)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_packed_file_is_read_whatever_it_is_called(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    source = small_frame(tmp_path / "a.fits")
    expected = read_pixels(source)[1]
    path = tmp_path / "packed.fits"
    whole = pack(source.read_bytes())
    path.write_bytes(whole)
    np.testing.assert_array_equal(read_pixels(path)[1], expected)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is cut short"):
        read_header(path)
    path.write_bytes(whole[:10] + bytes(8) + whole[18:])
    with pytest.raises(InputError, match=r"cannot be unpacked|is cut short|is no FITS file"):
        read_header(path)


@pytest.mark.parametrize("kind", ["u1", ">i2", "<i2", "u2", ">i4", "<u4", "i8", ">f4", "<f4", ">f8"])
def test_pixels_of_every_kind_and_byte_order_keep_their_values(tmp_path: Path, kind: str) -> None:
    pixels = np.arange(30 * 8, dtype=np.uint8).reshape(30, 8).astype(kind)
    fits.PrimaryHDU(pixels).writeto(tmp_path / "a.fits")
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.fits")[1], pixels)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_cube_of_one_plane_is_an_image_and_one_of_three_is_refused(tmp_path: Path, compressed: bool) -> None:
    pixels = np.arange(3 * 40 * 50, dtype=np.int16).reshape(3, 40, 50)
    for cube, name in ((pixels[:1], "one.fits"), (pixels, "three.fits")):
        image = fits.CompImageHDU(cube) if compressed else fits.ImageHDU(cube)
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(tmp_path / name)
    header, plane = read_pixels(tmp_path / "one.fits")
    assert (header["NAXIS1"], header["NAXIS2"]) == (50, 40)
    np.testing.assert_array_equal(plane, pixels[0])
    with pytest.raises(InputError, match=r"no two-dimensional image \(got 'shape \(3, 40, 50\)'\)"):
        read_pixels(tmp_path / "three.fits")


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("BZERO   =              '32768'", "BZERO scales no pixels"),
        ("BSCALE  =                    0", "BSCALE scales no pixels"),
        ("BITPIX  =                   13", "BITPIX is 13"),
        ("NAXIS1  =        2147483648000", "is cut short"),
        ("NAXIS2  =                   -5", "its size is negative"),
    ],
)
def test_cards_that_make_no_pixels_are_refused_by_name(tmp_path: Path, card: str, words: str) -> None:
    path = small_frame(tmp_path / "a.fits")
    fits.setval(path, "BSCALE", value=1.0)
    data = path.read_bytes()
    at = data.index(card[:9].encode())
    path.write_bytes(data[:at] + card.ljust(80).encode() + data[at + 80 :])
    for read in (read_header, read_pixels):
        with pytest.raises(InputError, match=words):
            read(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.fits")
    with pytest.raises(InputError, match="is a pipe or device, no FITS file"):
        read_header(tmp_path / "a.fits")


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "a.fits").touch()
    with pytest.raises(InputError, match="is empty; fetch it again"):
        read_header(tmp_path / "a.fits")


def test_a_frame_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    path = small_frame(tmp_path / "a.fits", FILTNAME="VR", UTCSTART="01:02:03", OBSERNO=3)
    with pytest.raises(InputError, match="wrong size"):
        read_raw(path, load_camera("lowell42"))


def test_a_frame_of_no_shipped_camera_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="camera guess"):
        read_raw(small_frame(tmp_path / "a.fits"))


@pytest.mark.realdata
def test_real_lowell_frames_are_read(shared_data: Path) -> None:
    folder = shared_data / "lowell42"
    science = read_raw(folder / "raw" / "20190326.0136.fits.fz")
    assert science.array.shape == (1370, 1432)
    assert science.info.exposure_id == 2019032600136
    assert science.info.wcs is not None
    assert float(science.info.wcs.pixel_scale()) == pytest.approx(1.108, abs=2e-3)
    assert science.info.wcs.tpv is not None
    bias = read_raw(folder / "bias" / "20190326.0005.fits.fz").info  # UTCEND with unpadded seconds
    assert (bias.observation_type, bias.exposure_time_s) == ("bias", 0.0)
    flat = read_raw(folder / "flat" / "20190326.0100.fits.fz").info
    assert (flat.observation_type, flat.physical_filter) == ("flat", "V")


@pytest.mark.realdata
def test_real_microobservatory_frames_are_read(shared_data: Path) -> None:
    paths = sorted((shared_data / "hatp32").glob("*.fz"))
    infos = [read_raw(path).info for path in paths[::20]]
    assert {info.day_obs for info in infos} == {20171220}
    assert [info.exposure_id for info in infos] == sorted({info.exposure_id for info in infos})
    assert all(info.wcs_is_approximate for info in infos)
    assert infos[0].mjd_tai_begin == pytest.approx(58107.065 + 37.0 / 86400.0, abs=1e-3)
    assert guess_camera(paths[0]).detectors[0].amplifiers[0].saturation == 4095.0


@pytest.mark.realdata
def test_a_real_header_has_no_structural_surprises(shared_data: Path) -> None:
    header = read_header(shared_data / "lowell42" / "raw" / "20190326.0132.fits.fz")
    assert header["NAXIS1"] == 1432
    assert "IAP/CN" in header["COMMENT"]
