import numpy as np
import pytest
from scipy.ndimage import convolve1d

from etendue.kernels.charge_collection import diffuse


@pytest.mark.parametrize("sigma", [0.2, 0.4, 0.58, 0.8, 1.0])
def test_second_moments_grow_by_the_variance_of_diffusion(make_ccd, make_chip, sigma):
    detector = make_chip(64, 64, columns=1, stories=1, gain=1.0)
    ccd = make_ccd(detector, shot_noise=False, diffusion={"sigma_px": sigma})
    line = np.arange(64) - 31.7
    light = np.exp(-0.5 * (line[:, None] ** 2 + line[None, :] ** 2) / 4.0)
    light = (60000.0 * light).astype(np.float32)
    found = detector.trim(ccd.expose(light, 1.0, np.random.default_rng(1)).raw).astype(float)
    for axis in (0, 1):
        before, after = (np.sum(image.sum(axis) * line**2) / image.sum() for image in (light.astype(float), found))
        assert after - before == pytest.approx(sigma**2, abs=2e-3)
    assert found.sum() == pytest.approx(light.sum(), rel=1e-4)  # rounded to ADU


@pytest.mark.parametrize("shape", [(40, 30), (5, 4), (1, 7), (3, 1), (2, 2)])
def test_diffusion_agrees_with_the_slow_definition(shape):
    light = np.random.default_rng(1).uniform(0.0, 1000.0, shape).astype(np.float32)
    expected, weights = light.astype(float), [0.03, 0.2, 0.54, 0.2, 0.03]
    for axis in (1, 0):
        expected = convolve1d(expected, weights, axis=axis, mode="reflect")
    diffuse(light, 0.2, 0.03)
    if min(shape) > 2:
        np.testing.assert_allclose(light, expected, rtol=1e-5)
    assert np.isfinite(light).all()
