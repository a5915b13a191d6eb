"""The joint fit of point sources: unbiased, with calibrated errors, blends included."""

import numpy as np
import pytest

from etendue.image.psf import GaussianMixturePsf, pixel_basis_of
from etendue.kernels.fisher import count_neighbours, fit_covariances
from etendue.kernels.point_sources import fit_point_sources, model_variance, pixel_noise

PSF = pixel_basis_of(GaussianMixturePsf([0.85, 0.15], [0.7, 2.5], [0.8, 2.5], [0.05, 0.0], 21), x=0.0, y=0.0)
RADIUS = 5.0


def rendered(shape, x, y, flux):
    image = np.zeros((shape[0] + 40, shape[1] + 40))
    stamps = PSF.draw(x=x, y=y)
    for stamp, x0, y0, f in zip(stamps.value, stamps.x0, stamps.y0, flux, strict=True):
        image[y0 + 20 : y0 + 41, x0 + 20 : x0 + 41] += f * stamp
    return image[20:-20, 20:-20].copy()


def fitted(image, variance, x, y, *, free=True, bad=None, **options):
    bad = np.zeros(image.shape, bool) if bad is None else bad
    every = np.full(x.size, free)
    terms = PSF.terms(x=x, y=y)
    fit = fit_point_sources(
        image, variance, bad, components=PSF.components, terms=terms, step=PSF.step, size=PSF.size,
        x=x, y=y, free=every, radius=RADIUS, **options,
    )  # fmt: skip
    covariance = fit_covariances(
        fit.weight_variance,
        variance,
        PSF.components,
        terms,
        PSF.step,
        fit.x,
        fit.y,
        fit.flux,
        every,
        13,
        RADIUS,
        0.02,
        5.0,
    )
    return fit, covariance


def lattice(n, pitch=24, seed=1):
    rng = np.random.default_rng(seed)
    x, y = (axis.ravel() * float(pitch) + pitch / 2 for axis in np.meshgrid(np.arange(n), np.arange(n)))
    return x + rng.uniform(-0.5, 0.5, n * n), y + rng.uniform(-0.5, 0.5, n * n), (n * pitch, n * pitch)


@pytest.mark.parametrize(("snr", "free"), [(7, False), (20, True), (100, True), (1000, True)])
def test_pulls_of_flux_and_position_have_unit_width(snr, free):
    x, y, shape = lattice(22)
    sky = 400.0
    flux = np.full(x.size, snr * np.sqrt(sky * PSF.effective_area(x=0.0, y=0.0)[0]))
    truth = rendered(shape, x, y, flux)
    rng = np.random.default_rng(snr)
    image = rng.poisson(truth + sky) - sky
    variance = np.maximum(image + sky, 1.0)
    start = rng.normal(0.0, 0.1, (2, x.size)) * free
    fit, covariance = fitted(image.astype(float), variance.astype(float), x + start[0], y + start[1], free=free)
    tolerance = 4.0 / np.sqrt(x.size)
    for k, residual in enumerate((fit.flux - flux, fit.x - x, fit.y - y)[: 3 if free else 1]):
        pull = residual / np.sqrt(covariance[:, k, k])
        assert abs(pull.mean()) < tolerance + 0.05, k
        assert abs(pull.std() - 1.0) < tolerance / np.sqrt(2) + 0.02, k


def test_blends_are_split_without_bias_and_their_errors_grow():
    x, y, shape = lattice(16)
    angle = np.random.default_rng(3).uniform(0, 2 * np.pi, x.size)
    pair_x, pair_y = np.append(x, x + 2.5 * np.cos(angle)), np.append(y, y + 2.5 * np.sin(angle))
    flux = np.repeat([9000.0, 3000.0], x.size)
    noise = np.random.default_rng(4).normal(0.0, 20.0, shape)
    fit, covariance = fitted(rendered(shape, pair_x, pair_y, flux) + noise, np.full(shape, 400.0), pair_x, pair_y)
    pull = (fit.flux - flux) / np.sqrt(covariance[:, 0, 0])
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size) + 0.05
    assert abs(pull.std() - 1.0) < 0.12
    _, alone = fitted(rendered(shape, x, y, flux[: x.size]) + noise, np.full(shape, 400.0), x, y)
    assert np.median(covariance[: x.size, 0, 0]) > 1.03 * np.median(alone[:, 0, 0])


def test_a_masked_cosmic_ray_does_not_matter():
    x, y, shape = lattice(4)
    clean = rendered(shape, x, y, np.full(16, 5000.0))
    bad = np.zeros(shape, bool)
    bad[np.rint(y).astype(int), np.rint(x).astype(int) + 1] = True
    fit, _ = fitted(np.where(bad, 1e5, clean), np.full(shape, 1.0), x, y, bad=bad)
    np.testing.assert_allclose(fit.flux, 5000.0, rtol=1e-3)
    np.testing.assert_allclose(fit.x, x, atol=1e-3)


def test_sources_without_usable_pixels_have_no_error():
    x, y = np.array([30.0, -40.0, 12.0]), np.array([30.0, 5.0, 12.0])
    bad = np.zeros((60, 60), bool)
    bad[20:40, 20:40] = True
    _, covariance = fitted(np.zeros((60, 60)), np.ones((60, 60)), x, y, bad=bad)
    assert np.isfinite(covariance[:, 0, 0]).tolist() == [False, False, True]


def test_a_local_background_does_not_leak_into_fluxes():
    x, y, shape = lattice(8)
    image = rendered(shape, x, y, np.full(64, 2000.0)) + 5.0
    variance = np.full(shape, 100.0)
    with_sky, _ = fitted(image, variance, x, y, sweeps=(2, 2, 2), sky_cell=24)
    assert np.median(with_sky.flux) == pytest.approx(2000.0, rel=3e-3)
    assert np.median(with_sky.sky) == pytest.approx(5.0, abs=0.2)


def test_the_slope_of_the_variance_is_the_inverse_gain_and_the_model_replaces_the_photon_noise():
    rng = np.random.default_rng(8)
    image = np.zeros((50, 50))
    image[:10] = 5000.0
    variance = 100.0 + 0.5 * image
    bad = np.zeros(image.shape, bool)
    noisy = image + rng.normal(0.0, 1.0, image.shape) * np.sqrt(variance)
    assert pixel_noise(image, variance, bad).slope == pytest.approx(0.5)
    observed = 100.0 + 0.5 * noisy
    bad[20, 20] = True
    smooth = np.maximum(observed, 1.0)
    model_variance(smooth, noisy - image, 0.5, bad, smooth)
    assert np.isinf(smooth[20, 20])
    bad[20, 20], smooth[20, 20] = False, 100.0
    np.testing.assert_allclose(smooth[observed > 40], variance[observed > 40], rtol=0.2)


def test_neighbours_are_counted_from_both_sides():
    assert count_neighbours(np.array([0.0, 1.0, 9.0, 1.0]), np.array([0.0, 0.0, 0.0, 5.0]), 2.0).tolist() == [
        1,
        1,
        0,
        0,
    ]
