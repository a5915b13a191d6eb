"""Calibrations of any making, for frames without a repository."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from etendue.app.processing.masters import MasterPaths, masters_for
from etendue.camera.camera import Camera
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.raw import RawFrame
from etendue.errors import InputError

SHAPE, TRIMMED = (20, 28), (20, 24)
CAMERA = Camera.from_yaml("""
name: toy
plate_scale: 1.0
filters: [{physical_filter: R, band: R}, {physical_filter: V, band: V}]
detectors:
  - id: 0
    name: A
    raw_shape: [20, 28]
    amplifiers: [{name: A, raw_data: "[1:24,1:20]", bbox: "[1:24,1:20]", raw_serial_overscan: "[25:28,1:20]", gain: 1.0,
                  read_noise: 5.0, saturation: 60000}]
header:
  time: {date: [DATE-OBS]}
  exposure_time: {keywords: [EXPTIME]}
  observation_type: {keywords: [IMAGETYP], values: {bias: bias, dark: dark, flat: flat}}
  physical_filter: {keywords: [FILTER]}
  sequence: {keywords: [SEQ]}
""")


@pytest.fixture
def raw() -> RawFrame:
    info = ObservationInfo(
        instrument="toy", detector_id=0, exposure_id=1, day_obs=20200101, seq=1, physical_filter="R",
        observation_type="science", exposure_time_s=60.0, mjd_tai_begin=5e4, mjd_tai_end=5e4,
    )  # fmt: skip
    return RawFrame(array=np.zeros(SHAPE), header={}, detector_id=0, path="raw.fits", info=info)


def write(path, pixels, **cards):
    header = fits.Header({"DATE-OBS": "2020-01-01T00:00:00", "EXPTIME": 60.0, "FILTER": "R", "SEQ": 1, **cards})
    path.parent.mkdir(exist_ok=True)
    fits.PrimaryHDU(np.asarray(pixels, np.float32), header).writeto(path)
    return str(path)


def level(exposure):
    return float(np.median(exposure.image.array))


def test_a_trimmed_master_is_taken_as_it_is_and_a_raw_one_without_its_overscan(raw, tmp_path):
    trimmed = write(tmp_path / "trimmed.fits", np.full(TRIMMED, 7.0))
    whole = np.full(SHAPE, 1000.0)
    whole[:, :24] += 7.0
    untrimmed = write(tmp_path / "whole.fits", whole)
    for path in (trimmed, untrimmed):
        bias = masters_for(raw, CAMERA, MasterPaths(bias=path)).bias
        assert bias.image.array.shape == TRIMMED
        assert level(bias) == pytest.approx(7.0)


def test_a_dark_is_scaled_to_the_exposure_time_when_the_bias_is_known(raw, tmp_path):
    bias = write(tmp_path / "bias.fits", np.full(TRIMMED, 7.0))
    dark = write(tmp_path / "dark.fits", np.full(TRIMMED, 27.0), EXPTIME=120.0)
    both = masters_for(raw, CAMERA, MasterPaths(bias=bias, dark=dark)).bias
    assert level(both) == pytest.approx(7.0 + 20.0 * 60.0 / 120.0)


def test_a_dark_alone_must_be_of_the_same_time(raw, tmp_path):
    same = write(tmp_path / "same.fits", np.full(TRIMMED, 27.0), EXPTIME=60.5)
    assert level(masters_for(raw, CAMERA, MasterPaths(dark=same)).bias) == pytest.approx(27.0)
    longer = write(tmp_path / "longer.fits", np.full(TRIMMED, 27.0), EXPTIME=120.0)
    with pytest.raises(InputError, match=r"120 s, the frame for 60 s.*give --bias"):
        masters_for(raw, CAMERA, MasterPaths(dark=longer))


def test_a_dark_without_exposure_time_is_refused(raw, tmp_path):
    bias = write(tmp_path / "bias.fits", np.full(TRIMMED, 7.0))
    dark = write(tmp_path / "dark.fits", np.full(TRIMMED, 27.0), EXPTIME=0.0)
    with pytest.raises(InputError, match="no exposure time"):
        masters_for(raw, CAMERA, MasterPaths(bias=bias, dark=dark))


def test_darks_in_a_folder_are_averaged_without_outliers(raw, tmp_path):
    bias = write(tmp_path / "bias.fits", np.zeros(TRIMMED))
    rng = np.random.default_rng(1)
    for k in range(5):
        pixels = np.full(SHAPE, 1000.0)
        pixels[:, :24] += 40.0 + rng.normal(0.0, 1.0, TRIMMED)
        pixels[3, k] += 5000.0
        write(tmp_path / "darks" / f"{k}.fits", pixels, IMAGETYP="dark", EXPTIME=60.0, SEQ=k)
    dark = masters_for(raw, CAMERA, MasterPaths(bias=bias, dark=str(tmp_path / "darks"))).bias
    assert np.abs(dark.image.array - 40.0).max() < 5.0
    write(tmp_path / "darks" / "odd.fits", np.full(SHAPE, 1000.0), IMAGETYP="dark", EXPTIME=10.0, SEQ=9)
    other = masters_for(replace(raw), CAMERA, MasterPaths(dark=str(tmp_path / "darks")))
    assert other is not None  # the folder was read before


def test_darks_of_several_times_are_refused(raw, tmp_path):
    for k, seconds in enumerate((60.0, 60.0, 10.0)):
        write(tmp_path / "darks" / f"{k}.fits", np.full(SHAPE, 1000.0), IMAGETYP="dark", EXPTIME=seconds, SEQ=k)
    with pytest.raises(InputError, match="one folder per time"):
        masters_for(raw, CAMERA, MasterPaths(dark=str(tmp_path / "darks")))


def test_a_flat_in_counts_loses_its_bias_and_is_normalised(raw, tmp_path):
    bias = write(tmp_path / "bias.fits", np.full(TRIMMED, 1000.0))
    light = np.full(TRIMMED, 20000.0)
    light[:, :6] *= 0.9
    flat = write(tmp_path / "flat.fits", light + 1000.0)
    response = masters_for(raw, CAMERA, MasterPaths(bias=bias, flat=flat)).flat
    assert level(response) == pytest.approx(1.0)
    assert response.image.array[3, 2] == pytest.approx(0.9, rel=1e-5)
    assert response.physical_filter == "R"


def test_a_normalised_flat_keeps_its_values_and_an_empty_one_is_refused(raw, tmp_path):
    bias = write(tmp_path / "bias.fits", np.full(TRIMMED, 1000.0))
    flat = write(tmp_path / "flat.fits", np.full(TRIMMED, 1.0))
    assert level(masters_for(raw, CAMERA, MasterPaths(bias=bias, flat=flat)).flat) == pytest.approx(1.0)
    dark = write(tmp_path / "empty.fits", np.zeros(TRIMMED))
    with pytest.raises(InputError, match="no light"):
        masters_for(raw, CAMERA, MasterPaths(flat=dark))


def test_a_folder_of_flats_gives_those_of_the_frame_s_filter(raw, tmp_path):
    for k in range(4):
        pixels = np.full(SHAPE, 1000.0)
        pixels[:, :24] += 20000.0 + 500.0 * k
        write(tmp_path / "flats" / f"{k}.fits", pixels, IMAGETYP="flat", FILTER="R", SEQ=k)
    write(tmp_path / "flats" / "v.fits", np.full(SHAPE, 1000.0), IMAGETYP="flat", FILTER="V", SEQ=9)
    flat = masters_for(raw, CAMERA, MasterPaths(flat=str(tmp_path / "flats"))).flat
    assert flat.physical_filter == "R"
    assert flat.metadata["n_frames"] == 4
    blue = replace(raw, info=replace(raw.info, physical_filter="B"))
    with pytest.raises(InputError, match=r"no flat of the frame's filter.*R, V"):
        masters_for(blue, CAMERA, MasterPaths(flat=str(tmp_path / "flats")))


def test_sizes_and_paths_are_checked(raw, tmp_path):
    small = write(tmp_path / "small.fits", np.zeros((5, 5)))
    with pytest.raises(InputError, match="wrong size"):
        masters_for(raw, CAMERA, MasterPaths(bias=small))
    with pytest.raises(InputError, match="No such file"):
        masters_for(raw, CAMERA, MasterPaths(bias=str(tmp_path / "absent.fits")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no bias frame"):
        masters_for(raw, CAMERA, MasterPaths(bias=str(tmp_path / "empty")))
