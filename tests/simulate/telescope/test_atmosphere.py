"""The air's transfer functions are those of the literature, and of GalSim."""

import numpy as np
import pytest

from etendue.simulate.telescope.atmosphere import kolmogorov_transfer, moffat_transfer, von_karman_transfer

FREQUENCY = np.linspace(0.0, 3.0, 31)  # [1/arcsec]


def galsim_transfer(profile):
    return np.array([abs(profile.kValue(2.0 * np.pi * k, 0.0)) for k in FREQUENCY])


@pytest.mark.parametrize("fwhm", [0.5, 0.9, 1.6])
def test_kolmogorov_agrees_with_galsim(fwhm):
    galsim = pytest.importorskip("galsim")
    np.testing.assert_allclose(
        kolmogorov_transfer(FREQUENCY, fwhm), galsim_transfer(galsim.Kolmogorov(fwhm=fwhm)), atol=2e-4
    )


@pytest.mark.parametrize("outer_scale_m", [10.0, 25.0, 100.0])
def test_von_karman_agrees_with_galsim(outer_scale_m):
    galsim = pytest.importorskip("galsim")
    profile = galsim.VonKarman(lam=620.0, r0_500=0.15, L0=outer_scale_m)
    ours = von_karman_transfer(FREQUENCY, profile.calculateFWHM(), outer_scale_m, 620.0)
    np.testing.assert_allclose(ours, galsim_transfer(profile), atol=2e-3)


@pytest.mark.parametrize("beta", [2.0, 3.5, 5.0])
def test_moffat_agrees_with_galsim(beta):
    galsim = pytest.importorskip("galsim")
    ours = moffat_transfer(FREQUENCY, 0.8, beta)
    np.testing.assert_allclose(ours, galsim_transfer(galsim.Moffat(beta=beta, fwhm=0.8)), atol=2e-3)


def test_every_transfer_function_starts_at_one_and_never_rises():
    for values in (
        kolmogorov_transfer(FREQUENCY, 1.0),
        von_karman_transfer(FREQUENCY, 1.0, 25.0, 500.0),
        moffat_transfer(FREQUENCY, 1.0, 3.0),
    ):
        assert values[0] == pytest.approx(1.0, abs=1e-6)
        assert (np.diff(values) < 0.0).all()
