import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.diffim.template import WarpTemplateTask

CD = np.array([[-3e-4, 0.0], [0.0, 3e-4]])
WCS = SkyWcs.tan(crpix_x=50.0, crpix_y=50.0, crval_ra_deg=124.6, crval_dec_deg=25.3, cd=CD)
TURNED = SkyWcs.tan(
    crpix_x=50.0, crpix_y=50.0, crval_ra_deg=124.6, crval_dec_deg=25.3, cd=CD @ np.array([[0.8, 0.6], [-0.6, 0.8]])
)


def flat(box, wcs, level=1.0, variance=4.0):
    return Exposure(image=Image.full(box, level), mask=Mask.empty(box), variance=Image.full(box, variance), wcs=wcs)


def test_the_template_is_on_the_pixels_of_the_image_and_keeps_surface_brightness():
    science = flat(Box.from_shape((60, 60), x0=20, y0=20), WCS)
    template = WarpTemplateTask().run(
        science=science, patches=[flat(Box.from_shape((200, 200), x0=-50, y0=-50), TURNED)]
    )
    assert template.bbox == science.bbox
    inside = ~template.mask.any_of(("NO_DATA",))
    assert inside.all()
    np.testing.assert_allclose(template.image.array, 1.0, rtol=2e-3)


def test_patches_are_put_together_without_a_hole():
    science = flat(Box.from_shape((60, 60), x0=20, y0=20), WCS)
    left, right = (flat(Box.from_shape((200, 110), x0=x0, y0=-50), WCS) for x0 in (-60, 35))
    whole = WarpTemplateTask().run(science=science, patches=iter((left, right)))
    assert not whole.mask.any_of(("NO_DATA",)).any()
    half = WarpTemplateTask().run(science=science, patches=[left])
    assert half.mask.any_of(("NO_DATA",)).mean() == pytest.approx(0.55, abs=0.1)


def test_no_overlap_is_the_data_s_failure():
    science = flat(Box.from_shape((60, 60)), WCS)
    with pytest.raises(AlgorithmError, match="no template overlaps"):
        WarpTemplateTask().run(science=science, patches=[flat(Box.from_shape((50, 50), x0=5000), WCS)])
    with pytest.raises(AlgorithmError, match="no template overlaps"):
        WarpTemplateTask().run(science=science, patches=[])
