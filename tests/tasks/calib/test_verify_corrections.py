import numpy as np
import pytest

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.calib.verify_corrections import VerifyCorrectionsTask


def _map(array, **metadata):
    box = Box.from_shape(array.shape)
    plane = Image(np.asarray(array, np.float32), box)
    return Exposure(image=plane, mask=Mask.empty(box), variance=plane, unit="", metadata=metadata)


SLOPE = np.broadcast_to(np.linspace(-0.02, 0.02, 50), (40, 50))
GOOD = {"illumination": _map(1.0 + SLOPE, rms_mag=0.01), "fringe": _map(SLOPE), "sky": _map(1.0 + SLOPE)}
BAD = {"illumination": _map(1.0 + 20.0 * SLOPE, rms_mag=0.01), "fringe": _map(20.0 * SLOPE), "sky": _map(20.0 * SLOPE)}


@pytest.mark.parametrize("bad", [None, *BAD])
def test_a_bad_map_fails_by_its_filter_and_no_other(bad):
    maps = [{"r": GOOD[kind], "i": BAD[kind] if kind == bad else GOOD[kind]} for kind in GOOD]
    failed = {(v.product, v.where) for v in VerifyCorrectionsTask().run(*maps) if not v.passed}
    assert failed == ({(bad, "i")} if bad else set())


def test_scattered_stars_and_empty_maps_fail():
    loud = VerifyCorrectionsTask().run({"r": _map(1.0 + SLOPE, rms_mag=0.1)}, {}, {"r": _map(np.full((4, 4), np.nan))})
    failed = {(v.product, v.what) for v in loud if not v.passed}
    assert ("illumination", "scatter about it [mag]") in failed
    assert ("sky", "pixels with a value") in failed
