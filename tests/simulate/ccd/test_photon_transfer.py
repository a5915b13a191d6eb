"""Gain, read noise and the turn-over of the photon-transfer curve, from pairs of flats and biases."""

import numpy as np
import pytest


def pairs(ccd, level, count, seed=0):
    """Return means and variances [ADU, ADU^2] of each amplifier from differences of pairs of flats."""
    detector = ccd.detector
    light = np.full(ccd.shape, level, np.float32)
    mean, variance = np.zeros((2, len(detector.amplifiers)))
    for k in range(count):
        one, two = (
            detector.trim(ccd.expose(light, 1.0, np.random.default_rng([seed, k, side])).raw).astype(float)
            for side in (0, 1)
        )
        for i, amplifier in enumerate(detector.amplifiers):
            inside = amplifier.bbox.slices_in(detector.bbox)
            mean[i] += 0.5 * (one[inside] + two[inside]).mean() / count
            variance[i] += 0.5 * (one[inside] - two[inside]).var() / count
    return mean, variance


def test_gain_and_read_noise_come_back_from_pairs(make_ccd, make_chip):
    detector = make_chip(256, 256)
    ccd = make_ccd(detector, gain={"scatter": 0.1}, read_noise={"electrons": 9.0, "scatter": 0.1}, bias={})
    bias, noise = pairs(ccd, 0.0, 6)
    flat, variance = pairs(ccd, 20000.0, 6, seed=1)
    gain = (flat - bias) / (variance - noise)
    read_noise = gain * np.sqrt(noise - 1.0 / 12.0)
    assert np.ptp(ccd.gains) > 0.05  # the amplifiers differ
    np.testing.assert_allclose(gain, ccd.gains, rtol=4.0 * np.sqrt(2.0 / (6 * 128 * 128)) + 2e-3)
    np.testing.assert_allclose(read_noise, ccd.read_noise, rtol=0.03)


def test_a_perfect_ccds_variance_is_proportional_to_its_mean(make_ccd, make_chip):
    ccd = make_ccd(make_chip(256, 256, columns=1, stories=1, gain=4.0, read_noise=0.0))
    for level in (1000.0, 30000.0, 200000.0):
        mean, variance = pairs(ccd, level, 4)
        assert (variance - 1.0 / 12.0) * 4.0 / mean == pytest.approx(1.0, rel=4.0 * np.sqrt(2.0 / (4 * 256 * 256)))


def test_the_curve_turns_over_at_full_well(make_ccd, make_chip):
    detector = make_chip(128, 128, columns=1, stories=1, gain=2.0)
    ccd = make_ccd(detector, full_well={"electrons": 60000.0, "scatter": 0.0, "column_rms": 0.0})
    levels = np.arange(50000.0, 70000.0, 2000.0)
    variance = np.array([pairs(ccd, level, 2)[1][0] for level in levels])
    turn = levels[np.argmax(variance)]
    assert abs(turn - 58000.0) <= 2000.0
    assert variance[-1] < 0.05 * variance.max()


def test_the_converter_clips_at_its_range_and_says_so(make_ccd, make_chip):
    detector = make_chip(gain=1.0)
    ccd = make_ccd(detector, converter={"bits": 14})
    light = np.full(ccd.shape, 1000.0, np.float32)
    light[5, 7] = 20000.0
    out = ccd.expose(light, 1.0, np.random.default_rng(1))
    assert out.raw.max() == 2**14 - 1
    np.testing.assert_array_equal(np.argwhere(out.masks.saturated), [[5, 7]])


def test_pixel_response_is_what_pairs_of_flats_share(make_ccd, make_chip):
    detector = make_chip(256, 256, columns=1, stories=1, gain=1.0)
    ccd = make_ccd(detector, response={"pixel_rms": 0.01, "column_rms": 0.004})
    light = np.full(ccd.shape, 40000.0, np.float32)
    one, two = (detector.trim(ccd.expose(light, 1.0, np.random.default_rng(k)).raw) / 40000.0 - 1.0 for k in (1, 2))
    columns = one.mean(0)
    assert np.sqrt(np.mean(one * two)) == pytest.approx(np.hypot(0.01, 0.004), rel=0.03)
    assert columns.std() == pytest.approx(0.004, rel=0.2)
    np.testing.assert_allclose(0.5 * (one + two), ccd.response - 1.0, atol=5.5 * np.sqrt(0.5 / 40000.0))


def test_illumination_scales_light_but_not_dark_current(make_ccd, make_chip):
    detector = make_chip(128, 128, columns=1, stories=1, gain=1.0)
    ccd = make_ccd(detector, dark={"rate_e_s": 100.0, "hot_fraction": 0.0})
    ramp = np.tile(np.linspace(0.5, 1.0, 128, dtype=np.float32), (128, 1))
    light = np.full(ccd.shape, 10000.0, np.float32)
    frame = detector.trim(ccd.expose(light, 10.0, np.random.default_rng(1), illumination=ramp).raw).mean(0)
    np.testing.assert_allclose(frame, 10000.0 * ramp[0] + 1000.0, atol=5.0 * np.sqrt(11000.0 / 128))
