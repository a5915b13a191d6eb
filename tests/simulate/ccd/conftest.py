"""Detectors of different layouts, and frames of one effect alone."""

from collections.abc import Callable

import numpy as np
import pytest

from etendue.camera.detector import Detector
from etendue.simulate.ccd.ccd import Ccd
from etendue.simulate.ccd.spec import CcdSpec

PRESCAN, OVERSCAN, ROWS = 6, 20, 12


def chip(
    ny: int = 128, nx: int = 128, columns: int = 2, stories: int = 2, *, gain: float = 1.5, read_noise: float = 5.0,
    saturation: float = 65535.0,
) -> Detector:  # fmt: skip
    """Return a detector whose amplifiers stand side by side, in one or two stories that read to opposite ends.

    Odd columns are read from the right; the raw frame shows the chip as it is.
    """
    h, w = ny // stories, nx // columns
    width, height = w + PRESCAN + OVERSCAN, h + ROWS
    amplifiers = []
    for story in range(stories):
        for k in range(columns):
            mirrored, top = k % 2 == 1, story == 1
            x0, y0 = k * width, story * height
            data_x = x0 + (OVERSCAN if mirrored else PRESCAN)
            pre_x = x0 + (OVERSCAN + w if mirrored else 0)
            over_x = x0 + (0 if mirrored else PRESCAN + w)
            data_y, over_y = (y0 + ROWS, y0) if top else (y0, y0 + h)
            amplifiers.append(
                {
                    "name": f"A{story}{k}",
                    "raw_data": section(data_x, w, data_y, h),
                    "bbox": section(k * w, w, story * h, h),
                    "raw_prescan": section(pre_x, PRESCAN, data_y, h),
                    "raw_serial_overscan": section(over_x, OVERSCAN, data_y, h),
                    "raw_parallel_overscan": section(data_x, w, over_y, ROWS),
                    "gain": gain * (1.0 + 0.02 * len(amplifiers)),
                    "read_noise": read_noise,
                    "saturation": saturation,
                }
            )
    shape = (stories * height, columns * width)
    return Detector(id=3, name="T", raw_shape=shape, amplifiers=amplifiers, pixel_size_mm=0.01)


def section(x0: int, width: int, y0: int, height: int) -> str:
    return f"[{x0 + 1}:{x0 + width},{y0 + 1}:{y0 + height}]"


@pytest.fixture
def make_chip() -> Callable[..., Detector]:
    return chip


@pytest.fixture
def make_ccd() -> Callable[..., Ccd]:
    """Return a function that makes a CCD of one effect, or of several."""

    def make(detector: Detector | None = None, *, seed: int = 11, **effects: object) -> Ccd:
        return Ccd(detector if detector is not None else chip(), CcdSpec(**effects), seed)

    return make


@pytest.fixture
def even() -> Callable[..., np.ndarray]:
    """Return a function that makes even light."""
    return lambda ccd, level: np.full(ccd.shape, level, np.float32)
