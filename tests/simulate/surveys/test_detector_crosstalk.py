"""Detectors of one focal plane talk into each other as the truth says, and not at all by default."""

import numpy as np
import pyarrow.csv as pacsv
import pytest

from etendue.errors import InputError
from etendue.simulate.surveys.calibration_plan import calibration_frames
from etendue.simulate.surveys.detector_crosstalk import coefficients, detector_crosstalk_truth
from etendue.simulate.surveys.frames import calibration_frame, science_frame
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.surveys.truth_tables import to_arrow

from .small import SMALL, small

# Even detectors, so that what one shows of another is nothing but crosstalk.
CCD = {"bias": {"row_ramp_adu": 0.0, "column_ramp_adu": 0.0, "column_rms_adu": 0.0, "pixel_rms_adu": 0.0},
       "read_noise": {}, "gain": {}}  # fmt: skip
CROSSTALK = {"board": 2, "linear": 3e-3, "quadratic": 2e-8}
BRIGHT = {
    "detectors": [0, 1], "ccd": CCD, "calibrations": {"bias": 1, "flat": 0, "spots": {"electrons": [60000.0]}},
    "cadence": SMALL["cadence"] | {"nights": [{"day": 0, "bands": "rrrr"}], "dither_deg": 0.02, "exposure_time_s": 8.0},
    "sky": {"galaxies": None, "stars": {"brightest_mag": 9.0, "faintest_mag": 12.0, "density": 15.0}},
    "telescope": SMALL["telescope"] | {"stray": None},
}  # fmt: skip


def survey(**changes):
    return Survey.plan(small(**(BRIGHT | changes)), seed=2)


def signals(plan, frame, detector):
    """Return each amplifier's pixels in the order in which they are read [ADU]."""
    raw = detector.trim(frame.raw.array).astype(float)
    return [order.view(raw, detector) for order in plan.ccd(detector).orders]


@pytest.fixture(scope="module")
def talking():
    return survey(detector_crosstalk=CROSSTALK)


def test_the_coefficients_come_back_from_stars(talking):
    """Fit what the pixels of one detector show of those that are read at the same time on the other."""
    one, other = talking.detectors
    rows: list[list[np.ndarray]] = [[], []]
    for exposure in talking.exposures:
        own, their = (signals(talking, science_frame(talking, exposure, d), d) for d in (one, other))
        for number in range(2):
            rows[number].append(np.stack([image.ravel() - np.median(image) for image in (*their, own[number])]))
    linear, quadratic = coefficients(talking)[0, 1]
    for number in range(2):
        a, b, seen = np.concatenate(rows[number], axis=1)
        kept = (np.maximum(a, b) > 300.0) & (np.maximum(a, b) < 55000.0)  # below the converter's end
        design, seen = np.stack([a, b, a**2, b**2, np.ones_like(a)], axis=1)[kept], seen[kept]
        weight = np.ones_like(seen)
        for _ in range(30):  # least squares with Cauchy's weights: the detector's own stars count little
            root = np.sqrt(weight)
            fit = np.linalg.lstsq(design * root[:, None], seen * root, rcond=None)[0]
            rest = seen - design @ fit
            weight = 1.0 / (1.0 + (rest / (2.0 * 1.4826 * np.median(np.abs(rest)))) ** 2)
        spread = np.sum(weight * rest**2) / np.sum(weight) * np.linalg.inv(design.T @ (weight[:, None] * design))
        error = np.sqrt(np.diag(spread))
        assert np.all(np.abs(fit[:4] - [*linear[number], *quadratic[number]]) < 5.0 * error[:4])
        assert np.all(linear[number] > 5.0 * error[:2])


def test_it_is_off_exactly_by_default_and_at_zero(talking):
    exposure, detector = talking.exposures[0], talking.detectors[0]
    plain = science_frame(survey(), exposure, detector).raw.array
    none = science_frame(survey(detector_crosstalk={"linear": 0.0, "board": 2}), exposure, detector).raw.array
    np.testing.assert_array_equal(none, plain)
    assert (science_frame(talking, exposure, detector).raw.array != plain).any()
    assert not detector_crosstalk_truth(survey())["linear"].size


def test_a_frame_alone_is_the_frame_of_the_survey(talking):
    exposure = talking.exposures[1]
    both = [science_frame(talking, exposure, detector).raw.array for detector in talking.detectors]
    again = survey(detector_crosstalk=CROSSTALK)
    alone = science_frame(again, exposure, again.detectors[1]).raw.array
    np.testing.assert_array_equal(alone, both[1])


def test_spots_on_the_amplifiers_of_one_detector_show_in_the_other(talking):
    frame = next(frame for frame in calibration_frames(talking) if frame.kind == "spot")
    one, other = talking.detectors
    seen = signals(talking, calibration_frame(talking, frame, one), one)
    source = signals(talking, calibration_frame(talking, frame, other), other)
    spot = source[frame.amplifier] > 0.5 * source[frame.amplifier].max()
    victim = 1 - frame.amplifier  # dark itself
    echo = seen[victim][spot].mean() - np.median(seen[victim])
    linear, quadratic = (matrix[victim, frame.amplifier] for matrix in coefficients(talking)[0, 1])
    level = source[frame.amplifier][spot].mean() - np.median(source[frame.amplifier])
    quiet = survey()
    own = signals(quiet, calibration_frame(quiet, frame, one), one)[victim]
    expected = linear * level + quadratic * level**2
    assert echo - (own[spot].mean() - np.median(own)) == pytest.approx(expected, abs=0.5)


def test_detectors_of_different_boards_are_quiet_and_coefficients_fall_off():
    plan = Survey.plan(
        small(camera="simcam9", detectors=[], sky={"stars": None, "galaxies": None},
              detector_crosstalk={"board": 3, "linear": 1e-4, "scatter": 0.0}), 1
    )  # fmt: skip
    found = coefficients(plan)
    assert {(one // 3, other // 3) for one, other in found} == {(k, k) for k in range(3)}
    assert found[0, 1][0][0, 0] == pytest.approx(1e-4)
    assert found[0, 2][0][0, 0] == pytest.approx(1e-4 * 2.0**-1.5)
    assert found[0, 1][0][0, 1] == pytest.approx(1e-4 * 2.0**-1.5)


def test_the_truth_is_a_table_that_gives_the_same_frames(talking, tmp_path):
    pacsv.write_csv(to_arrow(detector_crosstalk_truth(talking)), tmp_path / "mine.csv")
    again = survey(detector_crosstalk={"table": str(tmp_path / "mine.csv")})
    for pair, matrices in coefficients(talking).items():
        np.testing.assert_allclose(coefficients(again)[pair], matrices)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0,A,7,A,1e-4", "column aggressor_detector, row 0: is no detector of the camera"),
        ("0,A,1,Z,1e-4", "column aggressor, row 0: is no amplifier of its detector .got 'Z'"),
        ("0,A,0,B,1e-4", "column aggressor_detector, row 0: is the victim's own"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, row, message):
    (tmp_path / "mine.csv").write_text(f"detector,victim,aggressor_detector,aggressor,linear\n{row}\n")
    with pytest.raises(InputError, match=message):
        coefficients(survey(detector_crosstalk={"table": str(tmp_path / "mine.csv")}))
