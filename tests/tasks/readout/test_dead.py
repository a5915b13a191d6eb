import numpy as np
import pytest

from etendue.camera.segments import Segments
from etendue.tasks.readout.dead import dead_amplifiers


@pytest.fixture
def raw(make_ccd, make_chip, expose):
    ccd = make_ccd(make_chip(), read_noise={}, bias={})
    return expose(ccd, np.full(ccd.shape, 300.0)).astype(np.float32), ccd.detector


@pytest.mark.parametrize("level", [0.0, 1000.0, 60000.0])
def test_live_amplifiers_are_not_dead(make_ccd, make_chip, expose, level):
    ccd = make_ccd(make_chip(), read_noise={}, bias={})
    assert dead_amplifiers(Segments.of(expose(ccd, np.full(ccd.shape, level)), ccd.detector)) == {}


@pytest.mark.parametrize(("value", "reason"), [(0.0, "constant at 0 ADU"), (65535.0, "constant"), (np.nan, "no pixel")])
def test_a_constant_amplifier_is_dead(raw, value, reason):
    array, detector = raw
    array[detector.amplifiers[2].raw_data.slices_in(detector.raw_bbox)] = value
    dead = dead_amplifiers(Segments.of(array, detector))
    assert list(dead) == ["A2"]
    assert dead["A2"].startswith(reason)


def test_an_amplifier_with_a_ramp_but_no_noise_is_dead(raw):
    array, detector = raw
    where = detector.amplifiers[1].raw_data.slices_in(detector.raw_bbox)
    array[where] = np.arange(array[where].shape[0])[:, None]
    assert dead_amplifiers(Segments.of(array, detector)) == {"A1": "no noise where the camera has 3.3 ADU"}


def test_a_quiet_amplifier_without_light_is_not_dead(make_ccd, make_chip, expose, even_bias):
    ccd = make_ccd(make_chip(read_noise=0.6), read_noise={}, bias=even_bias)
    assert dead_amplifiers(Segments.of(expose(ccd, np.zeros(ccd.shape)), ccd.detector)) == {}
