"""Headers of real DECam exposures, as the community pipeline left them beside small cutouts."""

import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.wcs import WCS

from etendue.camera.header_wcs import pointing_wcs
from etendue.camera.raw import read_header
from etendue.camera.shipped import identify_camera, load_camera
from etendue.camera.translate import translate

pytestmark = pytest.mark.realdata
NAME = re.compile(r"c4d_(\d{6})_\d{6}_ooi_(\w)_ls9\.([NS]\d+)\.fits")


def headers(shared_data: Path) -> list[tuple[re.Match[str], dict]]:
    paths = sorted((shared_data / "legacypipe").glob("**/images/decam/CP/**/c4d_*_ooi_*_ls9.*.fits*"))
    assert len(paths) > 10
    return [(match, read_header(path)) for path in paths if (match := NAME.match(path.name))]


def test_real_headers_are_recognised_and_read(shared_data: Path) -> None:
    camera = load_camera("decam")
    for name, header in headers(shared_data):
        assert identify_camera(header) == camera
        info = translate(header, camera, name[0])
        day = f"20{name[1][:2]}-{name[1][2:4]}-{name[1][4:]}"
        assert header["DATE-OBS"].startswith(day)
        assert info.exposure_id % 100_000 == header["EXPNUM"] % 100_000
        assert camera.detector(info.detector_id).name == name[3]
        assert (info.observation_type, info.band) == ("science", name[2])
        assert info.mjd_tai_begin == pytest.approx(header["MJD-OBS"] + 36.5 / 86400.0, abs=2.0 / 86400.0)
        assert info.exposure_time_s == header["EXPTIME"]
        assert info.airmass == pytest.approx(header["AIRMASS"])
        night = np.datetime64(header["DATE-OBS"], "h") - 12
        assert info.day_obs == int(str(night)[:10].replace("-", ""))


def test_the_geometry_puts_real_cutouts_onto_their_ccd(shared_data: Path) -> None:
    """The calibrated WCS of a cutout lies inside the CCD that pointing and focal plane predict, and is not turned."""
    camera = load_camera("decam")
    for name, header in headers(shared_data):
        info = translate(header, camera, name[0])
        start = pointing_wcs(camera, camera.detector(info.detector_id), info.ra_deg, info.dec_deg, 90.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            truth = WCS({key: value for key, value in header.items() if key not in ("COMMENT", "HISTORY", "")})
        ra, dec = truth.all_pix2world([[5.0, 5.0], [35.0, 5.0], [5.0, 35.0]], 0).T
        x, y = (np.asarray(values) for values in start.sky_to_pixel(ra_deg=ra, dec_deg=dec))
        box = camera.detector(info.detector_id).bbox.dilated(60)  # the telescope points to some arcsec
        assert box.x.start <= x[0] < box.x.stop
        assert box.y.start <= y[0] < box.y.stop
        along_x = math.degrees(math.atan2(y[1] - y[0], x[1] - x[0]))
        along_y = math.degrees(math.atan2(x[0] - x[2], y[2] - y[0]))
        assert max(abs(along_x), abs(along_y)) < 0.35
        assert math.hypot(x[1] - x[0], y[1] - y[0]) == pytest.approx(30.0, rel=2e-3)


def test_the_electronics_are_those_of_real_headers(shared_data: Path) -> None:
    """Read noise as its header has it since 2014; gains and full wells there are those of flattened pixels."""
    camera = load_camera("decam")
    for _, header in headers(shared_data):
        for amplifier in camera.detector(int(header["CCDNUM"])).amplifiers:
            noise, gain = header[f"RDNOISE{amplifier.name}"], header[f"GAIN{amplifier.name}"]
            assert amplifier.read_noise == pytest.approx(noise, rel=0.002 if header["EXPNUM"] > 300_000 else 0.1)
            full = amplifier.gain * amplifier.saturation
            assert full == pytest.approx(gain * header[f"SATURAT{amplifier.name}"], rel=0.2)
