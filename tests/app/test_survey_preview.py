"""Pictures of a simulated survey show what is in it."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from etendue.app.survey_preview import picture_bands, write_preview
from etendue.app.survey_preview_frames import focal_plane
from etendue.app.survey_preview_sky import depth_mag, truth_curves, truth_tracks
from etendue.qa.survey_preview_plots import focal_plane_png, lupton
from etendue.simulate.surveys.scene import make_scene
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.survey import Survey


@pytest.fixture(scope="module")
def survey():
    return Survey.plan(
        SurveySpec.model_validate(
            {
                "name": "tiny",
                "detectors": (0,),
                "cadence": {
                    "fields": ({"ra_deg": 330.0, "dec_deg": -30.0},),
                    "nights": ({"day": 0, "bands": "rg"}, {"day": 2, "bands": "r"}),
                },
                "sky": {
                    "margin_deg": 0.0,
                    "stars": {"faintest_mag": 20.0},
                    "galaxies": None,
                    "variables": ({"kind": "rr_lyrae", "count": 40},),
                    "moving": ({"dynamical_class": "main_belt", "count": 3000, "h_max": 16.0},),
                },
                "calibrations": {"flat_pairs": (1000.0, 30000.0)},
            }
        ),
        seed=2,
    )


def test_every_picture_is_written_and_counted(survey, tmp_path):
    told = []
    paths = write_preview(survey, tmp_path / "new", lambda done, total: told.append((done, total)))
    names = {"cadence", "focal-plane", "psf", "counts", "light-curves", "movers", "photon-transfer"}
    assert {path.stem for path in paths} == names
    assert told == [(k, len(names)) for k in range(1, len(names) + 1)]
    for path in paths:
        with Image.open(path) as picture:
            assert min(picture.size) > 100


def test_the_focal_plane_is_binned_and_its_sky_is_zero(survey):
    mosaic = focal_plane(survey, survey.exposures[0], longest_side_px=256)
    assert max(mosaic.pixels.shape) <= 257
    filled = mosaic.pixels[np.isfinite(mosaic.pixels)]
    assert filled.size > 0.95 * mosaic.pixels.size
    assert abs(np.median(filled)) < 3.0 * mosaic.noise


def test_detectors_are_at_their_places_in_the_mosaic():
    survey = Survey.plan(
        SurveySpec.model_validate(
            {
                "name": "pair",
                "cadence": {"fields": ({"ra_deg": 330.0, "dec_deg": -30.0},), "nights": ({"day": 0, "bands": "r"},)},
                "sky": {"margin_deg": 0.0, "stars": {"faintest_mag": 15.0}, "galaxies": None},
            }
        )
    )
    mosaic = focal_plane(survey, survey.exposures[0], longest_side_px=1000)
    empty = np.flatnonzero(np.isnan(mosaic.pixels).all(axis=0))
    left, right = 1024 // 3, 1084 // 3  # the gap of 60 px between the detectors, binned by 3
    assert set(range(left + 1, right - 1)) <= set(empty.tolist())


def test_equal_planes_are_grey_and_gaps_have_the_colour_of_nothing():
    plane = np.random.default_rng(1).normal(0.0, 1.0, (40, 50)).astype(np.float32)
    plane[10, 10] = 500.0
    plane[:, 30:32] = np.nan
    picture = lupton(plane, plane.copy(), plane.copy(), noise=(1.0, 1.0, 1.0))
    filled = np.isfinite(plane)
    assert np.ptp(picture[filled].astype(int), axis=-1).max() <= 1
    assert picture[10, 10].min() > 200
    assert np.unique(picture[~filled], axis=0).shape == (1, 3)


def test_a_red_star_stays_red_however_bright_it_is():
    red = np.random.default_rng(2).normal(0.0, 1.0, (40, 40)).astype(np.float32)
    blue = np.random.default_rng(3).normal(0.0, 1.0, (40, 40)).astype(np.float32)
    for row, flux in ((5, 50.0), (20, 5000.0), (35, 5e5)):
        red[row, 20], blue[row, 20] = 3.0 * flux, flux
    picture = lupton(red, 0.5 * (red + blue), blue, noise=(1.0, 1.0, 1.0)).astype(int)
    assert all(picture[row, 20, 0] > 1.5 * picture[row, 20, 2] for row in (5, 20, 35))


def test_the_first_row_of_a_picture_is_at_the_bottom():
    picture = np.zeros((4, 5, 3), np.uint8)
    picture[0] = 255
    with Image.open(io.BytesIO(focal_plane_png(picture))) as read:
        assert np.asarray(read)[-1].min() == 255


@pytest.mark.parametrize(
    ("bands", "shown"),
    [
        ("r", ("r",)),
        ("gr", ("r", "g")),
        ("ugrizy", ("i", "r", "g")),
        ("riz", ("z", "i", "r")),
        ("urzy", ("y", "z", "u")),
    ],
)
def test_pictures_go_from_red_to_blue(bands, shown):
    assert picture_bands(tuple(bands)) == shown


def test_light_curves_fold_what_repeats_and_have_dots_at_the_visits(survey):
    curves = truth_curves(survey)
    assert curves
    assert all(0.2 < curve.period_day < 1.0 for curve in curves)
    assert all(len(curve.seen["mag"]) <= len(survey.exposures) for curve in curves)


def test_tracks_pass_through_the_dots(survey):
    tracks, dots = truth_tracks(survey, [layer for layer in survey.layers if layer.name == "moving"])
    assert set(dots) == {str(exposure.day_obs) for exposure in survey.exposures}
    places = np.concatenate(tracks) if tracks else np.zeros((0, 2))
    for rows in dots.values():
        for east, north, _ in rows:
            assert np.hypot(places[:, 0] - east, places[:, 1] - north).min() < 1.0


def test_the_depth_is_that_of_the_truth_of_a_frame(survey):
    exposure, detector = survey.exposures[-1], survey.detectors[0]
    scene = make_scene(survey, exposure, detector)
    noise = np.median(scene.sky) + detector.amplifiers[0].read_noise ** 2
    area = np.median(scene.sources["psf_area"])
    expected = scene.zero_point_mag - 2.5 * np.log10(5.0 * np.sqrt(area * noise))
    assert depth_mag(survey, exposure) == pytest.approx(expected, abs=0.05)


def test_a_longer_exposure_is_deeper(survey):
    exposure = survey.exposures[0]
    deeper = replace(exposure, exposure_time_s=4.0 * exposure.exposure_time_s)
    assert depth_mag(survey, deeper) - depth_mag(survey, exposure) == pytest.approx(2.5 * np.log10(2.0), abs=0.1)
