"""Stars of a catalog found among detections by an approximate WCS."""

import numpy as np
import pytest

from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.psf_gaussian import GaussianMixturePsf
from etendue.refcat.sample import ReferenceSample
from etendue.tasks.characterize.characterize import CharacterizeConfig, CharacterizeTask
from etendue.tasks.characterize.known_stars import KnownStarsTask
from etendue.tasks.psf.psf import FitPsfConfig

SIDE, SCALE = 320, 0.2 / 3600.0
WCS = SkyWcs.tan(crpix_x=160.0, crpix_y=160.0, crval_ra_deg=50.0, crval_dec_deg=-20.0,
                 cd=np.array([[-SCALE, 0.0], [0.0, SCALE]]))  # fmt: skip
PSF, BROADER = GaussianMixturePsf.circular(1.3, 31), GaussianMixturePsf.circular(1.37, 31)
CONFIG = CharacterizeConfig(psf=FitPsfConfig(min_known_stars=20, min_stars=5), find_streaks=False)


@pytest.fixture(scope="module")
def scene():
    """Return an exposure of 40 stars and 60 objects 5% broader, and a catalog of the stars 3 arcsec beside them."""
    rng = np.random.default_rng(8)
    grid = np.stack(np.meshgrid(*2 * [np.linspace(25.0, 295.0, 10)]), -1).reshape(-1, 2)
    x, y = (grid + rng.uniform(-6.0, 6.0, grid.shape)).T
    star, flux = rng.permutation(100) < 40, rng.uniform(4e3, 4e4, 100)
    pixels = np.full((SIDE, SIDE), 200.0)
    for k in range(100):
        stamp = (PSF if star[k] else BROADER).draw(x=x[k], y=y[k])
        rows = slice(max(0, stamp.y0[0]), stamp.y0[0] + 31), slice(max(0, stamp.x0[0]), stamp.x0[0] + 31)
        ahead = max(0, -stamp.y0[0]), max(0, -stamp.x0[0])
        light = stamp.value[0][ahead[0] :, ahead[1] :]
        pixels[rows] += flux[k] * light[: SIDE - rows[0].start, : SIDE - rows[1].start]
    pixels, box = rng.poisson(pixels).astype(np.float32), Box.from_shape((SIDE, SIDE))
    exposure = Exposure(
        image=Image(pixels, box), mask=Mask.empty(box), variance=Image(pixels, box), unit="electron", wcs=WCS, band="r"
    )
    ra, dec = WCS.shifted(dx=12.0, dy=-9.0).pixel_to_sky(x=x[star], y=y[star])
    fluxes = {"r": (flux[star], 0.01 * flux[star]), "g": (0.5 * flux[star], 0.01 * flux[star])}
    return exposure, x, y, flux, star, ReferenceSample(ra, dec, np.full(40, 0.01), fluxes)


def test_detections_get_the_rows_of_their_stars_though_the_wcs_is_off(scene):
    exposure, x, y, flux, star, sample = scene
    rows = KnownStarsTask().run(exposure=exposure, x=x, y=y, brightness=flux, reference=sample)
    np.testing.assert_array_equal(rows[star], np.arange(40))
    assert (rows[~star] < 0).all()


def test_stars_of_another_field_are_no_error_and_no_stars(scene):
    exposure, x, y, flux, _, sample = scene
    elsewhere = ReferenceSample(sample.ra_deg, sample.dec_deg[::-1].copy(), sample.err_arcsec, sample.fluxes)
    assert (KnownStarsTask().run(exposure=exposure, x=x, y=y, brightness=flux, reference=elsewhere) < 0).all()


def test_the_psf_is_that_of_the_catalog_s_stars(scene):
    exposure, *_, sample = scene
    sizes = []
    for reference in (None, sample):
        psf = CharacterizeTask(CONFIG).run(exposure=exposure, reference=reference).exposure.psf
        ixx, iyy, _ = psf.moments(x=160.0, y=160.0)
        sizes.append(float(np.sqrt(0.5 * (ixx + iyy))[0]))
    assert sizes[0] > 1.33  # by size alone the broader objects count
    assert sizes[1] == pytest.approx(1.3, rel=0.01)


def test_a_colour_of_the_catalog_gives_the_psf_a_term(scene):
    exposure, *_, sample = scene
    config = CONFIG.model_copy(update={"psf_color": "g-r"})
    psf = CharacterizeTask(config).run(exposure=exposure, reference=sample).exposure.psf
    assert psf.color == pytest.approx(2.5 * np.log10(2.0))
