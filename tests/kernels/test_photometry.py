"""Templates, moments and mask bits against their definitions."""

import numpy as np
import pytest

from etendue.image.psf import GaussianMixturePsf, pixel_basis_of
from etendue.kernels.broad_fraction import broad_fraction
from etendue.kernels.moments import adaptive_moments
from etendue.kernels.photometry import isolated_stamps, mask_bits, stamp_chi2


def sources(n=1):
    psf = GaussianMixturePsf.circular(1.2, 25)
    return psf.draw(x=np.full(n, 30.2), y=np.full(n, 30.4))


def test_broad_fraction_is_zero_for_stars_one_for_the_broad_template_and_its_errors_are_calibrated():
    rng = np.random.default_rng(5)
    n, psf = 800, pixel_basis_of(GaussianMixturePsf.circular(1.0, 15), x=0.0, y=0.0)
    narrow, broad = psf.draw(x=[7.0], y=[7.0]).value[0], psf.broadened(0.8).draw(x=[7.0], y=[7.0]).value[0]
    for truth in (0.0, 1.0):
        scene = np.tile(500.0 * ((1 - truth) * narrow + truth * broad), (1, n)) + rng.normal(size=(15, 15 * n))
        none, x = np.zeros(n, np.int64), 15.0 * np.arange(n) + 7.0
        fraction, error = broad_fraction(
            scene, np.ones_like(scene), np.ones_like(scene), np.zeros(scene.shape, bool), np.zeros(0, np.float32),
            np.zeros(n + 1, np.int64), none, none, none, none, psf.components, psf.broadened(0.8).components,
            psf.terms(x=x, y=x), psf.step, x, np.full(n, 7.0), np.full(n, 500.0), 15, 6.0, 0.0,
        )  # fmt: skip
        pull = (fraction - truth) / error
        assert abs(pull.mean()) < 4 / np.sqrt(n) + 0.1
        assert abs(pull.std() - 1.0) < 0.1


def test_moments_of_a_marginally_sampled_star_do_not_depend_on_its_phase():
    psf = GaussianMixturePsf([1.0], [0.6], [0.5], [0.05], 25)
    x, y = np.random.default_rng(6).uniform(100, 101, (2, 50))
    stamps = psf.draw(x=x, y=y)
    moments = adaptive_moments(stamps.value, stamps.value < -1, x - stamps.x0, y - stamps.y0, 1.0, 200)
    for measured, truth in zip(moments[:3], (0.6, 0.5, 0.05), strict=True):
        np.testing.assert_allclose(measured, truth, atol=0.01)
    np.testing.assert_allclose(moments[3], 1.0, rtol=0.02)


def test_moments_of_nothing_are_nan():
    empty = np.zeros((2, 15, 15))
    empty[1] = -1.0
    assert np.isnan(adaptive_moments(empty, empty > 1, np.full(2, 7.0), np.full(2, 7.0), 1.0, 50)[0]).all()


def test_stamps_outside_the_image_are_unusable():
    stamps = sources()
    data, bad = isolated_stamps(
        np.zeros((20, 20)), np.zeros((20, 20), bool), stamps.value, stamps.x0, stamps.y0, np.array([10.0])
    )
    np.testing.assert_allclose(data[~bad], 10.0 * stamps.value[~bad])
    assert bad.sum() == 25 * 25 - (20 - stamps.x0[0]) * (20 - stamps.y0[0])


def test_mask_bits_are_the_union_over_the_square():
    mask = np.zeros((10, 10), np.int32)
    mask[4, 5], mask[6, 5] = 1, 4
    assert mask_bits(mask, np.array([5, 5, 50]), np.array([5, 3, 5]), 1).tolist() == [5, 1, 0]


def test_reduced_chi_square_of_noise_is_one():
    noise = np.random.default_rng(7).normal(0.0, 2.0, (200, 200))
    corner = np.repeat(np.arange(0, 180, 20), 9), np.tile(np.arange(0, 180, 20), 9)
    chi2 = stamp_chi2(noise, np.full(noise.shape, 4.0), *corner, 21, 8.0, 0.0)
    assert chi2.mean() == pytest.approx(1.0, abs=0.05)
