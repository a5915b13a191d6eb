"""Fits of galaxies against the definition of their model, galsim's profiles and the scatter under noise."""

import galsim
import numpy as np
import pytest

from etendue.image.noise import NoiseAutocorrelation
from etendue.kernels.galaxies import BULGE, DISC, POINT, fit_galaxies
from etendue.kernels.galaxy_model import draw_profile
from etendue.kernels.profiles import sersic_law, sersic_mixture
from etendue.kernels.psf_mixture import first_mixture, psf_mixture

SIDE, HALF, WHITE = 61, 18, np.ones((1, 1))
PSF = galsim.Kolmogorov(fwhm=3.5).shear(g1=0.03, g2=-0.02)
DISC_PROFILE, BULGE_PROFILE = sersic_mixture(1.0, 6), sersic_mixture(4.0, 9)


def draw(profile):
    return profile.drawImage(nx=SIDE, ny=SIDE, scale=1.0).array.astype(np.float64)


STAMP = draw(PSF)
MIXTURE = psf_mixture(STAMP, first_mixture(1.5))[np.newaxis]


def fit(images, sigma, correlation=WHITE, forced=False):
    """Fit sources that stand in the middle of images of one noise."""
    n = len(images)
    whole = np.ascontiguousarray(np.concatenate(images, axis=1))
    none, x = np.zeros(n, np.int64), np.arange(n) * SIDE + 30.0
    pixels = (whole, np.full(whole.shape, sigma**2), np.zeros(whole.shape, bool))
    light = (np.zeros(0, np.float32), np.zeros(n + 1, np.int64), none, none, none, none)
    start = np.stack([np.full(n, 500.0), x, np.full(n, 30.0), np.full(n, 4.0), np.zeros(n), np.full(n, 4.0)], axis=1)
    stamps, left = np.repeat(STAMP[np.newaxis], n, axis=0), x.astype(np.int64) - 30
    return fit_galaxies(
        *pixels, *light, start, np.full(n, HALF), DISC_PROFILE, BULGE_PROFILE, MIXTURE, none, stamps, left, none,
        int(forced), correlation, 2.0, 1.0, 0,
    )  # fmt: skip


def test_a_drawn_profile_is_its_sum_of_gaussians_with_its_slopes():
    psf = np.array([[0.7, 1.5, 0.2, 2.0], [0.3, 6.0, 0.3, 7.0]])
    y, x = np.mgrid[:31, :35].astype(float)

    def slow(p):
        total = 0.0
        for amplitude, growth in DISC_PROFILE:
            for share, *spread in psf:
                xx, xy, yy = (growth * p[2 + k] + spread[k] for k in range(3))
                det, dx, dy = xx * yy - xy**2, x - p[0], y - p[1]
                rho2 = (yy * dx**2 - 2 * xy * dx * dy + xx * dy**2) / det
                total = total + amplitude * share * np.exp(-0.5 * rho2) / (2 * np.pi * np.sqrt(det))
        return total

    here, out = np.array([16.3, 14.8, 4.0, 1.5, 3.0]), np.empty((6, 31, 35))
    draw_profile(here[0], here[1], here[2:], DISC_PROFILE, psf, out)
    np.testing.assert_allclose(out[0], slow(here), atol=1e-5 * out[0].max())
    for k in range(5):
        step = 1e-5 * np.eye(5)[k]
        slope = (slow(here + step) - slow(here - step)) / 2e-5
        np.testing.assert_allclose(out[1 + k], slope, atol=1e-4 * np.abs(slope).max())


@pytest.mark.parametrize(("index", "count", "tolerance"), [(1.0, 6, 2.5e-4), (4.0, 9, 2e-3), (0.5, 3, 1e-6)])
def test_sums_of_gaussians_hold_the_light_of_sersic_profiles(index, count, tolerance):
    radius = np.geomspace(0.05, 50.0, 60)
    mixture = sersic_mixture(index, count)
    inside = -np.expm1(-0.5 * radius[:, np.newaxis] ** 2 / mixture[:, 1]) @ mixture[:, 0]
    np.testing.assert_allclose(inside, sersic_law(index, radius)[1], atol=tolerance)


@pytest.mark.parametrize(("kind", "model"), [(galsim.Exponential, DISC), (galsim.DeVaucouleurs, BULGE)])
def test_galaxies_of_galsim_are_found_again(kind, model):
    galaxies = [kind(half_light_radius=r).shear(g1=0.2, g2=0.1).withFlux(1e3) for r in (2.0, 3.0)]
    theta, _, chi2, total = fit([draw(galsim.Convolve(g, PSF)) for g in galaxies], 0.02)
    np.testing.assert_allclose(theta[:, model, 0], 1e3, rtol=0.005)
    np.testing.assert_allclose(total[:, 0], 1e3, rtol=0.005)
    xx, xy, yy = theta[:, model, 3:].T
    np.testing.assert_allclose((xx * yy - xy**2) ** 0.25, [2.0, 3.0], rtol=0.01)
    g = galsim.Shear(g1=0.2, g2=0.1)
    np.testing.assert_allclose(((xx - yy) / (xx + yy), 2 * xy / (xx + yy)), [[g.e1] * 2, [g.e2] * 2], atol=0.005)
    assert (chi2[:, model] < chi2[:, BULGE + DISC - model]).all()


def test_a_star_is_a_point_of_its_flux_in_every_model():
    theta, covariance, _, total = fit([1e5 * STAMP], 0.5)
    np.testing.assert_allclose((*theta[0, :, 0], total[0, 0]), 1e5, rtol=1e-5)
    np.testing.assert_allclose(theta[0, DISC, 3:], 0.0, atol=1e-9)
    expected = 0.5 / np.sqrt((STAMP**2).sum())
    assert np.sqrt(covariance[0, POINT, 0, 0]) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("smoothed", [False, True])
def test_errors_are_the_scatter(smoothed):
    rng = np.random.default_rng(8)
    kernel = np.array([[0.1, 0.3, 0.1], [0.3, 1.0, 0.3], [0.1, 0.3, 0.1]]) if smoothed else WHITE
    galaxy, n, sigma = draw(galsim.Convolve(galsim.Exponential(half_light_radius=3.0), PSF).withFlux(1e3)), 200, 0.6
    spectrum = np.fft.rfft2(kernel / np.sqrt((kernel**2).sum()), galaxy.shape)
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(0.0, sigma, (n, SIDE, SIDE))) * spectrum, galaxy.shape)
    correlation = np.ascontiguousarray(NoiseAutocorrelation.from_filter(kernel).kernel)
    theta, covariance, _, _ = fit(list(galaxy + noise), sigma, correlation)
    truth = np.array([1e3, 0.0, 30.0, 9.0, 0.0, 9.0])
    found = theta[:, DISC]
    found[:, 1] -= np.arange(n) * SIDE + 30.0
    pull = (found - truth) / np.sqrt(np.einsum("ijj->ij", covariance[:, DISC]))
    np.testing.assert_allclose(pull.std(axis=0), 1.0, atol=4.0 / np.sqrt(2 * n))
    np.testing.assert_allclose(np.median(pull, axis=0), 0.0, atol=5.0 / np.sqrt(n))


def test_given_places_are_held():
    theta, covariance, _, _ = fit([1e3 * STAMP], 0.5, forced=True)
    np.testing.assert_array_equal(theta[0, :, 1:3], 30.0)
    np.testing.assert_array_equal(covariance[0, :, 1:3, :], 0.0)
