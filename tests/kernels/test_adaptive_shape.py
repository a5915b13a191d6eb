"""Adaptive moments and re-Gaussianised shapes against galsim's HSM, and their errors against scatter."""

import galsim
import numpy as np
import pytest

from etendue.image.noise import NoiseAutocorrelation
from etendue.kernels.adaptive_shape import adaptive_shapes
from etendue.kernels.regauss import regauss_shapes

SIDE, WHITE = 61, np.ones((1, 1))
PSF = galsim.Moffat(beta=2.5, fwhm=4.0).shear(g1=0.05, g2=-0.03)


def draw(profile):
    return profile.drawImage(nx=SIDE, ny=SIDE, scale=1.0).array.astype(np.float64)


def measure(image, x, y, variance=1.0, correlation=WHITE):
    """Measure sources that stand alone on an image, without stamps of their own."""
    n = len(x)
    none = np.zeros(n, np.int64)
    pixels = (image, np.full(image.shape, variance), np.zeros(image.shape, bool))
    light = (np.zeros(0, np.float32), np.zeros(n + 1, np.int64), none, none, none, none)
    return adaptive_shapes(*pixels, *light, x, y, np.full(n, 1.7), correlation, 0), (*pixels, *light)


@pytest.fixture(scope="module")
def galaxies():
    rng = np.random.default_rng(3)
    images = []
    for k in range(8):
        kind = galsim.Exponential if k % 2 else galsim.DeVaucouleurs
        intrinsic = kind(half_light_radius=rng.uniform(2.0, 4.0)).shear(g1=rng.normal(0, 0.2), g2=rng.normal(0, 0.2))
        images.append(draw(galsim.Convolve(intrinsic, PSF).withFlux(1e3).shift(0.3, -0.2)))
        images[-1] += rng.normal(0.0, 0.05 * (k > 3), images[-1].shape)
    return images


def test_moments_agree_with_hsm(galaxies):
    for image in galaxies:
        (shape, _), _ = measure(image, np.array([30.0]), np.array([30.0]))
        x, y, ixx, ixy, iyy, flux, rho4 = shape[0]
        hsm = galsim.hsm.FindAdaptiveMom(galsim.ImageD(image, xmin=0, ymin=0))
        ours = x, y, (ixx * iyy - ixy**2) ** 0.25, (ixx - iyy) / (ixx + iyy), 2 * ixy / (ixx + iyy), flux, rho4
        centre, e = hsm.moments_centroid, (hsm.observed_e1, hsm.observed_e2)
        theirs = centre.x, centre.y, hsm.moments_sigma, *e, hsm.moments_amp, hsm.moments_rho4
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-4)


def test_regauss_agrees_with_hsm(galaxies):
    psf = draw(PSF)
    whole = galsim.hsm.HSMParams(nsig_rg=0.0, nsig_rg2=0.0)
    for image in galaxies:
        (shape, _), seen = measure(image, np.array([30.0]), np.array([30.0]))
        e1, e2, _, resolution, *_ = regauss_shapes(*seen, shape, psf[np.newaxis], 1.7, WHITE, 0)[0]
        first, second = (galsim.ImageD(a, xmin=0, ymin=0) for a in (image, psf))
        hsm = galsim.hsm.EstimateShear(first, second, hsmparams=whole)
        theirs = hsm.corrected_e1, hsm.corrected_e2, hsm.resolution_factor
        np.testing.assert_allclose((e1, e2, resolution), theirs, atol=1e-3)


@pytest.mark.parametrize("smoothed", [False, True])
def test_errors_of_moments_are_their_scatter(smoothed):
    rng = np.random.default_rng(8)
    side, n, sigma = 31, 20, 2.0
    y, x = np.mgrid[: side * n, : side * n]
    grid = np.arange(n) * side + 15.0
    dx, dy = x % side - 15.0, y % side - 15.0
    image = 1e3 / (2 * np.pi * sigma**2) * np.exp(-0.5 * (dx**2 + dy**2) / sigma**2)
    kernel = np.array([[0.1, 0.3, 0.1], [0.3, 1.0, 0.3], [0.1, 0.3, 0.1]]) if smoothed else np.ones((1, 1))
    spectrum = np.fft.rfft2(kernel / np.sqrt((kernel**2).sum()), image.shape)
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(0.0, 3.0, image.shape)) * spectrum, image.shape)
    correlation = np.ascontiguousarray(NoiseAutocorrelation.from_filter(kernel).kernel)
    cx, cy = (axis.ravel() for axis in np.meshgrid(grid, grid))
    (shape, covariance), _ = measure(image + noise, cx, cy, 9.0, correlation)
    truth = np.stack([cx, cy, np.full(cx.size, 4.0), np.zeros(cx.size), np.full(cx.size, 4.0)], axis=1)
    pull = (shape[:, :5] - truth) / np.sqrt(np.einsum("ijj->ij", covariance))
    assert np.isfinite(pull).all()
    np.testing.assert_allclose(np.std(pull, axis=0), 1.0, atol=4.0 / np.sqrt(2 * cx.size))


def test_what_has_no_light_has_no_moments():
    (shape, covariance), _ = measure(np.full((40, 40), -1.0), np.array([20.0, np.nan]), np.array([20.0, 5.0]))
    assert np.isnan(shape).all()
    assert np.isnan(covariance).all()
