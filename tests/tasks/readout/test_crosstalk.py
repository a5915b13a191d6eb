from dataclasses import replace

import numpy as np
import pytest

from etendue.camera.segments import Segments
from etendue.camera.shipped import load_camera
from etendue.errors import InputError
from etendue.image.crosstalk import Coupling, Crosstalk
from etendue.simulate.ccd.crosstalk import Partner
from etendue.tasks.readout.crosstalk import CorrectCrosstalkConfig, CorrectCrosstalkTask, crosstalk_of
from etendue.tasks.readout.overscan import SubtractOverscanTask

MATRIX = ((0.0, 2e-3, 1e-3, 0.0), (1.5e-3, 0.0, -8e-4, 4e-4), (0.0, 0.0, 0.0, 1e-3), (3e-3, 1e-3, 5e-4, 0.0))
BENT = tuple(tuple(1e-6 * value for value in row) for row in MATRIX)


def names(ccd):
    return tuple(a.name for a in ccd.detector.amplifiers)


def lit(ccd, aggressor, level=60000.0):
    light = np.full(ccd.shape, 100.0, np.float32)
    ccd.orders[aggressor].view(light, ccd.detector)[8:40, 8:40] = level
    return light


def read(raw, detector):
    segments = Segments.of(raw, detector)
    SubtractOverscanTask().run(segments)
    return segments


def test_ghosts_of_bright_light_vanish_and_are_marked(make_ccd, make_chip, even_bias):
    spec = {"matrix": MATRIX, "quadratic_matrix": BENT}
    mixed = make_ccd(make_chip(), crosstalk=spec, shot_noise=False, bias=even_bias)
    clean = make_ccd(make_chip(), shot_noise=False, bias=even_bias)
    light, rng = lit(mixed, 1, 60000.0), np.random.default_rng
    raw, wanted = (ccd.expose(light, 1.0, rng(1)).raw for ccd in (mixed, clean))
    segments = read(raw, mixed.detector)
    before = segments.assemble()
    crosstalk = Crosstalk(names(mixed), Coupling.of(MATRIX, BENT))
    marked = CorrectCrosstalkTask(CorrectCrosstalkConfig(mask_above=20.0)).run(segments, crosstalk)
    expected = read(wanted, clean.detector).assemble()
    assert np.abs(before - expected).max() > 75.0
    assert np.abs(segments.assemble() - expected).max() < 1.1  # counts are integers
    assert (marked == (np.abs(before - expected) > 20.0)).mean() > 0.999
    assert marked.sum() == pytest.approx(2 * 32 * 32, abs=2)  # A0 and A3; A1 holds the light, A2 gets nothing


def test_another_detector_is_taken_out(make_ccd, make_chip, even_bias):
    one, two = make_ccd(make_chip(), bias=even_bias), make_ccd(make_chip().model_copy(update={"id": 9}), bias=even_bias)
    linear = np.zeros((4, 4))
    linear[1, 2] = 4e-3
    theirs = two.collect(lit(two, 2), 1.0, np.random.default_rng(1))
    dark = np.zeros(one.shape, np.float32)
    partner = (Partner(theirs.signals, linear, 0.0 * linear),)
    raw = one.expose(dark, 1.0, np.random.default_rng(2), partners=partner).raw
    segments, other = read(raw, one.detector), read(two.read_out(theirs).raw, two.detector)
    crosstalk = Crosstalk(names(one), Coupling.of(np.zeros((4, 4))), {9: Coupling.of(linear)})
    marked = CorrectCrosstalkTask().run(segments, crosstalk, {9: other})
    assert np.abs(segments.assemble()).max() < 1.1
    assert marked.sum() == 32 * 32


def test_without_coefficients_nothing_changes(make_ccd, make_chip, expose, even_bias):
    ccd = make_ccd(make_chip(), bias=even_bias)
    segments = read(expose(ccd, lit(ccd, 0)), ccd.detector)
    before = segments.array.copy()
    assert CorrectCrosstalkTask().run(segments, Crosstalk(names(ccd), Coupling.of(np.zeros((4, 4))))) is None
    assert (segments.array == before).all()


def test_coefficients_of_other_amplifiers_are_refused(make_ccd, make_chip, expose, even_bias):
    ccd = make_ccd(make_chip(), bias=even_bias)
    segments = read(expose(ccd, lit(ccd, 0)), ccd.detector)
    with pytest.raises(InputError, match="crosstalk is not for detector T"):
        CorrectCrosstalkTask().run(segments, Crosstalk(("A", "B"), Coupling.of(np.zeros((2, 2)))))
    foreign = replace(Crosstalk(names(ccd), Coupling.of(np.zeros((4, 4)))), others={3: Coupling.of([[1e-3]] * 4)})
    with pytest.raises(InputError, match="of 4 amplifiers, has other coefficients"):
        CorrectCrosstalkTask().run(segments, foreign, {3: segments})


def test_a_camera_says_its_own_crosstalk():
    described = crosstalk_of(load_camera("simcam4").detector(0).model_copy(update={"crosstalk": MATRIX}))
    assert described is not None
    np.testing.assert_array_equal(described.own.linear, MATRIX)
    assert np.isnan(described.own.linear_err).all()
    assert crosstalk_of(load_camera("simcam4").detector(0)) is None
