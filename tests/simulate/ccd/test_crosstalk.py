import numpy as np
import pytest
from pydantic import ValidationError

from etendue.errors import InputError
from etendue.simulate.ccd.crosstalk import CrosstalkSpec, Partner

EVEN = {"row_ramp_adu": 0.0, "column_ramp_adu": 0.0, "column_rms_adu": 0.0, "pixel_rms_adu": 0.0}


def spots(ccd, aggressor, level):
    """Return light with bright squares in one amplifier, 1 elsewhere."""
    light = np.ones(ccd.shape, np.float32)
    ccd.orders[aggressor].view(light, ccd.detector)[8:40, 8:40] = level
    return light


def echo(ccd, light, aggressor, seed=0):
    """Return signal of the aggressor and of each victim at the same time of reading, over its surroundings [ADU]."""
    raw = ccd.detector.trim(ccd.expose(light, 1.0, np.random.default_rng(seed)).raw).astype(float)
    views = [order.view(raw, ccd.detector) for order in ccd.orders]
    levels = np.array([np.mean(view[8:40, 8:40]) - np.mean(view[44:60, 8:40]) for view in views])
    return levels[aggressor], levels


def test_the_matrix_comes_back_from_bright_spots(make_ccd, make_chip):
    matrix = ((0.0, 2e-3, 1e-3, 0.0), (1.5e-3, 0.0, -8e-4, 4e-4), (0.0, 0.0, 0.0, 1e-3), (3e-3, 1e-3, 5e-4, 0.0))
    spec = {"matrix": matrix, "quadratic_matrix": ((0.0,) * 4,) * 4}
    ccd = make_ccd(make_chip(), crosstalk=spec, read_noise={}, bias=EVEN)
    for aggressor in range(4):
        found = []
        for seed in range(6):
            source, victims = echo(ccd, spots(ccd, aggressor, 60000.0), aggressor, seed)
            found.append(victims / source)
        found = np.mean(found, axis=0)
        victims = np.arange(4) != aggressor
        error = 5.0 / 1.5 / np.sqrt(6 * 16 * 32) / 40000.0
        np.testing.assert_allclose(found[victims], np.array(matrix)[victims, aggressor], atol=6.0 * error + 2e-6)


def test_quadratic_crosstalk_comes_back_from_spots_of_two_levels(make_ccd, make_chip):
    linear, quadratic = np.zeros((2, 2, 2))
    linear[0, 1], quadratic[0, 1] = 1e-3, 2e-8
    spec = {"matrix": linear.tolist(), "quadratic_matrix": quadratic.tolist()}
    ccd = make_ccd(make_chip(64, 128, stories=1), shot_noise=False, crosstalk=spec, bias=EVEN, read_noise={})
    signal, victim = np.zeros((2, 3))
    for k, level in enumerate((20000.0, 40000.0, 80000.0)):
        pairs = [echo(ccd, spots(ccd, 1, level), 1, seed) for seed in range(8)]
        signal[k], victim[k] = np.mean([p[0] for p in pairs]), np.mean([p[1][0] for p in pairs])
    slope, offset = np.polyfit(signal, victim / signal, 1)
    assert offset == pytest.approx(1e-3, rel=0.05)
    assert slope == pytest.approx(2e-8, rel=0.05)


def test_a_partner_talks_into_this_detector(make_ccd, make_chip):
    one, two = make_ccd(make_chip()), make_ccd(make_chip().model_copy(update={"id": 9}), shot_noise=False)
    theirs = two.collect(spots(two, 2, 50000.0), 1.0, np.random.default_rng(1))
    linear = np.zeros((4, 4))
    linear[1, 2] = 4e-3
    dark = np.zeros(one.shape, np.float32)
    out = one.expose(dark, 1.0, np.random.default_rng(2), partners=(Partner(theirs.signals, linear, 0.0 * linear),))
    trimmed = one.detector.trim(out.raw)
    expected = 4e-3 * 50000.0 / two.gains[2]
    assert one.orders[1].view(trimmed, one.detector)[8:40, 8:40].mean() == pytest.approx(expected, abs=0.5)
    assert trimmed.sum() == pytest.approx(expected * 32 * 32, rel=0.01)


def test_drawn_coefficients_fall_off_with_distance(make_ccd, make_chip):
    ccd = make_ccd(make_chip(columns=4, stories=1), crosstalk={"linear": 1e-4, "scatter": 0.1})
    linear = ccd.crosstalk[0]
    assert not np.diag(linear).any()
    assert linear[0, 1] == pytest.approx(1e-4, rel=0.5)
    assert linear[0, 3] < 0.5 * linear[0, 1]


def test_matrices_that_do_not_fit_are_refused(make_ccd):
    with pytest.raises(ValidationError, match="zeros on the diagonal"):
        CrosstalkSpec(matrix=((1.0, 0.0), (0.0, 0.0)))
    with pytest.raises(InputError, match="crosstalk matrix is not for this detector"):
        make_ccd(crosstalk={"matrix": ((0.0, 1e-4), (1e-4, 0.0))}).crosstalk  # noqa: B018
