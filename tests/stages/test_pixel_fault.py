import numpy as np
import pytest

from etendue.tasks.isr.pixel_fault import pixel_fault


@pytest.mark.parametrize(("value", "words"), [
    (np.nan, "no pixel has a value"), (65535.0, "every pixel is saturated"), (700.0, "blank: every pixel is 700"),
])  # fmt: skip
def test_frames_that_hold_nothing_are_named_with_fault_and_remedy(raw_frame, ccd, value, words):
    raw = raw_frame(100.0, seed=1, name="a.fits")
    useless = type(raw)(array=np.full(raw.array.shape, value), header={}, detector_id=0, path="a.fits", info=raw.info)
    line = pixel_fault(useless, ccd.detector(0))
    assert line.startswith(f"a.fits: {words}")
    assert "etendue overrides add" in line


def test_a_frame_with_one_live_pixel_may_hold_something(raw_frame, ccd):
    raw = raw_frame(100.0, seed=1, name="a.fits")
    pixels = np.full(raw.array.shape, 700.0)
    pixels[50, 50] = 900.0
    live = type(raw)(array=pixels, header={}, detector_id=0, path="a.fits", info=raw.info)
    assert pixel_fault(live, ccd.detector(0)) is None
