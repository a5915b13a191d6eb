"""Separate fields become separate tracts."""

import numpy as np
import pytest

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.fields import FieldsSkyMap, group_images
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.skymap import skymap_from_dict

BOX = Box.from_shape((1000, 1000))


def image(ra, dec, scale=0.5):
    return SkyWcs.tan(crpix_x=499.5, crpix_y=499.5, crval_ra_deg=ra, crval_dec_deg=dec,
                      cd=np.diag([-scale, scale]) / 3600.0), BOX  # fmt: skip


def covering(*places):
    return FieldsSkyMap.covering([image(*place) for place in places], pixel_scale=0.5, patch_size=400)


def test_images_that_touch_share_a_field_also_by_others_between_them():
    places = [(10.0, 0.0), (10.15, 0.0), (10.3, 0.0), (50.0, 20.0), (10.45, 0.0)]
    assert group_images([image(*place) for place in places]) == [[0, 1, 2, 4], [3]]


def test_fields_meet_across_the_meridian_and_the_pole():
    assert group_images([image(359.95, 0.0), image(0.05, 0.0)]) == [[0, 1]]
    assert group_images([image(0.0, 89.95), image(180.0, 89.95), image(90.0, 85.0)]) == [[0, 1], [2]]


def test_no_images_make_no_fields():
    assert group_images([]) == []
    with pytest.raises(InputError, match="at least one field"):
        FieldsSkyMap(())


def test_every_field_has_a_small_tract_and_every_place_one_owner():
    skymap = covering((10.0, 0.0), (200.0, -40.0))
    assert skymap.n_tracts == 2
    for number, (ra, dec) in enumerate([(10.0, 0.0), (200.0, -40.0)]):
        tract = skymap.tract(number)
        assert tract.id == number
        assert max(tract.bbox.shape) < 1400
        assert skymap.find_tract(ra, dec) == number
        assert {found for found, _ in skymap.find_patches(wcs=image(ra, dec)[0], bbox=BOX)} == {number}
    assert skymap.find_tract(100.0, 0.0) == -1
    with pytest.raises(InputError, match="tracts 0 to 1"):
        skymap.tract(2)


def test_patches_are_equal_and_no_larger_than_asked():
    for tract in (covering((10.0, 0.0), (50.0, 0.0)).tract(k) for k in (0, 1)):
        assert tract.patch_size <= 400
        assert min(tract.patch_grid) >= 2


def test_the_map_survives_json():
    skymap = covering((10.0, 0.0), (200.0, -40.0))
    again = skymap_from_dict(skymap.to_dict())
    assert again == skymap
    assert again.content_hash() == skymap.content_hash()
