import numpy as np
import pytest

from etendue.errors import AlgorithmError, InputError
from etendue.image.linearizer import AmplifierLinearity, Linearizer
from etendue.tasks.calib.linearizer import MeasureLinearizerConfig, MeasureLinearizerTask
from flat_pairs import MEASURE, pair, statistics

BEND = 1e-6  # [1/e]
LEVELS = np.linspace(1000.0, 45000.0, 16)


def lit(detector, lamp_scatter=0.0, seed=0):
    """Return statistics of flats whose lamp fluctuates."""
    rng = np.random.default_rng(seed)
    found = []
    for level in LEVELS:
        lamp = tuple(1.0 + lamp_scatter * rng.normal(size=2))
        found.append(MEASURE.run(pair(detector, level, seed, lamp=lamp, bend=BEND), detector))
    return found


def worst(linearizer, gain, name):
    """Return the largest deviation from linearity after correction, to 90% of the range."""
    charge = np.linspace(500.0, 0.9 * LEVELS[-1], 200)
    corrected, _ = linearizer[name].corrected(charge / gain * (1.0 - BEND * charge))
    return np.abs(corrected * gain / charge - 1.0).max()


@pytest.mark.parametrize("kind", ["polynomial", "spline", "lookup"])
def test_deviations_of_four_percent_are_left_below_a_tenth_of_a_percent(toy_camera, kind):
    detector = toy_camera.detectors[0]
    config = MeasureLinearizerConfig(kind=kind, knots=4, order=2)
    linearizer = MeasureLinearizerTask(config).run(lit(detector, 2e-4), detector)
    for name, gain in (("left", 2.0), ("right", 3.0)):
        assert worst(linearizer, gain, name) < 1e-3  # levels of 12,000 pixels are known to 0.3e-4 ... 2.5e-4


def test_photodiode_readings_stand_for_a_lamp_that_fades(toy_camera):
    detector = toy_camera.detectors[0]
    found = []
    for k, level in enumerate(LEVELS):
        fading = 1.0 - 0.005 * k
        one = pair(detector, level * fading, k, bend=BEND)
        object.__setattr__(one, "seconds", (level / 1000.0,) * 2)
        object.__setattr__(one, "photodiode", (level * fading,) * 2)
        found.append(MEASURE.run(one, detector))
    linearizer = MeasureLinearizerTask(MeasureLinearizerConfig(kind="polynomial", order=2)).run(found, detector)
    assert worst(linearizer, 2.0, "left") < 1.5e-3


def test_gaps_between_levels_are_bridged_smoothly(toy_camera):
    detector = toy_camera.detectors[0]
    levels = np.geomspace(500.0, LEVELS[-1], 8)  # none in the upper half of the range but the last
    found = [MEASURE.run(pair(detector, level, 3, bend=BEND), detector) for level in levels]
    assert worst(MeasureLinearizerTask().run(found, detector), 2.0, "left") < 3e-3


def test_a_dead_amplifier_is_taken_for_linear(toy_camera):
    detector = toy_camera.detectors[0]
    found = lit(detector)
    for one in found:
        for name in ("level", "covariance", "cell_signal", "cell_variance"):
            getattr(one, name)[1] = np.nan
    linearizer = MeasureLinearizerTask(MeasureLinearizerConfig(knots=4)).run(found, detector)
    np.testing.assert_allclose(linearizer["right"].deviation(np.linspace(0.0, 5e4, 9)), 0.0, atol=1e-12)
    assert worst(linearizer, 2.0, "left") < 1.5e-3


def test_too_few_or_senseless_exposures_are_refused(toy_camera):
    detector = toy_camera.detectors[0]
    with pytest.raises(InputError, match="too few"):
        MeasureLinearizerTask().run(statistics(detector, [1000.0, 2000.0]), detector)
    with pytest.raises(InputError, match="usable exposures are too few for linearity"):
        MeasureLinearizerTask().run(statistics(detector, [10.0] * 5), detector)
    senseless = statistics(detector, LEVELS)
    for k, one in enumerate(senseless):
        object.__setattr__(one, "seconds", (1.5**k,) * 2)
    with pytest.raises(AlgorithmError, match="do not belong together"):
        MeasureLinearizerTask(MeasureLinearizerConfig(lamp_scatter=1e-3)).run(senseless, detector)


def test_products_are_checked_and_survive_json():
    spline = AmplifierLinearity("A", "spline", np.array([0.0, 1e4, 3e4, 6e4]), np.array([0.0, 1e-3, 4e-3, 9e-3]), 1e-4)
    linearizer = Linearizer((spline, AmplifierLinearity("B", "polynomial", np.array([5e4]), np.array([0.01]))))
    again = Linearizer.from_dict(linearizer.to_dict())
    x = np.array([-10.0, 0.0, 2e4, 9e4, np.nan])
    for name in "AB":
        np.testing.assert_array_equal(again[name].deviation(x), linearizer[name].deviation(x))
    np.testing.assert_allclose(linearizer["B"].deviation(x), [0.0, 0.0, 0.004, 0.01, np.nan])
    assert linearizer["B"].corrected(np.array([2e4]))[1] == pytest.approx(1.008)
    with pytest.raises(InputError, match="it has A, B"):
        linearizer["C"]
    with pytest.raises(InputError, match="A: nodes of a spline linearizer do not fit"):
        AmplifierLinearity("A", "spline", np.array([0.0, 2.0, 1.0, 3.0]), np.zeros(4))
    with pytest.raises(InputError, match="not finite"):
        AmplifierLinearity("A", "lookup", np.array([0.0, 1.0]), np.array([0.0, np.nan]))
    with pytest.raises(InputError, match="no such kind of linearizer"):
        AmplifierLinearity("A", "cubic", np.zeros(1), np.zeros(1))
