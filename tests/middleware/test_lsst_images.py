"""Images go to Rubin's own classes and come back as they were; needs Python 3.12."""

import numpy as np
import pytest
from astropy import units

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.polynomial import Polynomial2D
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.middleware import lsst_images
from etendue.middleware.lsst_images import from_masked_image, to_masked_image

BOX = Box.from_shape((60, 80), y0=5, x0=-10)
CD = np.array([[-0.5, 0.02], [0.02, 0.5]]) / 3600.0
TAN = SkyWcs.tan(crpix_x=30.0, crpix_y=40.0, crval_ra_deg=330.1, crval_dec_deg=-29.9, cd=CD)
BEND = Polynomial2D(np.array([[0.0, 0.0, 1e-5], [0.0, 2e-5, 0.0], [-1e-5, 0.0, 0.0]]))
SIP = SkyWcs((30.0, 40.0), (330.1, -29.9), CD, sip=(BEND, BEND))


def exposure(**parts):
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 1 << 17, BOX.shape).astype(np.int32)
    return Exposure(
        image=Image(rng.normal(size=BOX.shape), BOX), mask=Mask(bits, BOX), variance=Image.full(BOX, 2.0), **parts
    )


@pytest.mark.parametrize("unit", ["nJy", "electron", "adu", ""])
def test_pixels_masks_and_units_come_back(unit):
    pytest.importorskip("lsst.images")
    before = exposure(unit=unit)
    after = from_masked_image(to_masked_image(before), band="r")
    for name in ("image", "mask", "variance"):
        np.testing.assert_array_equal(getattr(after, name).array, getattr(before, name).array)
    assert (after.bbox, after.unit, after.band, after.wcs) == (BOX, unit, "r", None)


@pytest.mark.parametrize("wcs", [TAN, SIP])
def test_the_sky_is_where_it_was_on_both_sides(wcs):
    pytest.importorskip("lsst.images")
    masked = to_masked_image(exposure(wcs=wcs))
    x, y = np.array([-10.0, 20.0, 69.0]), np.array([5.0, 60.0, 33.0])
    ra, dec = wcs.pixel_to_sky(x=x, y=y)
    theirs = masked.sky_projection.pixel_to_sky(x=x, y=y)
    np.testing.assert_allclose(theirs.ra.deg, ra, atol=1e-9)
    np.testing.assert_allclose(theirs.dec.deg, dec, atol=1e-9)
    back = from_masked_image(masked).wcs.pixel_to_sky(x=x, y=y)
    np.testing.assert_allclose(back, (ra, dec), atol=1e-9)


def test_planes_that_only_rubin_knows_keep_their_names():
    lsst = pytest.importorskip("lsst.images")
    masked = to_masked_image(exposure())
    masked.mask = masked.mask.add_plane("SENSOR_EDGE", "Near the edge of a sensor.")
    masked.mask.set("SENSOR_EDGE", np.eye(60, 80, dtype=bool))
    after = from_masked_image(masked)
    assert isinstance(masked, lsst.MaskedImage)
    np.testing.assert_array_equal(after.mask.any_of("SENSOR_EDGE"), np.eye(60, 80, dtype=bool))
    assert after.mask.planes["CR"] == 3


def test_a_unit_of_no_exposure_is_refused():
    lsst = pytest.importorskip("lsst.images")
    image = lsst.Image(np.zeros((3, 4), np.float32), unit=units.Jy)
    masked = lsst.MaskedImage(image, mask_schema=lsst.MaskSchema([lsst.MaskPlane("CR", "")]))
    with pytest.raises(InputError, match="unit of no exposure"):
        from_masked_image(masked)


def test_without_the_package_the_remedy_is_told(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(lsst_images, "import_module", missing)
    with pytest.raises(InputError, match="pip install lsst-images"):
        to_masked_image(exposure())
