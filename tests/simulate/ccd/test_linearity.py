import numpy as np
import pytest
from pydantic import ValidationError

from etendue.simulate.ccd.linearity import LinearitySpec


def ramp(ccd, levels):
    """Return mean signal of each amplifier over the light [ADU/e], shape (levels, amplifiers)."""
    detector, means = ccd.detector, []
    for k, level in enumerate(levels):
        raw = detector.trim(ccd.expose(np.full(ccd.shape, level, np.float32), 1.0, np.random.default_rng(k)).raw)
        means.append([raw[a.bbox.slices_in(detector.bbox)].mean() / level for a in detector.amplifiers])
    return np.array(means)


def test_a_polynomial_comes_back_from_a_ramp_of_flats(make_ccd, make_chip):
    coefficients = (-0.03, 0.012)
    ccd = make_ccd(make_chip(256, 256), linearity={"coefficients": coefficients, "scatter": 0.2})
    levels = np.linspace(5000.0, 90000.0, 12)
    for mean, strength in zip(ramp(ccd, levels).T, ccd.linearity[0], strict=True):
        fit = np.polynomial.polynomial.polyfit(levels / 1e5, mean, 2, w=np.sqrt(levels))
        assert fit[1] / fit[0] == pytest.approx(strength * coefficients[0], abs=2.5e-3)
        assert fit[2] / fit[0] == pytest.approx(strength * coefficients[1], abs=3e-3)


def test_knots_come_back_from_a_ramp_of_flats(make_ccd, make_chip):
    knots = ((0.0, 0.0), (20000.0, 0.01), (50000.0, -0.005), (90000.0, -0.03))
    ccd = make_ccd(make_chip(256, 256, columns=1, stories=1), linearity={"knots": knots, "scatter": 0.0})
    found = ramp(ccd, [20000.0, 50000.0, 90000.0])[:, 0] * ccd.gains[0] - 1.0
    np.testing.assert_allclose(found, [0.01, -0.005, -0.03], atol=2e-4)


def test_gain_is_exact_where_the_deviation_vanishes(make_ccd, make_chip):
    ccd = make_ccd(make_chip(gain=1.0), shot_noise=False, linearity={"coefficients": (-0.05,), "scatter": 0.0})
    raw = ccd.detector.trim(ccd.expose(np.full(ccd.shape, 10.0, np.float32), 1.0, np.random.default_rng(1)).raw)
    assert raw[0, 0] == 10


def test_knots_must_ascend():
    with pytest.raises(ValidationError, match="at least four, with ascending inputs"):
        LinearitySpec(knots=((0.0, 0.0), (2.0, 0.0), (1.0, 0.0), (3.0, 0.0)))
