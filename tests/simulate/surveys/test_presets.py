"""Every shipped survey plans, and has what it promises."""

from collections import Counter
from functools import lru_cache

import numpy as np
import pytest

from etendue.errors import InputError
from etendue.simulate.population.lights import Lights
from etendue.simulate.surveys.calibration_plan import calibration_frames
from etendue.simulate.surveys.coverage import detector_of, focal_plane_lights
from etendue.simulate.surveys.frames import calibration_frame, science_frame
from etendue.simulate.surveys.presets import load_survey, shipped_surveys
from etendue.simulate.surveys.sky_spec import SkySpec
from etendue.simulate.surveys.survey import Survey

# Visits by band, detectors, pixels of a side, layers.
PROMISES = {
    "smoke": ({"r": 3}, 1, {"stars", "galaxies", "variables", "transients", "moving"}),
    "demo": (
        {"g": 6, "r": 6},
        4,
        {"stars", "galaxies", "variables", "agn", "transients", "flashes", "moving", "comets", "satellites"},
    ),
    "dr1-mini": (
        dict.fromkeys("ugrizy", 30),
        9,
        {"stars", "galaxies", "variables", "agn", "transients", "flashes", "moving"},
    ),
    "ap-year": (None, 4, {"stars", "galaxies", "variables", "agn", "transients"}),
    "crowded": ({"g": 3, "r": 3}, 4, {"stars", "galaxies", "crowded", "variables"}),
    "wavefront": ({"r": 6}, 4, {"stars"}),
    "calib": ({"u": 1, "g": 1, "r": 13, "i": 1, "z": 9, "y": 9}, 4, {"stars", "galaxies"}),
}
FAST = ("wavefront", "crowded", "calib")
FAST_FRAMES = ("wavefront", "calib")


@lru_cache(maxsize=1)
def planned(name, seed=1):
    return Survey.plan(load_survey(name), seed)


@lru_cache
def without_sky(name):
    return Survey.plan(load_survey(name).model_copy(update={"sky": SkySpec(stars=None, galaxies=None)}), 1)


def some(names):
    return [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in names]


def columns_on_detectors(survey, exposure, layer_name):
    parts = []
    for layer in survey.layers:
        if layer.name == layer_name:
            lights = focal_plane_lights(survey, exposure, layer)
            parts.append(lights.take(detector_of(survey, exposure, lights) >= 0))
    return Lights.concat(parts)


def test_all_promised_surveys_are_shipped():
    assert set(PROMISES) <= set(shipped_surveys())


@pytest.mark.parametrize("name", PROMISES)
def test_a_shipped_survey_has_the_visits_bands_and_detectors_it_promises(name):
    visits, detectors, _ = PROMISES[name]
    survey = without_sky(name)
    assert survey.spec.name == name
    bands = [exposure.band for exposure in survey.exposures]
    if visits is not None:
        assert {band: bands.count(band) for band in set(bands)} == visits
    assert len(survey.detectors) == detectors
    assert {detector.bbox.shape for detector in survey.detectors} == {(1024, 1024)}
    assert max(exposure.airmass for exposure in survey.exposures) < 2.0


def test_the_year_of_alerts_has_300_visits_through_a_year_in_pairs():
    exposures = without_sky("ap-year").exposures
    begins = np.array([exposure.mjd_tai_begin for exposure in exposures])
    assert 295 <= len(exposures) <= 305
    assert np.ptp(begins) > 350.0
    assert np.diff(np.unique(np.floor(begins + 0.5))).max() < 75.0  # while the sun is near the field
    nights = np.unique([exposure.day_obs for exposure in exposures], return_counts=True)[1]
    assert np.median(nights) == 4


@pytest.mark.parametrize("name", some(PROMISES))
def test_a_shipped_survey_has_the_layers_it_promises_and_none_is_empty(name):
    survey = planned(name)
    assert {layer.name for layer in survey.layers} == PROMISES[name][2]
    assert all(layer.objects["object_id"].size for layer in survey.layers)


@pytest.mark.parametrize("name", [*FAST_FRAMES, pytest.param("smoke", marks=pytest.mark.slow)])
def test_a_frame_of_a_fast_survey_has_sky_and_sources(name):
    survey = planned(name)
    exposure = next(exposure for exposure in survey.exposures if exposure.band == "r")
    frame = science_frame(survey, exposure, survey.detectors[0])
    assert frame.raw.array.shape == survey.detectors[0].raw_shape
    assert frame.scene.sources["x"].size > 50
    light = frame.raw.array[survey.detectors[0].amplifiers[0].raw_data.slices_in(survey.detectors[0].raw_bbox)]
    middle, noise = np.median(light), 0.741 * np.ptp(np.percentile(light, [25, 75]))
    assert np.mean(light > middle + 10.0 * noise) > 1e-3


def test_donuts_have_holes():
    survey = planned("wavefront")
    detector = survey.detectors[0]
    scene = science_frame(survey, survey.exposures[0], detector).scene
    x, y = scene.sources["x"], scene.sources["y"]
    inside = (np.minimum(x, y) > 60) & (np.maximum(x, y) < 960)
    star = np.flatnonzero(inside)[np.argmax(scene.sources["electrons"][inside])]
    row, column = round(float(y[star])), round(float(x[star]))
    ring = scene.expected - scene.sky
    hole = ring[row - 2 : row + 3, column - 2 : column + 3].mean()
    assert hole < 0.2 * ring[row - 20 : row + 21, column].max()


def test_the_cluster_has_more_stars_than_psf_areas_in_its_core():
    survey = planned("crowded")
    exposure = next(exposure for exposure in survey.exposures if exposure.band == "r")
    stars = columns_on_detectors(survey, exposure, "crowded")
    spec = survey.spec.sky.clusters[0]
    east = (stars.ra_deg - spec.ra_deg) * np.cos(np.radians(spec.dec_deg))
    core = np.hypot(east, stars.dec_deg - spec.dec_deg) * 60.0 < spec.core_radius_arcmin
    psf_areas = np.pi * (60.0 * spec.core_radius_arcmin) ** 2 / (4.0 * np.pi * (exposure.seeing_arcsec / 2.355) ** 2)
    assert np.sum(core & (stars.mag < 23.0)) > psf_areas


def test_the_calibration_sequence_is_complete_and_reaches_saturation():
    survey = planned("calib")
    frames = calibration_frames(survey)
    first = [frame for frame in frames if frame.day_obs == survey.exposures[0].day_obs]
    kinds = Counter(frame.kind for frame in first)
    pairs = 2 * len(survey.spec.calibrations.flat_pairs)
    assert kinds == {"bias": 20, "dark": 12, "flat": 5 * 6 + pairs, "twilight": 5 * 6, "spot": 4 * 6 * 3}
    assert len({frame.day_obs for frame in frames}) == 3
    assert len({frame.exposure for frame in frames}) == len(frames)
    levels = [frame for frame in first if frame.kind == "flat"][-pairs:]
    lamp = [frame.electrons / frame.seconds for frame in levels]
    assert max(lamp) / min(lamp) < 1.002  # exposure time tells the level
    detector = survey.detectors[0]
    wells = survey.ccd(detector).full_wells.amplifiers / survey.ccd(detector).gains
    assert np.all(wells + 1200.0 < 65535.0)  # full wells are seen before the converter's end
    flat = detector.trim(calibration_frame(survey, levels[-1], detector).raw.array)
    assert np.median(flat) == pytest.approx(np.mean(wells) + 1000.0, rel=0.05)


@pytest.mark.slow
def test_the_demo_has_every_kind_of_object_on_its_detectors():
    survey = planned("demo")
    first, last = survey.exposures[0], survey.exposures[-1]
    variables = columns_on_detectors(survey, first, "variables").object_id
    objects = next(layer.objects for layer in survey.layers if layer.name == "variables")
    assert len(set(objects["kind"][np.isin(objects["object_id"], variables)])) >= 4
    assert np.sum(columns_on_detectors(survey, last, "transients").mag < 22.5) >= 2
    assert np.sum(columns_on_detectors(survey, first, "agn").mag < 22.0) >= 1
    for name in ("comets", "flashes"):
        assert sum(np.sum(columns_on_detectors(survey, e, name).mag < 22.0) for e in survey.exposures) >= 1, name
    hosts = next(layer.objects["host_id"] for layer in survey.layers if layer.name == "transients")
    assert np.all(hosts > 0)
    parts = next(layer.parts for layer in survey.layers if layer.name == "galaxies")
    assert parts.galaxy.size > 2.5 * np.unique(parts.galaxy).size or parts.component.max() >= 2


@pytest.mark.slow
def test_three_movers_or_more_are_seen_four_times_in_each_night_of_the_demo():
    survey = planned("demo")
    for night in {exposure.day_obs for exposure in survey.exposures}:
        visits = [exposure for exposure in survey.exposures if exposure.day_obs == night]
        seen = np.concatenate([columns_on_detectors(survey, visit, "moving").object_id for visit in visits])
        assert np.sum(np.unique(seen, return_counts=True)[1] == 4) >= 3


@pytest.mark.slow
def test_the_demo_reaches_23rd_magnitude_and_saturates_a_few_stars():
    survey = planned("demo")
    exposure = survey.exposures[0]
    assert exposure.band == "r"
    bright, errors = 0, []
    for detector in survey.detectors:
        frame = science_frame(survey, exposure, detector)
        sources, sky = frame.scene.sources, float(np.median(frame.scene.sky))
        noise = np.sqrt(np.median(sources["psf_area"]) * (sky + detector.amplifiers[0].read_noise ** 2))
        errors.append(frame.scene.zero_point_mag - 2.5 * np.log10(5.0 * noise))
        y, x = np.nonzero(frame.output.masks.saturated)
        inside = (sources["electrons"] > 3e5) & (np.minimum(sources["x"], sources["y"]) > 0)
        bright += sum(
            bool(np.any(np.hypot(x - sources["x"][k], y - sources["y"][k]) < 4.0)) for k in np.flatnonzero(inside)
        )
    assert 22.8 < np.mean(errors) < 23.5
    assert 1 <= bright <= 6


@pytest.mark.slow
def test_a_satellite_crosses_the_demo():
    survey = planned("demo")
    lights = [columns_on_detectors(survey, exposure, "satellites") for exposure in survey.exposures]
    assert sum(len(found) for found in lights) >= 1
    fastest = max(np.hypot(found.rate_ra, found.rate_dec).max(initial=0.0) for found in lights)
    assert fastest * 60.0 / 3600.0 / survey.camera.plate_scale > 300.0  # px in an exposure, of one piece of the streak


def test_an_unknown_survey_is_refused_with_the_names_of_those_there_are():
    with pytest.raises(InputError, match="no such survey") as caught:
        load_survey("dr2")
    assert all(name in str(caught.value) for name in PROMISES)
    assert "\n" not in str(caught.value)


BASE = "name: mine\ncadence: {fields: [{ra_deg: 10, dec_deg: -30}], nights: [{day: 0, bands: r}]}\n"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("name: [", "is not YAML"),
        ("- a\n- b", "holds no survey"),
        ("name: mine", "cadence"),
        (BASE + "sky: {starz: {}}", "sky.starz"),
        (BASE + "sky: {stars: {brightest_mag: 20, faintest_mag: 18}}", "sky.stars"),
        (BASE + "sky: {variables: [{kind: rr_lyre, count: 3}]}", "rr_lyre"),
        (BASE + "sky: {moving: [{dynamical_class: mainbelt}]}", "mainbelt"),
        (BASE + "ccd: {crosstalk: {matrix: [[0, 1e-4]]}}", "crosstalk"),
        (BASE + "telescope: {optics: {diameter_m: -1}}", "telescope.optics.diameter_m"),
        (BASE.replace("nights:", "exposures: [{mjd_tai: 60000, band: r, field: field}], nights:"), "give one of"),
        (BASE + "calibrations: {bias: -1}", "calibrations.bias"),
    ],
)
def test_a_wrong_survey_is_refused_in_one_line_that_names_file_and_entry(tmp_path, text, key):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_survey(path)
    assert str(path) in str(caught.value)
    assert key in str(caught.value)
    assert key == "is not YAML" or "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_survey(tmp_path / "none.yaml")


@pytest.mark.slow
def test_movers_of_the_small_data_release_are_there_every_night():
    survey = planned("dr1-mini")
    for night in sorted({exposure.day_obs for exposure in survey.exposures}):
        exposure = next(exposure for exposure in survey.exposures if exposure.day_obs == night)
        assert np.sum(columns_on_detectors(survey, exposure, "moving").mag < 24.5) >= 3
