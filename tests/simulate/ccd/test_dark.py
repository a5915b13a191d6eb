import numpy as np
import pytest

from etendue.simulate.ccd.dark import DarkSpec


def darks(ccd, seconds, count):
    dark = np.zeros(ccd.shape, np.float32)
    return np.array(
        [ccd.detector.trim(ccd.expose(dark, seconds, np.random.default_rng(k)).raw) for k in range(count)], float
    )


def test_dark_current_and_its_noise_come_back_from_darks(make_ccd, make_chip):
    ccd = make_ccd(make_chip(256, 256, columns=1, stories=1, gain=1.0), dark={"rate_e_s": 0.5, "hot_fraction": 0.0})
    times = np.array([0.0, 100.0, 200.0, 400.0])
    stacks = [darks(ccd, t, 2) for t in times]
    assert np.polyfit(times, [s.mean() for s in stacks], 1)[0] == pytest.approx(0.5, rel=0.01)
    assert 0.5 * np.var(stacks[3][0] - stacks[3][1]) == pytest.approx(200.0 + 1 / 12, rel=0.03)


def test_hot_pixels_are_found_and_their_rates_are_exponential(make_ccd, make_chip):
    spec = {"rate_e_s": 0.01, "hot_fraction": 0.003, "hot_rate_e_s": 20.0}
    ccd = make_ccd(make_chip(256, 256, columns=1, stories=1, gain=1.0), dark=spec)
    mean = darks(ccd, 100.0, 3).mean(0)
    found = np.flatnonzero(mean > 60.0)
    strong = ccd.dark.hot[ccd.dark.hot_rate > 0.8]
    assert np.isin(strong, found).all()
    assert np.isin(found, ccd.dark.hot).all()
    np.testing.assert_allclose(mean.ravel()[ccd.dark.hot], 100.0 * ccd.dark.hot_rate + 1.0, rtol=0.1, atol=30.0)
    assert ccd.dark.hot_rate.mean() == pytest.approx(20.0, rel=4.0 / np.sqrt(ccd.dark.hot.size))
    assert (
        ccd.expose(np.zeros(ccd.shape, np.float32), 1.0, np.random.default_rng(1)).masks.defect.sum()
        == ccd.dark.hot.size
    )


def test_dark_current_doubles_every_few_degrees():
    warm = [DarkSpec(reference_c=-20.0, temperature_c=t).warming() for t in (-20.0, -14.0, 20.0)]
    assert warm[0] == 1.0
    assert 1.7 < warm[1] < 2.3
    assert 25.0 < warm[2] < 80.0
