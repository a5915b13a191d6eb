import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS

from etendue.alerts.cutout import encode_cutouts
from etendue.errors import InputError
from etendue.schema.mask_planes import MASK_PLANES


def opened(content: bytes) -> fits.HDUList:
    return fits.open(io.BytesIO(content))


def test_the_pixels_are_those_around_the_position(exposure):
    (content,) = encode_cutouts(exposure, x=[220.2], y=[130.0], size=10)
    hdus = opened(content)
    x0, y0 = hdus[0].header["CUTMINX"], hdus[0].header["CUTMINY"]
    expected = exposure.image.array[y0 - 100 : y0 - 90, x0 - 200 : x0 - 190]
    np.testing.assert_array_equal(hdus[0].data, expected)
    np.testing.assert_array_equal(hdus["UNCERT"].data, expected + 1)
    assert len(content) % 2880 == 0
    assert [hdu.name for hdu in hdus] == ["PRIMARY", "MASK", "UNCERT"]
    for hdu in hdus:
        hdu.verify("exception")


def test_the_wcs_points_at_the_same_sky_as_the_exposure(exposure):
    (content,) = encode_cutouts(exposure, x=[230.7], y=[140.3], size=12)
    header = opened(content)[0].header
    ra, dec = WCS(header).all_pix2world(5.0, 6.0, 0)
    expected = exposure.wcs.pixel_to_sky(x=header["CUTMINX"] + 5.0, y=header["CUTMINY"] + 6.0)
    np.testing.assert_allclose((ra, dec), expected, atol=1e-9)


def test_beyond_the_edge_there_is_no_data(exposure):
    (content,) = encode_cutouts(exposure, x=[200.0], y=[100.0], size=20)
    hdus = opened(content)
    outside = np.isnan(hdus[0].data)
    assert 0 < outside.sum() < outside.size
    np.testing.assert_array_equal(hdus["MASK"].data[outside], 1 << MASK_PLANES["NO_DATA"])
    assert hdus["MASK"].data[~outside].max() == 1 << MASK_PLANES["SAT"]
    assert hdus["MASK"].header["MP_SAT"] == MASK_PLANES["SAT"]


def test_astropy_reads_it_as_ccddata(exposure):
    (content,) = encode_cutouts(exposure, x=[220.0], y=[130.0], size=8)
    image = CCDData.read(io.BytesIO(content), format="fits")
    assert str(image.unit) == "nJy"
    assert image.uncertainty.uncertainty_type == "var"
    assert image.mask.shape == (8, 8)


def test_a_cutout_far_outside_is_empty_not_an_error(exposure):
    (content,) = encode_cutouts(exposure, x=[900.0], y=[900.0], size=6)
    assert np.isnan(opened(content)[0].data).all()


def test_an_exposure_without_wcs_is_refused(exposure):
    with pytest.raises(InputError, match="WCS"):
        encode_cutouts(exposure.replace(wcs=None), x=[1.0], y=[1.0])
