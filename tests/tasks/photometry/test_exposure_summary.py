"""Summary statistics agree with their definitions."""

import numpy as np
import pytest

from etendue.image.psf_gaussian import GaussianMixturePsf
from etendue.tasks.photometry.exposure_summary import (
    determinant_radius,
    effective_time,
    farthest_from_stars,
    limiting_magnitude,
    psf_star_residuals,
    psf_variation,
)


class Varying:
    """A Gaussian PSF whose sigma grows along x."""

    size = 41

    def moments(self, *, x, y):
        square = self._sigma(x) ** 2
        return square, square, np.zeros_like(square)

    def draw(self, *, x, y):
        stamps = [GaussianMixturePsf.circular(float(s), size=41).stamp(x=0.0, y=0.0) for s in self._sigma(x)]
        return type("Stamps", (), {"value": np.stack(stamps)})()

    def _sigma(self, x):
        return 2.0 + np.asarray(x, float) / 1000.0


def test_residuals_of_psf_stars_are_medians_and_scaled_deviations():
    rng = np.random.default_rng(1)
    model = np.stack([np.full(2000, 4.0), np.full(2000, 3.6), np.full(2000, 0.2)])
    star = model + np.array([[0.02], [0.0], [0.0]]) + 0.05 * rng.standard_normal(model.shape)
    star[0, 0] = np.nan
    found = psf_star_residuals(star, model)
    assert found["psfStarDeltaE1Median"] == pytest.approx((0.42 / 7.62) - (0.4 / 7.6), abs=4 * 1.25 * 0.01 / 2000**0.5)
    assert found["psfStarDeltaE2Scatter"] == pytest.approx(2.0 * 0.05 / 7.6, rel=0.08)
    size = determinant_radius(4.0, 3.6, 0.2)
    assert size == (4.0 * 3.6 - 0.04) ** 0.25
    ratio = found["psfStarDeltaSizeScatter"] / found["psfStarScaledDeltaSizeScatter"]
    assert ratio == pytest.approx(size**2)
    assert np.isnan(psf_star_residuals(star[:, :0], model[:, :0])["psfStarDeltaSizeMedian"])


def test_variation_of_the_psf_is_largest_minus_smallest():
    x, y = np.linspace(0.0, 500.0, 6), np.zeros(6)
    found = psf_variation(Varying(), x, y)
    assert found["psfTraceRadiusDelta"] == pytest.approx(0.5)
    radius = 3.0 * 2.25  # three times the mean sigma
    shares = 1.0 - np.exp(-0.5 * (radius / np.array([2.0, 2.5])) ** 2)
    assert found["psfApFluxDelta"] == pytest.approx(shares[0] - shares[1], rel=0.1)
    assert found["psfApCorrSigmaScaledDelta"] < 0.1 * found["psfApFluxDelta"]
    assert np.isnan(psf_variation(Varying(), x[:0], y[:0])["psfTraceRadiusDelta"])


def test_the_farthest_place_is_found():
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(0.0, 101.0), np.arange(0.0, 51.0)))
    assert farthest_from_stars(x, y, np.array([0.0, 50.0]), np.array([0.0, 0.0])) == np.hypot(50.0, 50.0)
    assert np.isnan(farthest_from_stars(x, y, np.array([]), np.array([])))


@pytest.mark.parametrize("noise", [0.0, 3.0, 50.0])
def test_a_source_of_the_limiting_magnitude_has_the_ratio(noise):
    limit = limiting_magnitude(zero_point_mag=30.0, noise=noise, psf_area=20.0, snr=5.0)
    flux = 10.0 ** (0.4 * (30.0 - limit))
    assert flux / np.sqrt(flux + 20.0 * noise**2) == pytest.approx(5.0)


def test_effective_time_is_a_product_of_its_scales():
    fiducial = {"fiducial_psf_sigma_px": 2.0, "fiducial_sky_electron_per_s": 40.0, "fiducial_zero_point_mag": 28.0}
    zero_point = 28.0 + 2.5 * np.log10(30.0)
    same = effective_time(
        exposure_time_s=30.0, psf_sigma_px=2.0, sky_electron=1200.0, zero_point_mag=zero_point, **fiducial
    )
    assert same["effTime"] == pytest.approx(30.0)
    worse = effective_time(
        exposure_time_s=30.0, psf_sigma_px=4.0, sky_electron=2400.0, zero_point_mag=zero_point - 0.5, **fiducial
    )
    assert worse["effTimePsfSigmaScale"] == pytest.approx(0.25)
    assert worse["effTimeSkyBgScale"] == pytest.approx(0.5)
    assert worse["effTimeZeroPointScale"] == pytest.approx(10.0**-0.4)
    assert worse["effTime"] == pytest.approx(30.0 * 0.125 * 10.0**-0.4)
