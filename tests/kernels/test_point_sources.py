"""The joint fit of point sources says where it cannot settle."""

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


@pytest.mark.parametrize(("n", "diverged"), [(0, False), (1, False), (20, False), (500, True)])
def test_fluxes_of_places_in_noise_diverge_only_where_dozens_overlap(n, diverged):
    rng = np.random.default_rng(3)
    x, y = rng.uniform(0.0, 119.0, (2, n))
    fit = fitted(rng.normal(0.0, 1e4, SHAPE), x, y, sweeps=(3, 3))
    assert fit.diverged == diverged


@pytest.mark.parametrize("background", [0.0, 1e-6])
def test_an_image_without_signal_does_not_count_as_diverged(background):
    x, y = np.random.default_rng(4).uniform(0.0, 119.0, (2, 20))
    assert not fitted(np.full(SHAPE, background), x, y).diverged
