"""Frames of a survey show what the truth says, and nothing of the truth reaches their headers."""

from itertools import pairwise

import numpy as np
import pytest

from etendue.camera.translate import translate
from etendue.geom.sphere import separation_deg
from etendue.simulate.surveys.calibration_plan import calibration_frames
from etendue.simulate.surveys.frames import calibration_frame, science_frame
from etendue.simulate.surveys.scene import make_scene
from etendue.simulate.surveys.survey import Survey

from .small import small


@pytest.fixture(scope="module")
def survey():
    return Survey.plan(small(), seed=4)


@pytest.fixture(scope="module")
def frame(survey):
    return science_frame(survey, survey.exposures[0], survey.detectors[0])


def test_a_frame_alone_is_the_frame_of_the_survey(survey, frame):
    again = Survey.plan(small(), seed=4)
    alone = science_frame(again, again.exposures[0], again.detectors[0])
    np.testing.assert_array_equal(alone.raw.array, frame.raw.array)
    other = science_frame(Survey.plan(small(), seed=5), survey.exposures[0], survey.detectors[0])
    assert (other.raw.array != frame.raw.array).mean() > 0.5


def test_stars_are_where_the_truth_says_with_the_electrons_that_it_says(survey):
    quiet = small(telescope={"optics": {"diameter_m": 1.6, "obscuration": 0.3}, "stray": None, "nodes": 3}, ccd={},
                  sky={"galaxies": None, "stars": {"faintest_mag": 18.0, "brightest_mag": 15.0}})  # fmt: skip
    plan = Survey.plan(quiet, seed=2)
    scene = make_scene(plan, plan.exposures[0], plan.detectors[0])
    light = scene.expected - scene.sky
    found = scene.sources
    gap = np.hypot(*(found[k][:, None] - found[k][None, :] for k in "xy")) + 1e3 * np.eye(found["x"].size)
    inner = (np.abs(found["x"] - 511.5) < 440.0) & (np.abs(found["y"] - 511.5) < 440.0)
    rows = np.flatnonzero((gap.min(axis=1) > 80.0) & inner)
    assert rows.size >= 3
    for row in rows:
        x, y = round(found["x"][row]), round(found["y"][row])
        stamp = light[y - 30 : y + 31, x - 30 : x + 31].astype(float)
        assert stamp.sum() == pytest.approx(found["electrons"][row], rel=0.03)  # wings reach further
        core = stamp[22:39, 22:39]
        j, i = np.mgrid[-8:9, -8:9]
        assert x + (core * i).sum() / core.sum() == pytest.approx(found["x"][row], abs=0.05)
        assert y + (core * j).sum() / core.sum() == pytest.approx(found["y"][row], abs=0.05)


def test_the_zero_point_counts_photons(survey, frame):
    truth = frame.scene.sources
    np.testing.assert_allclose(truth["electrons"], 10.0 ** (-0.4 * (truth["mag"] - frame.scene.zero_point_mag)))
    np.testing.assert_allclose(truth["flux_njy"], 10.0 ** (-0.4 * (truth["mag"] - 31.4)))
    assert 24.0 < frame.scene.zero_point_mag - 2.5 * np.log10(90.0) < 26.5  # of 2 m**2


def test_headers_know_the_nominal_pointing_only(survey, frame):
    info = translate(frame.raw.header, survey.camera)
    plan = survey.exposures[0]
    assert info.exposure_id == plan.exposure
    assert (info.ra_deg, info.dec_deg) == pytest.approx((plan.ra_deg, plan.dec_deg), abs=1e-4)
    assert info.rotation_deg == pytest.approx(plan.rotation_deg)
    text = " ".join(f"{key}={value}" for key, value in frame.raw.header.items()).upper()
    for word in ("TRUE", "SEED", "SEEING", "ZEROP", "TRUTH"):
        assert word not in text
    assert str(plan.exposure) in frame.raw.path


def test_the_header_s_wcs_is_off_by_the_pointing_error_and_the_true_one_is_not():
    spec = small(telescope={"optics": None, "nodes": 2, "distortion": {"pointing_arcsec": 10.0}})
    plan = Survey.plan(spec, seed=1)
    frame = science_frame(plan, plan.exposures[0], plan.detectors[0])
    ra, dec = frame.raw.info.wcs.pixel_to_sky(x=frame.scene.sources["x"], y=frame.scene.sources["y"])
    off = 3600.0 * separation_deg(ra, dec, frame.scene.sources["ra"], frame.scene.sources["dec"])
    assert 2.0 < np.median(off) < 40.0
    ra, dec = frame.scene.wcs.pixel_to_sky(x=frame.scene.sources["x"], y=frame.scene.sources["y"])
    assert np.median(3600.0 * separation_deg(ra, dec, frame.scene.sources["ra"], frame.scene.sources["dec"])) < 0.1


def test_calibration_frames_come_in_order_and_show_what_they_are(survey):
    frames = calibration_frames(survey)
    assert [(f.kind, f.band, f.seq) for f in frames] == [("bias", "", 1), ("flat", "g", 2), ("flat", "r", 3)]
    chip = survey.detectors[0]
    bias, flat = (calibration_frame(survey, f, chip).raw for f in frames[:2])
    assert (bias.info.observation_type, flat.info.observation_type) == ("bias", "flat")
    assert (flat.info.band, flat.info.seq) == ("g", 2)
    assert bias.info.mjd_tai_begin < flat.info.mjd_tai_begin < survey.exposures[0].mjd_tai_begin
    signal = chip.trim(flat.array).astype(float) - chip.trim(bias.array)
    gain = np.mean([amplifier.gain for amplifier in chip.amplifiers])
    assert np.median(signal) * gain == pytest.approx(30000.0, rel=0.1)


def test_calibration_frames_of_any_length_follow_each_other_and_end_before_the_night():
    plan = Survey.plan(small(calibrations={"bias": 2, "dark": 60, "dark_s": 300.0, "flat": 2}), seed=1)
    chip = plan.detectors[0]
    chosen = [frame for frame in calibration_frames(plan) if frame.seq in (1, 2, 3, 62, 63, 66)]
    infos = [calibration_frame(plan, frame, chip).raw.info for frame in chosen]
    assert [info.observation_type for info in infos] == ["bias", "bias", "dark", "dark", "flat", "flat"]
    for one, other in pairwise(infos):
        assert one.mjd_tai_end < other.mjd_tai_begin
    assert infos[-1].mjd_tai_end < plan.exposures[0].mjd_tai_begin


def test_the_air_dims_by_colour_only_if_it_is_told_to(survey):
    exposure, chip = next(e for e in survey.exposures if e.band == "g"), survey.detectors[0]
    coloured = Survey.plan(small(air={"by_colour": True}), seed=4)
    plain, dimmed = (make_scene(plan, exposure, chip).sources for plan in (survey, coloured))
    both = np.intersect1d(plain["object_id"], dimmed["object_id"], return_indices=True)
    lost = -2.5 * np.log10(dimmed["electrons"][both[2]] / plain["electrons"][both[1]])
    slope, reference = survey.spec.air.colour_slope(survey.bandpasses["g"], exposure.airmass)
    np.testing.assert_allclose(lost, slope * (plain["wavelength_nm"][both[1]] - reference), atol=1e-9)
    assert slope < 0.0
    assert 0.005 < np.ptp(lost) < 0.2
