"""PSF models: normalisation, centring, representation on the pixel basis, storage."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.errors import InputError
from etendue.image.psf import GaussianMixturePsf, PixelBasisPsf, Psf, pixel_basis_of, psf_from_parts

GAUSSIAN = GaussianMixturePsf([0.8, 0.2], [0.9, 3.0], [1.1, 3.0], [0.1, 0.0], 31)
PIXEL_BASIS = pixel_basis_of(GAUSSIAN, x=[500.0], y=[400.0])


@pytest.mark.parametrize("psf", [GAUSSIAN, PIXEL_BASIS])
def test_offers_the_psf_protocol(psf):
    assert isinstance(psf, Psf)
    assert psf.stamp(x=3.0, y=4.0).shape == (psf.size, psf.size)


@pytest.mark.parametrize("psf", [GAUSSIAN, PIXEL_BASIS])
@given(x=st.floats(-50, 2000), y=st.floats(-50, 2000))
def test_draws_unit_flux_at_the_requested_centroid(psf, x, y):
    stamps = psf.draw(x=[x], y=[y])
    value = stamps.value[0]
    rows, cols = np.mgrid[: psf.size, : psf.size]
    assert value.sum() == pytest.approx(1.0, abs=2e-3)
    assert (value * (cols + stamps.x0[0])).sum() / value.sum() == pytest.approx(x, abs=2e-3)
    assert (value * (rows + stamps.y0[0])).sum() / value.sum() == pytest.approx(y, abs=2e-3)


@given(x=st.floats(100, 101), y=st.floats(100, 101))
def test_the_pixel_basis_reproduces_a_marginally_sampled_psf_at_any_phase(x, y):
    difference = PIXEL_BASIS.draw(x=[x], y=[y]).value - GAUSSIAN.draw(x=[x], y=[y]).value
    assert np.abs(difference).max() < 3e-4


def test_adaptive_moments_of_a_gaussian_are_its_covariance():
    psf = GaussianMixturePsf([1.0], [2.0], [1.5], [0.3], 31)
    np.testing.assert_allclose(np.ravel(psf.moments(x=[1.0], y=[2.0])), [2.0, 1.5, 0.3], rtol=1e-3)


def test_effective_area_of_a_gaussian_is_four_pi_sigma_squared():
    psf = GaussianMixturePsf.circular(1.5)
    assert psf.effective_area(x=0.0, y=0.0)[0] == pytest.approx(4 * np.pi * 1.5**2, rel=1e-6)
    assert psf.fwhm(x=0.0, y=0.0)[0] == pytest.approx(2.3548 * 1.5, rel=1e-3)


def test_broadening_adds_to_the_second_moments():
    ixx, iyy, ixy = (
        float(m[0])
        for m in pixel_basis_of(GaussianMixturePsf.circular(1.0), x=0.0, y=0.0).broadened(0.8).moments(x=0.0, y=0.0)
    )
    assert (ixx, iyy, ixy) == pytest.approx((1.64, 1.64, 0.0), abs=0.01)


@pytest.mark.parametrize("psf", [GAUSSIAN, PIXEL_BASIS])
def test_survives_storage_exactly(psf):
    kind, parameters, arrays = psf.to_parts()
    again = psf_from_parts(kind, json.loads(json.dumps(parameters)), arrays)
    assert again.content_hash() == psf.content_hash()
    np.testing.assert_array_equal(again.stamp(x=7.3, y=8.1), psf.stamp(x=7.3, y=8.1))


def test_refuses_what_cannot_be_a_psf():
    with pytest.raises(InputError, match="Unknown PSF model"):
        psf_from_parts("moffat", {}, {})
    with pytest.raises(InputError, match="odd side"):
        GaussianMixturePsf.circular(1.0, size=30)
    with pytest.raises(InputError, match="needs 3 components"):
        PixelBasisPsf(np.ones((2, 5, 5)), step=0.5, order=1, x_center=0, y_center=0, x_scale=1, y_scale=1, size=3)
