"""The joint fit of point sources settles, on crowds of bright stars and on noise."""

import numpy as np
import pytest

from etendue.kernels.point_sources import fit_point_sources
from etendue.kernels.psf_fit import normalised

SHAPE = (120, 120)


def wide_psf():
    """Return a Gaussian of 5.8 px FWHM on a grid of whole pixels."""
    offset = np.arange(-22.0, 23.0)
    return normalised(np.exp(-0.5 * (offset**2 + offset[:, None] ** 2) / 2.45**2)[None], 1.0)


def fitted(image, x, y, **options):
    return fit_point_sources(
        image, np.full(SHAPE, 25.0), np.zeros(SHAPE, bool), components=wide_psf(), terms=np.ones((x.size, 1)), step=1.0,
        size=31, x=x, y=y, free=np.zeros(x.size, bool), radius=17.0, **options,
    )  # fmt: skip


@pytest.mark.parametrize("n", [0, 1, 20, 500])
def test_fluxes_of_places_in_noise_settle_however_many_overlap(n):
    rng = np.random.default_rng(3)
    x, y = rng.uniform(0.0, 119.0, (2, n))
    fit = fitted(rng.normal(0.0, 1e4, SHAPE), x, y, sweeps=(3, 3))
    assert not fit.diverged
    assert np.isfinite(fit.flux).all()


def test_bright_stars_that_overlap_get_their_fluxes():
    rng = np.random.default_rng(5)
    x, y = rng.uniform(10.0, 109.0, (2, 40))
    flux = 10.0 ** rng.uniform(5.0, 7.0, x.size)
    offset, variance = np.arange(SHAPE[0]), 2.45**2 + 1.0 / 3.0  # that of the splines added
    across, along = (np.exp(-0.5 * (offset[:, None] - p) ** 2 / variance) for p in (x, y))
    image = (along * flux) @ across.T / (2.0 * np.pi * variance) + rng.normal(0.0, 5.0, SHAPE)
    fit = fitted(image, x, y, sweeps=(3, 3))
    assert not fit.diverged
    assert np.median(np.abs(fit.flux / flux - 1.0)) < 0.01


@pytest.mark.parametrize("background", [0.0, 1e-6])
def test_an_image_without_signal_does_not_count_as_diverged(background):
    x, y = np.random.default_rng(4).uniform(0.0, 119.0, (2, 20))
    assert not fitted(np.full(SHAPE, background), x, y).diverged
