"""Comets stand in the field when they are wanted there, and on the whole sky by number."""

import numpy as np

from etendue.simulate.population.moment import Moment
from etendue.simulate.surveys.coverage import focal_plane_lights
from etendue.simulate.surveys.survey import Survey

from .small import SMALL, small

NIGHTS = [{"day": day, "bands": "r"} for day in (0, 5, 20)]
ALONE = {"stars": None, "galaxies": None, "margin_deg": 0.02}


def comets_of(**comets: object) -> tuple[Survey, list]:
    sky = ALONE | {"moving_margin_deg": 1.0, "comets": comets}
    cadence = SMALL["cadence"] | {
        "fields": [{"ra_deg": 293.0, "dec_deg": -21.5}],
        "start": "2025-07-22",
        "nights": NIGHTS,
    }
    survey = Survey.plan(small(sky=sky, cadence=cadence), seed=2)
    return survey, [layer for layer in survey.layers if layer.name == "comets"]


def seen_by_night(survey: Survey, layers: list) -> list[int]:
    return [sum(len(focal_plane_lights(survey, e, layer)) for layer in layers) for e in survey.exposures]


def test_every_night_has_its_comets_near_the_detectors():
    survey, layers = comets_of(in_field=2, mag_limit=21.0, every_night=True)
    assert len(layers) == 3
    assert min(seen_by_night(survey, layers)) >= 2
    numbers = np.concatenate([layer.objects["object_id"] for layer in layers])
    assert np.unique(numbers).size == numbers.size == 6


def test_by_default_they_are_in_the_wide_field_in_the_middle_of_the_survey():
    survey, (layer,) = comets_of(in_field=3, mag_limit=20.0)
    assert layer.objects["object_id"].size == 3
    assert min(seen_by_night(survey, [layer])) < 3


def test_those_in_the_field_are_as_bright_as_told():
    survey, (layer,) = comets_of(in_field=4, brightest_mag=17.0, mag_limit=20.0)
    middle = 0.5 * (survey.exposures[0].mjd_tai_begin + survey.exposures[-1].mjd_tai_mid)
    site = survey.camera.observatory
    wide = Moment(survey.bandpasses["r"], middle, 30.0, 293.0, -21.5, 2.0, site)
    mag = layer.lights(wide).mag
    assert mag.size == 4
    assert 16.5 < mag.min() < mag.max() < 20.2  # limits are in V


def test_a_number_on_the_whole_sky_is_drawn_once():
    _, layers = comets_of(count=500)
    assert [layer.objects["object_id"].size for layer in layers] == [500]
    _, layers = comets_of(count=500, in_field=1, mag_limit=23.0, every_night=True)
    assert [layer.objects["object_id"].size for layer in layers] == [501, 1, 1]


def test_no_comets_are_no_layer():
    assert comets_of()[1] == []
