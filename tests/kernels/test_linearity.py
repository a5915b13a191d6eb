import numpy as np

from etendue.kernels.linearity import apply_factors


def test_factors_agree_with_the_definition():
    rng = np.random.default_rng(1)
    image = rng.uniform(-100.0, 1300.0, (20, 30)).astype(np.float32)
    image[3, 4] = np.nan
    factors = rng.uniform(0.9, 1.1, 11).astype(np.float32)
    expected = image * np.interp(image, 100.0 * np.arange(11), factors)
    apply_factors(image, factors, 100.0)
    np.testing.assert_allclose(image, expected, rtol=3e-6, atol=1e-4)
    assert np.isnan(image[3, 4])
