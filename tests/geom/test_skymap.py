import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.skymap import RingsSkyMap, RingsSkyMapConfig, SingleTractSkyMap, skymap_from_dict

RINGS = RingsSkyMap(
    RingsSkyMapConfig(num_rings=20, pixel_scale=10.0, patch_size=300, patch_border=10, ra_start_deg=3.0)
)
SINGLE = SingleTractSkyMap(ra_deg=10.0, dec_deg=-5.0, half_size_deg=0.3, pixel_scale=1.0, patch_size=500)

sky = {"ra": st.floats(0, 360, exclude_max=True), "dec": st.floats(-90, 90)}


@settings(deadline=None, max_examples=200)
@given(**sky)
def test_every_position_is_inside_the_tract_that_owns_it(ra, dec):
    tract = RINGS.tract(int(RINGS.find_tract(ra, dec)))
    x, y = tract.wcs.sky_to_pixel(ra_deg=ra, dec_deg=dec)
    assert tract.bbox.contains(x=x, y=y)
    patch = tract.patch(int(tract.find_patch(ra, dec)))
    assert patch.inner.contains(x=x, y=y)


def test_centres_belong_to_their_tracts():
    centers = np.array([RINGS.tract(i).wcs.crval for i in range(RINGS.n_tracts)])
    np.testing.assert_array_equal(RINGS.find_tract(centers[:, 0], centers[:, 1]), np.arange(RINGS.n_tracts))


def test_matches_the_tract_counts_of_lsst():
    # lsst_cells_v1 and the DP1 map have 120 rings and 18938 tracts.
    assert RingsSkyMap(RingsSkyMapConfig()).n_tracts == 18938


def test_inner_boxes_tile_the_tract_and_outer_boxes_stay_inside():
    tract = RINGS.tract(40)
    count = np.zeros(tract.bbox.shape, dtype=int)
    for patch in tract.patches():
        count[patch.inner.slices_in(tract.bbox)] += 1
        assert tract.bbox.contains_box(patch.outer)
        assert patch.outer.contains_box(patch.inner)
    assert (count == 1).all()


@settings(deadline=None, max_examples=30)
@given(**sky, size=st.integers(50, 900), angle=st.floats(0, 360))
def test_found_patches_are_those_that_hold_pixels_of_the_image(ra, dec, size, angle):
    c, s = 0.003 * np.cos(angle), 0.003 * np.sin(angle)
    wcs = SkyWcs.tan(crpix_x=size / 2, crpix_y=size / 2, crval_ra_deg=ra, crval_dec_deg=dec, cd=[[c, -s], [s, c]])
    found = RINGS.find_patches(wcs=wcs, bbox=Box.from_shape((size, size)))
    grid = np.meshgrid(np.arange(0, size, 20), np.arange(0, size, 20))
    inside_ra, inside_dec = wcs.pixel_to_sky(x=grid[0].ravel(), y=grid[1].ravel())
    tracts = RINGS.find_tract(inside_ra, inside_dec)
    owners = set()
    for tract in np.unique(tracts):
        own = tracts == tract
        owners |= {(int(tract), int(p)) for p in RINGS.tract(int(tract)).find_patch(inside_ra[own], inside_dec[own])}
    assert owners <= set(found)
    assert found == sorted(set(found))
    assert len(found) < len(owners) * 9 + 30


def test_single_tract_owns_inside_only():
    np.testing.assert_array_equal(SINGLE.find_tract([10.0, 10.2, 50.0], [-5.0, -5.1, 80.0]), [0, 0, -1])
    wcs = SkyWcs.tan(crpix_x=0, crpix_y=0, crval_ra_deg=200.0, crval_dec_deg=5.0, cd=np.eye(2) * 1e-4)
    assert SINGLE.find_patches(wcs=wcs, bbox=Box.from_shape((100, 100))) == []


def test_covering_map_holds_all_corners():
    images = [
        (
            SkyWcs.tan(crpix_x=0, crpix_y=0, crval_ra_deg=ra, crval_dec_deg=dec, cd=np.eye(2) * 3e-4),
            Box.from_shape((800, 600)),
        )
        for ra, dec in ((359.9, 40.0), (0.1, 40.2))
    ]
    skymap = SingleTractSkyMap.covering(images, pixel_scale=1.0, patch_size=400)
    for wcs, box in images:
        x, y = box.corners()
        assert (skymap.find_tract(*wcs.pixel_to_sky(x=x, y=y)) == 0).all()


@pytest.mark.parametrize("skymap", [RINGS, SINGLE])
def test_survives_json(skymap):
    assert skymap_from_dict(skymap.to_dict()) == skymap
    assert skymap_from_dict(skymap.to_dict()).content_hash() == skymap.content_hash()


def test_bad_requests_name_the_value():
    with pytest.raises(InputError, match="99999"):
        RINGS.tract(99999)
    with pytest.raises(InputError, match="hexagons"):
        skymap_from_dict({"kind": "hexagons"})
    with pytest.raises(InputError, match="colour"):
        skymap_from_dict({"kind": "rings", "colour": 3})
