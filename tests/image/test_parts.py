import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.polynomial import Polynomial2D
from etendue.image.aperture_correction import ApertureCorrection, corrections_from_states
from etendue.image.background import Background
from etendue.image.defects import Defects
from etendue.image.noise import NoiseAutocorrelation
from etendue.image.photo_calib import PhotoCalib, mag_to_njy, njy_to_mag
from etendue.image.valid_polygon import Polygon
from etendue.image.visit_info import VisitInfo

SMOOTH = {"spatial": Polynomial2D([[1.0, 0.1], [0.2, 0.0]]), "center": (50.0, 60.0), "half_size": 100.0}


def through_json(part):
    return type(part).from_dict(json.loads(json.dumps(part.to_dict(), allow_nan=False)))


def test_zero_points_are_ab_magnitudes_of_one_unit():
    calib = PhotoCalib.from_zero_point(25.0, 0.02, kind="absolute")
    assert_allclose((calib.zero_point_mag, calib.zero_point_err_mag), (25.0, 0.02))
    flux, err = calib.to_njy([1.0, 100.0], [0.1, 1.0])
    assert_allclose(njy_to_mag(flux), [25.0, 20.0])
    assert_allclose(err / flux, [0.1, 0.01])
    assert_allclose(mag_to_njy(31.4), 1.0)
    assert np.isnan(njy_to_mag([0.0, -1.0])).all()


def test_varying_scales_need_positions():
    calib = PhotoCalib(scale=2.0, **SMOOTH)
    assert_allclose(calib.to_njy([1.0, 1.0], [1.0, 1.0], x=[50.0, 150.0], y=[60.0, 60.0])[0], [2.0, 2.4])
    with pytest.raises(InputError, match="x="):
        calib.to_njy([1.0], [1.0])
    assert through_json(calib) == calib != PhotoCalib(scale=2.0)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_scales_must_be_positive(scale):
    with pytest.raises(InputError, match="positive"):
        PhotoCalib(scale=scale)


def test_corrections_of_old_files_are_found_by_their_aperture():
    state = ApertureCorrection(value=1.1).to_dict()
    found = corrections_from_states([(6.0, state), (4.5, state), ("kronFlux", state)])
    assert sorted(found) == ["ap04p5Flux", "ap06Flux", "kronFlux"]


def test_aperture_corrections_follow_their_polynomial():
    correction = ApertureCorrection(value=1.1, err=0.01, **SMOOTH)
    assert_allclose(correction.at(x=[50.0, 50.0], y=[60.0, 160.0]), [1.1, 1.21])
    assert through_json(correction).to_dict() == correction.to_dict()
    assert_array_equal(ApertureCorrection(value=1.1).at(x=[1, 2], y=0), [1.1, 1.1])


@pytest.mark.parametrize("interpolation", ["spline", "linear"])
def test_backgrounds_reproduce_planes(interpolation):
    box = Box.from_shape((100, 130), y0=7, x0=-9)
    y, x = np.mgrid[7:107, -9:121]
    centers_y = np.array([7 + 15.5, 7 + 47.5, 7 + 79.5, 7 + 97.5])
    centers_x = np.array([-9 + 15.5, -9 + 47.5, -9 + 79.5, -9 + 111.5, -9 + 128.5])
    values = 3.0 + 0.1 * centers_y[:, None] - 0.2 * centers_x[None, :]
    background = Background(values, box, 32, interpolation)
    assert_allclose(background.image().array, 3.0 + 0.1 * y - 0.2 * x, atol=1e-4)
    part = Box.from_list([20, 40, 0, 50])
    assert_allclose(background.image(part).array, background.image().subset(part).array, atol=1e-5)
    assert_allclose(background.at(x=[0.0, 5.5], y=[20.0, 100.0]), [5.0, 11.9], atol=1e-4)
    assert_array_equal(through_json(background).values, background.values)


def test_constant_backgrounds_are_constant():
    assert (Background.constant(Box.from_shape((3, 5)), 4.0).image().array == 4.0).all()


def test_bad_background_grids_are_refused():
    box = Box.from_shape((64, 64))
    with pytest.raises(InputError, match=r"\(3, 2\).*\(2, 2\)"):
        Background(np.zeros((3, 2)), box, 32)
    with pytest.raises(InputError, match="not finite"):
        Background(np.full((2, 2), np.nan), box, 32)


def test_noise_factor_is_the_variance_of_a_weighted_sum():
    rng = np.random.default_rng(11)
    kernel = np.array([[0.1, 0.3, 0.0], [0.2, 1.0, 0.4], [0.0, 0.1, 0.0]])
    noise, weights = NoiseAutocorrelation.from_filter(kernel), rng.uniform(0, 1, (7, 7))
    # Slow definition: the filter makes the pixels; a weighted sum is a sum over the white noise.
    on_white = np.zeros((9, 9))
    for j in range(7):
        for i in range(7):
            on_white[j : j + 3, i : i + 3] += weights[j, i] * kernel
    expected = (on_white**2).sum() / (kernel**2).sum() / (weights**2).sum()
    assert_allclose(noise.flux_variance_factor(weights), expected, rtol=1e-10)


def test_white_noise_changes_nothing():
    assert NoiseAutocorrelation.white().flux_variance_factor(np.ones((3, 3))) == 1.0
    assert math.isnan(NoiseAutocorrelation.white().flux_variance_factor(np.zeros((3, 3))))


@pytest.mark.parametrize("kernel", [np.ones((2, 2)), np.full((3, 3), 0.5), [[1, 0, 0], [0, 1, 0], [0, 0, 0]], [1.0]])
def test_impossible_autocorrelations_are_refused(kernel):
    with pytest.raises(InputError, match="noise autocorrelation"):
        NoiseAutocorrelation(kernel)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_defects_of_a_mask_cover_exactly_its_pixels(seed, density):
    bad = np.random.default_rng(seed).random((9, 12)) < density
    defects = Defects.from_mask(bad, y0=3, x0=-2)
    box = Box.from_shape(bad.shape, y0=3, x0=-2)
    assert_array_equal(defects.mask(box), bad)
    assert sum(one.area for one in defects.boxes) == bad.sum()
    assert through_json(defects) == defects


def test_a_bad_column_is_one_box_and_outside_is_left_out():
    bad = np.zeros((5, 6), dtype=bool)
    bad[:, 2:4] = True
    assert Defects.from_mask(bad).boxes == (Box.from_list([0, 5, 2, 4]),)
    assert not Defects((Box.from_list([50, 60, 0, 9]),)).mask(Box.from_shape((5, 6))).any()


def test_polygons_of_boxes_hold_their_pixels():
    box = Box.from_shape((3, 4), y0=1, x0=2)
    polygon = Polygon.from_box(box)
    x, y = np.meshgrid(np.arange(-1, 9), np.arange(-1, 9))
    assert_array_equal(polygon.contains(x=x, y=y), box.contains(x=x, y=y))
    assert polygon.area == 12.0
    assert Polygon.from_list(polygon.to_list()).to_list() == polygon.to_list()
    with pytest.raises(InputError, match="3 corners"):
        Polygon([0, 1], [0, 1])


def test_visits_survive_json_and_take_what_headers_give():
    visit = VisitInfo(visit=np.int64(2019032600132), exposure_time_s="300", airmass=None, object="A", seq=132)
    assert (visit.exposure_time_s, math.isnan(visit.airmass), type(visit.visit)) == (300.0, True, int)
    again = VisitInfo.from_dict({**json.loads(json.dumps(visit.to_dict(), allow_nan=False)), "added_later": 3})
    assert again.to_dict() == visit.to_dict()
    with pytest.raises(InputError, match=r"-1\.0"):
        VisitInfo(exposure_time_s=-1.0)
