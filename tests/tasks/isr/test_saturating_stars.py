import numpy as np
import pytest

from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.photo_calib import PhotoCalib
from etendue.image.psf_gaussian import GaussianMixturePsf
from etendue.refcat.sample import ReferenceSample
from etendue.tasks.isr.saturating_stars import saturating_stars

X = np.array([50.0, 120.0, -90.0, 400.0])
NJY = np.array([1e9, 1e5, 1e9, 1e9])


@pytest.fixture
def exposure():
    box = Box.from_shape((200, 200))
    scale = 0.5 / 3600.0
    return Exposure(
        image=Image.full(box, 0.0), mask=Mask.empty(box), variance=Image.full(box, 1.0), band="r",
        wcs=SkyWcs.tan(
            crpix_x=100.0, crpix_y=100.0, crval_ra_deg=10.0, crval_dec_deg=-5.0, cd=np.diag([-scale, scale])
        ),
        psf=GaussianMixturePsf.circular(1.5), photo_calib=PhotoCalib(scale=100.0, kind="absolute"),
    )  # fmt: skip


@pytest.fixture
def sample(exposure):
    ra, dec = exposure.wcs.pixel_to_sky(x=X, y=np.full(4, 60.0))
    return ReferenceSample(ra, dec, np.zeros(4), {"r": (NJY, 0.01 * NJY)})


def test_bright_stars_on_the_frame_and_within_the_margin_are_given(exposure, sample):
    x, y = saturating_stars(exposure, sample, full_e=1e5, margin_px=100.0)
    np.testing.assert_allclose(x, X[[0, 2]], atol=1e-6)
    np.testing.assert_allclose(y, 60.0, atol=1e-6)


def test_the_peak_counts_not_the_flux(exposure, sample):
    peak = NJY[0] / 100.0 * exposure.psf.stamp(x=99.5, y=99.5).max()
    assert saturating_stars(exposure, sample, full_e=1.01 * peak, margin_px=100.0)[0].size == 0
    assert saturating_stars(exposure, sample, full_e=0.99 * peak, margin_px=100.0)[0].size == 2


@pytest.mark.parametrize(
    "lacking", [{"wcs": None}, {"psf": None}, {"band": "z"}, {"photo_calib": PhotoCalib(scale=1.0)}]
)
def test_without_position_width_band_or_absolute_flux_nobody_knows(exposure, sample, lacking):
    assert saturating_stars(exposure.replace(**lacking), sample, full_e=1e5, margin_px=100.0) is None
