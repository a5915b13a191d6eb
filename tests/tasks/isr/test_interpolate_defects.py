import numpy as np

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.isr.interpolate_defects import InterpolateDefectsTask


def test_bad_pixels_are_replaced_and_flagged_and_lost_ones_left():
    image = np.full((30, 30), 5.0, np.float32)
    bad, lost = np.zeros(image.shape, bool), np.zeros(image.shape, bool)
    bad[:, 12], lost[:, :2] = True, True
    image[bad], image[lost] = 900.0, np.nan
    box = Box.from_shape(image.shape, x0=7)
    mask = Mask.empty(box).with_plane("BAD", bad).with_plane("NO_DATA", lost)
    exposure = Exposure(image=Image(image, box), mask=mask, variance=Image(np.full_like(image, 2.0), box))
    before = exposure.content_hash()
    out = InterpolateDefectsTask().run(exposure)
    assert np.allclose(out.image.array[bad], 5.0)
    assert (out.mask.any_of("INTRP") == bad).all()
    assert np.isnan(out.image.array[lost]).all()
    assert exposure.content_hash() == before
