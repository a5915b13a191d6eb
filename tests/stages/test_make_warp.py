import numpy as np
import pytest

from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.stages.make_warp import MakeWarp


def test_a_warp_covers_the_outer_box_of_the_patch_and_keeps_fluxes(visit_image, handle, skymap):
    patch = skymap.tract(0).patch(0)
    ra, dec = patch.wcs.pixel_to_sky(x=patch.outer.x.center + 10.0, y=patch.outer.y.center + 10.0)
    image = visit_image()
    x, y = image.wcs.sky_to_pixel(ra_deg=ra, dec_deg=dec)
    image = visit_image(x=[x], y=[y], flux=[1e5])
    result = MakeWarp().run(images=(handle(image),), skymap=skymap, data_id={"tract": 0, "patch": 0})
    warp = result.warp
    assert warp.bbox == patch.outer
    half = 8
    row, col = int(patch.outer.y.size / 2 + 10), int(patch.outer.x.size / 2 + 10)
    stamp = warp.image.array[row - half : row + half + 1, col - half : col + half + 1]
    assert np.nansum(stamp) == pytest.approx(1e5, rel=0.02)


def test_a_visit_elsewhere_makes_no_warp(visit_image, handle, skymap):
    away = SkyWcs.tan(crpix_x=100.0, crpix_y=100.0, crval_ra_deg=124.6, crval_dec_deg=26.3, cd=np.eye(2) * 0.6 / 3600.0)
    result = MakeWarp().run(images=(handle(visit_image(wcs=away)),), skymap=skymap, data_id={"tract": 0, "patch": 0})
    assert result.warp is None


def test_detectors_of_one_visit_are_put_together(visit_image, handle, skymap):
    lower, upper = (visit_image(box=Box.from_shape((100, 200), y0=y0), detector=y0) for y0 in (0, 100))
    whole = MakeWarp().run(images=(handle(visit_image()),), skymap=skymap, data_id={"tract": 0, "patch": 0}).warp
    both = MakeWarp().run(
        images=(handle(lower), handle(upper)), skymap=skymap, data_id={"tract": 0, "patch": 0}
    ).warp  # fmt: skip
    lost = both.mask.any_of(("NO_DATA",)).mean() - whole.mask.any_of(("NO_DATA",)).mean()
    assert 0.0 <= lost < 0.06  # the seam
