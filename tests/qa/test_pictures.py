"""Pictures hold what they are given, and the same input gives the same bytes."""

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Picture

from etendue.qa.light_curve_plot import LightCurve, light_curves_plot, tracks_plot
from etendue.qa.star_plots import residual_map
from etendue.qa.survey_plots import conditions_plot, number_counts_plot
from etendue.qa.thumbnail import difference_thumbnail, stamp_strip, stretch, thumbnail


def opened(data):
    picture = Picture.open(io.BytesIO(data))
    picture.load()
    return picture


@given(ny=st.integers(1, 90), nx=st.integers(1, 90), size=st.integers(8, 64))
def test_a_thumbnail_is_never_larger_than_asked(ny, nx, size):
    assert max(opened(thumbnail(np.ones((ny, nx)), size=size)).size) <= size


def test_brighter_pixels_are_lighter_and_holes_are_grey():
    image = np.random.default_rng(0).normal(0, 1, (64, 64))
    image[10, 10], image[20, 20], image[30, 30] = 10.0, 25.0, np.nan
    grey = stretch(image)
    assert np.median(grey) < grey[10, 10] < grey[20, 20]
    assert grey[30, 30] == 128


def test_an_image_of_nothing_is_grey():
    assert (stretch(np.full((4, 4), np.nan)) == 128).all()


def test_pictures_are_reproducible():
    rng = np.random.default_rng(1)
    curve = LightCurve("star", 60000.0 + np.arange(9) * 0.01, rng.normal(9, 1, 9), np.ones(9), np.full(9, "r"))
    assert light_curves_plot([curve]) == light_curves_plot([curve])
    stamps = [rng.normal(0, 1, (15, 15)) for _ in range(11)]
    assert opened(stamp_strip(stamps, [str(i) for i in range(11)])).size[0] > 300
    xy = rng.uniform(0, 1000, (2, 500))
    assert opened(residual_map(*xy, *rng.normal(0, 5, (3, 500)))).size[0] > 600
    assert opened(tracks_plot(["a"], [np.arange(3.0)], [np.arange(3.0)], [rng.normal(0, 0.1, (3, 2))])).size[0] > 600


def test_point_sources_survive_on_a_small_difference():
    image = np.random.default_rng(0).normal(0.0, 1.0, (400, 400))
    image[100, 200], image[300, 40], image[0, 0] = 30.0, -30.0, np.nan
    small = np.asarray(opened(difference_thumbnail(image, size=100)))[::-1]
    assert small[25, 50] == 255
    assert small[75, 10] == 0
    assert 90 < np.median(small) < 165


def test_a_linear_scale_goes_from_black_to_white():
    image = np.tile(np.linspace(0.0, 1.0, 11), (11, 1))
    grey = np.asarray(opened(thumbnail(image, linear=(0.2, 0.8))))
    assert grey[5, [0, 2, 5, 8, 10]].tolist() == [0, 0, 128, 255, 255]


def test_survey_plots_bear_missing_values():
    band, values = np.array(["r", "g", "r"]), np.array([1.0, np.nan, 2.0])
    assert opened(conditions_plot(np.array([1.0, 2.0, 2.1]), band, {"seeing": values, "sky": values})).size[0] > 600
    mags = {"r": np.array([20.0, 21.0, np.nan]), "g": np.array([np.nan])}
    assert opened(number_counts_plot(mags, {"r": [22.0], "g": []}, scale="relative")).size[0] > 500


def test_light_curves_of_any_number_of_nights_can_be_drawn():
    for nights in (1, 3, 40):
        mjd = 60000.0 + np.repeat(np.arange(nights), 3) + np.tile([0.1, 0.15, 0.2], nights)
        curve = LightCurve("star", mjd, np.ones(mjd.size), np.ones(mjd.size), np.full(mjd.size, "r"))
        assert opened(light_curves_plot([curve])).size[0] > 600
