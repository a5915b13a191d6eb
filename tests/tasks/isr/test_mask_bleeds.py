import numpy as np
import pytest

from etendue.camera.detector import Detector
from etendue.kernels.bleeds import follow_spill
from etendue.tasks.isr.mask_bleeds import MaskBleedsConfig, MaskBleedsTask


def _chip(top):
    """One amplifier that is read from the bottom, or from the top."""
    amplifier = {
        "name": "A", "bbox": "[1:120,1:150]", "gain": 1.0, "read_noise": 5.0, "saturation": 60000.0,
        "raw_data": "[1:120,11:160]" if top else "[1:120,1:150]",
        "raw_parallel_overscan": "[1:120,1:10]" if top else "[1:120,151:160]",
    }  # fmt: skip
    return Detector(id=0, name="T", raw_shape=(160, 120), amplifiers=[amplifier])


def _frame(reaches, seed=1):
    """A saturated star whose trail runs down column 60 and spills in the first rows."""
    rng = np.random.default_rng(seed)
    image = rng.normal(1000.0, 20.0, (150, 120)).astype(np.float32)
    saturated = np.zeros(image.shape, bool)
    saturated[75:82, 57:64] = True
    image[saturated] = 65000.0
    image[0 if reaches else 20 : 75, 60] = 50000.0
    spill = np.zeros(image.shape, bool)
    for row in range(6):
        spill[row, max(0, 60 - 50 + 8 * row) : 60 + 50 - 8 * row] = True
    image[spill & ~(image > 40000.0)] += 400.0
    return image, saturated, spill


@pytest.mark.parametrize("top", [False, True])
def test_a_trail_that_reaches_the_register_spills_along_its_rows(top):
    image, saturated, spill = _frame(reaches=True)
    if top:
        image, saturated, spill = (np.ascontiguousarray(plane[::-1]) for plane in (image, saturated, spill))
    found = MaskBleedsTask().run(image, saturated, _chip(top))
    trail = image > 40000.0
    assert (found.trails == trail).all()
    assert found.spilled[spill & ~trail].mean() > 0.98
    assert (found.spilled & ~spill).sum() < 10
    assert not (found.spilled & found.trails).any()


def test_bright_rows_without_a_trail_are_left_alone():
    image, saturated, _ = _frame(reaches=False)
    assert not MaskBleedsTask().run(image, saturated, _chip(top=False)).spilled.any()


def test_switched_off_and_without_saturation_nothing_is_found():
    image, saturated, _ = _frame(reaches=True)
    off = MaskBleedsTask(MaskBleedsConfig(edge_rows=0)).run(image, saturated, _chip(top=False))
    assert off.trails.any()
    assert not off.spilled.any()
    none = MaskBleedsTask().run(image, np.zeros_like(saturated), _chip(top=False))
    assert not none.trails.any()


def test_a_spill_skips_gaps_no_wider_than_allowed():
    image = np.zeros((3, 20), np.float32)
    image[0, [6, 7, 9, 13]] = 100.0
    bled = np.zeros(image.shape, bool)
    bled[:, 5] = True
    found = follow_spill(image, bled, 50.0, 2, 1)
    assert np.flatnonzero(found[0]).tolist() == [6, 7, 9]
    assert not found[1:].any()
