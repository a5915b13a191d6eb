"""The true map goes there and back, has the distortion it is told, and differs from the header as it should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.camera.shipped import load_camera
from etendue.geom.sphere import separation_deg
from etendue.simulate.telescope.spec import DistortionSpec
from etendue.simulate.telescope.true_wcs import true_wcs

from .scene import exposure

CAMERA = load_camera("simcam")
SPEC = DistortionSpec(
    scale_error=1e-3, radial=(0.01, 0.002), decentring=(1e-3, -2e-3), detector_shift_px=2.0, detector_turn_deg=0.02,
    pointing_arcsec=5.0, rotation_deg=0.05, breathing=1e-4,
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(
    detector=st.sampled_from([0, 1]), rotation=st.floats(-180.0, 180.0), x=st.floats(-100.0, 1100.0),
    y=st.floats(-100.0, 1100.0),
)  # fmt: skip
def test_there_and_back(detector, rotation, x, y):
    wcs = true_wcs(CAMERA, CAMERA.detector(detector), exposure(rotation_deg=rotation), SPEC, 7)
    ra, dec = wcs.pixel_to_sky(x=x, y=y)
    back = wcs.sky_to_pixel(ra_deg=ra, dec_deg=dec)
    assert float(back[0]) == pytest.approx(x, abs=1e-6)
    assert float(back[1]) == pytest.approx(y, abs=1e-6)


def test_without_distortion_it_is_what_headers_say():
    wcs = true_wcs(CAMERA, CAMERA.detector(0), exposure(rotation_deg=30.0), None, 1)
    ra, dec = wcs.pixel_to_sky(x=np.array([500.0, 500.0]), y=np.array([500.0, 600.0]))
    east, north = (ra[1] - ra[0]) * np.cos(np.radians(dec[0])), dec[1] - dec[0]
    assert np.degrees(np.arctan2(east, north)) == pytest.approx(30.0, abs=0.1)
    assert np.hypot(east, north) * 3600.0 == pytest.approx(50.0, rel=1e-4)


def test_the_jacobian_is_the_derivative():
    wcs = true_wcs(CAMERA, CAMERA.detector(1), exposure(), SPEC, 1)
    matrix = wcs.pixels_per_arcsec(x=np.array([100.0]), y=np.array([900.0]))[0]
    ra, dec = wcs.pixel_to_sky(x=100.0, y=900.0)
    moved = wcs.sky_to_pixel(ra_deg=ra + 2.0 / 3600.0 / np.cos(np.radians(dec)), dec_deg=dec + 1.0 / 3600.0)
    np.testing.assert_allclose([moved[0] - 100.0, moved[1] - 900.0], matrix @ [2.0, 1.0], atol=1e-4)


def test_pointings_scatter_as_told_and_are_fixed_by_the_exposure():
    chip = CAMERA.detector(0)
    first = [true_wcs(CAMERA, chip, exposure(number), SPEC, 1) for number in range(400)]
    off = [3600.0 * float(separation_deg(w.ra_deg, w.dec_deg, 50.0, -30.0)) for w in first]
    assert np.sqrt(np.mean(np.square(off)) / 2.0) == pytest.approx(5.0, rel=0.12)
    assert first[3] == true_wcs(CAMERA, chip, exposure(3), SPEC, 1)
