"""Raw files of every layout are read frame by frame, and written back as the camera would."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from etendue.camera.camera import Camera
from etendue.camera.frame_file import frame_in, frames_in
from etendue.camera.raw import RawFrame, read_info, read_raw, write_raw, write_raws
from etendue.camera.translate import translate
from etendue.errors import InputError

HEAD = """
name: tiny
plate_scale: 1.0
filters: [{physical_filter: r, band: r}]
header:
  match: {INSTRUME: tiny}
  time: {date: [DATE-OBS]}
  exposure_time: {keywords: [EXPTIME]}
  sequence: {keywords: [SEQNUM]}
  observation_type: {keywords: [KIND]}
  detector: {keywords: [CCDNUM]}
"""
PLAIN = "kinds: {ccd: {amplifiers: {grid: [1, 1], segment: [6, 4], data: '[1:6,1:4]'}}}\n"
SPLIT = """kinds:
  ccd:
    amplifiers: {grid: [2, 1], segment: [3, 4], data: '[1:3,1:4]', extension: "{name}", corners: [LL, LR],
                 stored: as_read}
"""
APART = """kinds:
  ccd:
    amplifiers: {grid: [2, 1], segment: [3, 4], data: '[1:2,1:4]', serial_overscan: '[3:3,1:4]', corners: [LL, LR],
                 extension: [1, 2], overscan_extension: [3, 4]}
"""
TWO = "detectors: [{kind: ccd, columns: [id, name], rows: [[3, N1], [4, N2]]}]\n"
CARDS: dict[str, Any] = {"INSTRUME": "tiny", "DATE-OBS": "2024-05-06T07:08:09", "EXPTIME": 30.0, "SEQNUM": 5,
                         "KIND": "dark"}  # fmt: skip
PIXELS = np.arange(24, dtype=np.uint16).reshape(4, 6)


def camera_of(kind: str, files: str = "") -> Camera:
    return Camera.from_yaml(HEAD + kind + TWO + files)


def raw_of(camera: Camera, detector: int, pixels: np.ndarray = PIXELS) -> RawFrame:
    header = CARDS | {"CCDNUM": detector}
    info = translate(header, camera, "made")
    return RawFrame(array=pixels, header=header, detector_id=detector, path="made", info=info)


def write(path: Path, *extensions: tuple[dict[str, Any], np.ndarray], primary: dict[str, Any] = CARDS) -> Path:
    hdus = [fits.PrimaryHDU(header=fits.Header(primary))]
    hdus += [fits.ImageHDU(pixels, fits.Header(cards)) for cards, pixels in extensions]
    fits.HDUList(hdus).writeto(path)
    return path


@pytest.mark.parametrize("suffix", [".fits", ".fits.fz"])
@pytest.mark.parametrize("kind", [PLAIN, SPLIT, APART])
@pytest.mark.parametrize("many", [False, True])
def test_written_frames_of_every_layout_are_read_back_exactly(
    tmp_path: Path, suffix: str, kind: str, many: bool
) -> None:
    if many and kind is APART:
        pytest.skip("extensions by number are those of one detector")
    camera = camera_of(kind, "files: {detectors: many}\n" if many else "")
    frames = [raw_of(camera, 3)] + ([raw_of(camera, 4, PIXELS + 100)] if many else [])
    path = tmp_path / f"a{suffix}"
    write_raws(frames, path, camera)
    found = frames_in(path, camera)
    assert len(found) == len(frames)
    for frame in frames:
        again = read_raw(path, camera, detector=frame.detector_id)
        np.testing.assert_array_equal(again.array, frame.array)
        assert again.array.dtype == frame.array.dtype
        assert repr(again.info) == repr(replace(frame.info, file_name=path.name))  # NaN is not NaN
        assert repr(read_info(path, camera, detector=frame.detector_id)) == repr(again.info)


def test_amplifiers_in_extensions_are_put_where_the_camera_says(tmp_path: Path) -> None:
    left, right = PIXELS[:, :3], PIXELS[:, 3:]
    path = write(
        tmp_path / "a.fits", ({"EXTNAME": "B"}, right), ({"EXTNAME": "A"}, left), primary=CARDS | {"CCDNUM": 4}
    )
    camera = camera_of(SPLIT)
    raw = read_raw(path, camera)
    np.testing.assert_array_equal(raw.array, PIXELS)
    trimmed = camera.detector(4).trim(raw.array)
    np.testing.assert_array_equal(trimmed, np.hstack([left, right[:, ::-1]]))  # B is read from its right corner


def test_overscan_in_extensions_of_its_own_is_joined_to_the_data(tmp_path: Path) -> None:
    data = [np.full((4, 2), k, np.int16) for k in (1, 2)]
    overscan = [np.full((4, 1), k, np.int16) for k in (3, 4)]
    path = write(tmp_path / "a.fits", *(({}, p) for p in (*data, *overscan)), primary=CARDS | {"CCDNUM": 3})
    raw = read_raw(path, camera_of(APART))
    np.testing.assert_array_equal(raw.array, np.tile([1, 1, 3, 4, 2, 2], (4, 1)))  # on the chip, B is mirrored


def test_extensions_of_other_detectors_are_passed_over(tmp_path: Path) -> None:
    camera = camera_of(PLAIN, "files: {detectors: many}\n")
    guider = {"CCDNUM": 63}, np.zeros((2, 2), np.uint16)
    path = write(tmp_path / "a.fits", guider, ({"CCDNUM": 4}, PIXELS), guider)
    (frame,) = frames_in(path, camera)
    assert frame.detector == 4
    np.testing.assert_array_equal(frame.pixels(), PIXELS)
    only_guiders = write(tmp_path / "b.fits", guider)
    with pytest.raises(InputError, match="no frame of a detector of camera tiny"):
        frames_in(only_guiders, camera)


def test_one_of_many_frames_must_be_chosen(tmp_path: Path) -> None:
    camera = camera_of(PLAIN, "files: {detectors: many}\n")
    path = write(tmp_path / "a.fits", ({"CCDNUM": 3}, PIXELS), ({"CCDNUM": 4}, PIXELS + 1))
    with pytest.raises(InputError, match="holds 2 frames of camera tiny; say which detector"):
        read_raw(path, camera)
    assert read_raw(path, camera, detector=4).array[0, 0] == 1
    with pytest.raises(InputError, match=r"no such frame .*detector 7"):
        read_raw(path, camera, detector=7)


@pytest.mark.parametrize(
    ("extensions", "words"),
    [
        ([({"EXTNAME": "A"}, PIXELS[:, :3])], "lacks an extension of an amplifier (got 'B'); it has A"),
        ([({"EXTNAME": "A"}, PIXELS[:, :3]), ({"EXTNAME": "B"}, PIXELS[:, :2])],
         "extension B has the wrong size for detector N1 (got (4, 2)); expected (4, 3)"),
        ([], "holds no image"),
    ],
)  # fmt: skip
def test_a_file_of_another_layout_is_refused_by_name(tmp_path: Path, extensions: list, words: str) -> None:
    path = write(tmp_path / "a.fits", *extensions, primary=CARDS | {"CCDNUM": 3})
    with pytest.raises(InputError) as caught:
        read_raw(path, camera_of(SPLIT))
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


CUBE = "files: {cube: {snaps: 2, gap_s: 2}}\n"


def cube(path: Path, planes: int = 2, **cards: Any) -> Path:
    pixels = np.stack([PIXELS + k for k in range(planes)])
    fits.PrimaryHDU(pixels, fits.Header(CARDS | {"CCDNUM": 3} | cards)).writeto(path)
    return path


def test_planes_of_a_cube_are_exposures_of_one_group(tmp_path: Path) -> None:
    camera = camera_of(PLAIN, CUBE)
    path = cube(tmp_path / "a.fits")
    first, second = (read_info(path, camera, exposure=number) for number in (2024050600010, 2024050600011))
    assert (first.seq, second.seq) == (10, 11)
    assert first.group == second.group == "2024050600010"
    assert second.mjd_tai_begin - first.mjd_tai_begin == pytest.approx(32.0 / 86400.0)
    assert read_raw(path, camera, exposure=2024050600011).array[0, 0] == 1
    with pytest.raises(InputError, match="holds 2 frames"):
        read_raw(path, camera)


def test_an_exposure_time_for_all_planes_is_shared_out(tmp_path: Path) -> None:
    camera = camera_of(PLAIN, "files: {cube: {snaps: 2, exposure_time: total}}\n")
    info = read_info(cube(tmp_path / "a.fits"), camera, exposure=2024050600011)
    assert info.exposure_time_s == 15.0


def test_snaps_without_a_sequence_number_count_seconds(tmp_path: Path) -> None:
    camera = camera_of(PLAIN, CUBE)
    path = cube(tmp_path / "a.fits", SEQNUM="")
    infos = [translate(f.header, camera, path, snap=f.snap) for f in frames_in(path, camera)]
    assert infos[1].seq - infos[0].seq == 32
    assert infos[0].group == infos[1].group


def test_a_cube_that_nobody_described_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = cube(tmp_path / "a.fits")
    with pytest.raises(InputError, match=r"holds no two-dimensional image.*files: cube"):
        read_raw(path, camera_of(PLAIN))
    three = cube(tmp_path / "b.fits", planes=3)
    with pytest.raises(InputError, match="cube of 3 planes, the camera has at most 2"):
        frames_in(three, camera_of(PLAIN, CUBE))


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    camera = camera_of(PLAIN, "files: {detectors: many}\n")
    path = write(tmp_path / "a.fits", ({"CCDNUM": 3}, PIXELS))
    assert frame_in(path, camera, detector=3).pixels()[0, 0] == 0
    path.unlink()
    write(path, ({"CCDNUM": 4}, PIXELS + 9), ({"CCDNUM": 3}, PIXELS + 7))
    assert frame_in(path, camera, detector=3).pixels()[0, 0] == 7


def test_several_frames_go_into_one_file_only_where_the_camera_keeps_them_so(tmp_path: Path) -> None:
    camera = camera_of(PLAIN)
    with pytest.raises(InputError, match="one frame each"):
        write_raws([raw_of(camera, 3), raw_of(camera, 4)], tmp_path / "a.fits", camera)
    write_raw(raw_of(camera, 3), tmp_path / "b.fits")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fits.getheader(tmp_path / "b.fits")["CCDNUM"] == 3
