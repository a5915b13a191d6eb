"""Stamps agree with GalSim's, drawn from the same PSF images."""

import numpy as np
import pytest

pytest.importorskip("galsim")
from .galsim_stamps import PSFS, SHAPES, Agreement, compare

PEAK, FLUX, MOMENTS = 3e-3, 1e-3, 1e-3


def within_bars(agreement: Agreement) -> bool:
    moments = np.isnan(agreement.moments) or agreement.moments < MOMENTS
    return bool(agreement.peak < PEAK and agreement.flux < FLUX and moments)


@pytest.mark.filterwarnings("ignore::galsim.errors.GalSimWarning")
@pytest.mark.parametrize(
    ("seed", "number"), [(20262, 0), (20262, 7), (20262, 36), (20262, 24), (20263, 118)]
)  # the last one is drawn on three levels
def test_a_few_stamps_agree_with_galsim(seed: int, number: int) -> None:
    agreement = compare(seed, number)
    assert within_bars(agreement), agreement


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::galsim.errors.GalSimWarning")
def test_two_hundred_stamps_agree_with_galsim() -> None:
    """Every PSF with every shape, five times; where hsm fails on a PSF (wide donuts), moments are not compared."""
    agreements = [compare(20263, number) for number in range(200)]
    assert {(a.psf, a.shape) for a in agreements} == {(psf, shape) for psf in PSFS for shape in SHAPES}
    assert not [agreement for agreement in agreements if not within_bars(agreement)]
    assert sum(np.isnan(agreement.moments) for agreement in agreements) <= 10
