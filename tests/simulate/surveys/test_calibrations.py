"""Calibration frames show what they are said to show, so that what they calibrate can be measured on them."""

import numpy as np
import pytest

from etendue.camera.times import to_utc
from etendue.errors import InputError
from etendue.simulate.night.heavens import horizontal, sun_position
from etendue.simulate.surveys.calibration_light import screen_light, twilight_exposure
from etendue.simulate.surveys.calibration_plan import calibration_frames
from etendue.simulate.surveys.frames import calibration_frame
from etendue.simulate.surveys.illumination import illumination_map
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.surveys.wavefront_truth import wavefront_truth
from etendue.simulate.telescope.field_angle import DetectorPlace

from .small import small

CALIBRATIONS = {
    "bias": 2,
    "dark": 2,
    "dark_s": [10.0, 100.0],
    "flat": 1,
    "flat_pairs": [1000.0, 2000.0, 20000.0],
    "pair_band": "r",
    "lamp_e_s": 1000.0,
    "screen": {"tilt": [0.1, 0.0], "bowl": -0.2},
    "twilight": {"count": 2, "gradient": 0.05},
    "spots": {"electrons": [40000.0], "repeats": 1, "radius_px": 50.0},
    "nightly_bias": 2,
    "nightly_flat": 1,
}
TWO_NIGHTS = {
    "start": "2025-09-21",
    "fields": [{"name": "field", "ra_deg": 330.0, "dec_deg": -30.0}],
    "nights": [{"day": 0, "bands": "gr"}, {"day": 2, "bands": "r"}],
}


@pytest.fixture(scope="module")
def survey():
    return Survey.plan(small(calibrations=CALIBRATIONS, cadence=TWO_NIGHTS), seed=3)


@pytest.fixture(scope="module")
def frames(survey):
    return calibration_frames(survey)


def adu(survey, frame, detector):
    """Return the frame above its overscan, by amplifier."""
    raw = calibration_frame(survey, frame, detector).raw.array.astype(float)
    for amplifier in detector.amplifiers:
        level = np.median(raw[amplifier.raw_serial_overscan.slices_in(detector.raw_bbox)])
        raw[amplifier.raw_data.slices_in(detector.raw_bbox)] -= level
    return detector.trim(raw)


def test_every_night_has_its_frames_before_its_first_exposure(survey, frames):
    assert len({frame.exposure for frame in frames} | {e.exposure for e in survey.exposures}) == len(frames) + 3
    for begin, night in {(e.mjd_tai_begin, e.day_obs) for e in survey.exposures}:
        mine = [frame for frame in frames if frame.day_obs == night]
        assert [frame.seq for frame in mine] == list(range(1, len(mine) + 1))
        ends = np.array([frame.mjd_tai_begin + frame.seconds / 86400.0 for frame in mine])
        assert np.all(np.array([frame.mjd_tai_begin for frame in mine][1:]) > ends[:-1])
        assert ends[-1] <= begin
    later = [frame.kind for frame in frames if frame.day_obs == survey.exposures[-1].day_obs]
    assert later == ["bias", "bias", "flat", "flat"]


def test_exposure_times_tell_the_levels_of_flats_and_of_darks(survey, frames):
    flats = [frame for frame in frames if frame.kind == "flat"]
    assert {round(frame.electrons / frame.seconds, 6) for frame in flats} == {1000.0}
    assert [frame.seconds for frame in frames if frame.kind == "dark"] == [10.0, 10.0, 100.0, 100.0]
    detector = survey.detectors[0]
    short, long = (next(f for f in flats if f.electrons == level and f.band == "r") for level in (2000.0, 20000.0))
    ratio = np.median(adu(survey, long, detector)) / np.median(adu(survey, short, detector))
    assert ratio == pytest.approx(10.0, rel=0.01)


def test_a_lamp_that_scatters_does_so_in_the_light_and_not_in_the_exposure_time():
    spec = small(calibrations=CALIBRATIONS | {"lamp_scatter": 0.05})
    flats = [frame for frame in calibration_frames(Survey.plan(spec, seed=1)) if frame.kind == "flat"]
    light = np.array([frame.electrons / frame.seconds for frame in flats])
    assert 0.02 < np.std(light) / 1000.0 < 0.1


def test_the_screen_is_uneven_and_the_sky_is_not(survey):
    detector = survey.detectors[0]
    screen = screen_light(survey, detector, "r")
    even = Survey.plan(small(calibrations=CALIBRATIONS | {"screen": None}), seed=3)
    vignetting = screen_light(even, detector, "r")
    ratio = screen if vignetting is None else screen / vignetting
    width = (detector.bbox.x.size - 1) * survey.camera.plate_scale / 3600.0
    middle = ratio[ratio.shape[0] // 2].astype(float)
    place = DetectorPlace.nominal(survey.camera, detector)
    slope = np.polyfit(np.linspace(0.0, width, middle.size), middle, 1)[0]
    assert slope == pytest.approx(0.1 - 2.0 * 0.2 * place.field_x, rel=0.01)


def test_twilight_flats_follow_the_sun_and_show_stars_that_move_from_one_to_the_next(survey, frames):
    flats = [frame for frame in frames if frame.kind == "twilight"]
    assert {frame.observation_type for frame in flats} == {"flat"}
    site = survey.camera.observatory
    for frame in (flats[0], flats[-1]):
        now = to_utc(frame.mjd_tai_begin)
        assert -12.0 < float(horizontal(*sun_position(now), now, site).altitude_deg) < -4.0
    skies = [twilight_exposure(survey, frame) for frame in flats[:2]]
    assert skies[0].ra_deg != skies[1].ra_deg
    assert np.hypot(*skies[0].sky_gradient) == pytest.approx(0.05)
    made = calibration_frame(survey, flats[0], survey.detectors[0])
    assert made.raw.info.observation_type == "flat"
    assert made.raw.info.object == "twilight"
    assert made.scene.sources["x"].size > 10
    assert np.median(made.scene.sky) == pytest.approx(flats[0].electrons, rel=0.02)


def test_a_spot_lights_one_amplifier_and_its_crosstalk_the_others(frames):
    strong = small(calibrations=CALIBRATIONS, cadence=TWO_NIGHTS, ccd={"crosstalk": {"linear": 0.01, "quadratic": 0.0}})
    survey = Survey.plan(strong, seed=3)
    detector = survey.detectors[0]
    spots = [frame for frame in frames if frame.kind == "spot"]
    assert [frame.amplifier for frame in spots] == [0, 1]
    linear, _ = survey.ccd(detector).crosstalk
    for frame in spots:
        image = adu(survey, frame, detector)
        parts = [image[a.bbox.slices_in(detector.bbox)] for a in detector.amplifiers]
        # The spot is in the middle: what is read with it is in the middle of the other amplifier.
        peak = [np.mean(part[part.shape[0] // 2 - 20 :][:40, part.shape[1] // 2 - 20 :][:, :40]) for part in parts]
        victim, aggressor = 1 - frame.amplifier, frame.amplifier
        assert peak[victim] / peak[aggressor] == pytest.approx(linear[victim, aggressor], rel=0.1)


def test_the_band_of_the_pairs_must_be_known():
    with pytest.raises(InputError, match="no such band"):
        calibration_frames(Survey.plan(small(calibrations=CALIBRATIONS | {"pair_band": "q"}), seed=1))


def test_the_truth_of_wavefronts_adds_the_height_of_a_detector_to_the_defocus():
    optics = {"diameter_m": 1.6, "obscuration": 0.3, "f_ratio": 2.5, "heights_mm": {"S00": 0.5},
              "zernikes": [{"noll": 4, "constant": 100.0}, {"noll": 7, "tilt": [50.0, 0.0]}]}  # fmt: skip
    survey = Survey.plan(small(telescope={"optics": optics}), seed=1)
    truth = wavefront_truth(survey, survey.exposures[0], survey.detectors[0])
    assert truth["noll"].tolist() == [4, 7] * 9
    defocus = truth["amplitude_nm"][truth["noll"] == 4]
    assert defocus == pytest.approx(100.0 + 0.5e6 / (16.0 * np.sqrt(3.0) * 2.5**2))
    coma = truth["amplitude_nm"][truth["noll"] == 7]
    assert coma[0] == coma[3] != coma[1]  # changes along x only


def test_dust_of_a_filter_shows_in_its_flats_only_and_that_of_the_window_in_all():
    optics = {"diameter_m": 1.6, "obscuration": 0.4, "f_ratio": 2.5}
    dust = {"loss": 0.05, "filter_per_deg2": 200.0, "window_per_deg2": 0.0}
    chip = Survey.plan(small(telescope={"optics": optics, "vignetting": None, "dust": dust}), seed=2)
    red, green = (illumination_map(chip, chip.detectors[0], band) for band in "rg")
    assert red.min() < 0.98
    assert red.max() == 1.0
    assert (red != green).mean() > 0.01
    ring = np.pi * (0.5 * 8.0 / 2.5 / 0.01) ** 2 * (1.0 - 0.4**2)  # [px]
    expected = 200.0 * ring * (chip.camera.plate_scale / 3600.0) ** 2  # rings over every pixel, in the mean
    assert np.log(red).mean() == pytest.approx(np.log(0.95) * expected, rel=0.6)
    dust |= {"filter_per_deg2": 0.0, "window_per_deg2": 200.0}
    chip = Survey.plan(small(telescope={"optics": optics, "vignetting": None, "dust": dust}), seed=2)
    red, green = (illumination_map(chip, chip.detectors[0], band) for band in "rg")
    assert np.array_equal(red, green)
    assert red.min() < 0.98
