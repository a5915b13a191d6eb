import math
from dataclasses import replace

import numpy as np
import pytest

from etendue.errors import InputError
from etendue.image.ptc import Ptc
from etendue.tasks.calib.gain_trend import MonitorGainTask
from etendue.tasks.calib.ptc import MeasurePtcTask
from flat_pairs import statistics

LEVELS = (200.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 12000.0, 16000.0, 20000.0, 24000.0)


@pytest.fixture(scope="module")
def curve(toy_camera):
    detector = toy_camera.detectors[0]
    return MeasurePtcTask().run([*statistics(detector, [0.0]), *statistics(detector, LEVELS)], detector)


def test_a_steady_gain_is_not_said_to_change_and_errors_are_calibrated(toy_camera, curve):
    detector, pulls = toy_camera.detectors[0], []
    for seed in range(1, 16):
        checks = MonitorGainTask().run(statistics(detector, [10000.0], seed), curve, detector)
        assert not any(check.changed for check in checks)
        pulls += [(c.gain - g) / c.gain_err for c, g in zip(checks, (2.0, 3.0), strict=True)]
    assert abs(np.std(pulls) - 1.0) < 4.0 / math.sqrt(2.0 * len(pulls))


def test_a_gain_that_changed_is_named(toy_camera, curve):
    detector = toy_camera.detectors[0]
    before = Ptc(
        tuple(replace(entry, gain=entry.gain * (1.15 if entry.name == "left" else 1.0)) for entry in curve.amplifiers)
    )
    checks = MonitorGainTask().run(statistics(detector, [10000.0] * 3, 9), before, detector)
    assert [check.changed for check in checks] == [True, False]
    assert checks[0].change == pytest.approx(-0.13, abs=0.03)


def test_pairs_that_say_nothing_give_no_number(toy_camera, curve):
    detector = toy_camera.detectors[0]
    checks = MonitorGainTask().run(statistics(detector, [20.0]), curve, detector)
    assert all(math.isnan(check.gain) and not check.changed for check in checks)
    with pytest.raises(InputError, match="no pair of flats was given"):
        MonitorGainTask().run([], curve, detector)
