"""Detectors with prescan and both overscans, and CCDs of chosen effects."""

from collections.abc import Callable

import numpy as np
import pytest

from etendue.camera.detector import Detector
from etendue.camera.shipped import load_camera
from etendue.simulate.ccd.ccd import Ccd
from etendue.simulate.ccd.spec import CcdSpec

PRESCAN, OVERSCAN, ROWS = 6, 20, 12
EVEN = {
    **{"amplifier_rms_adu": 0.0, "row_ramp_adu": 0.0, "column_ramp_adu": 0.0, "column_rms_adu": 0.0},
    **{"pixel_rms_adu": 0.0, "drift_adu": 0.0, "jitter_adu": 0.0, "row_drift_adu": 0.0},
}


def section(x0: int, width: int, y0: int, height: int) -> str:
    return f"[{x0 + 1}:{x0 + width},{y0 + 1}:{y0 + height}]"


def chip(ny: int = 128, nx: int = 128, stories: int = 2, *, gain: float = 1.5, read_noise: float = 5.0) -> Detector:
    """Return a detector of two columns of amplifiers in one or two stories; the right one is read from the right."""
    h, w = ny // stories, nx // 2
    width, height = w + PRESCAN + OVERSCAN, h + ROWS
    amplifiers = []
    for number in range(2 * stories):
        story, mirrored = divmod(number, 2)
        x0, y0 = mirrored * width, story * height
        data_x, data_y = x0 + (OVERSCAN if mirrored else PRESCAN), y0 + (ROWS if story else 0)
        amplifiers.append(
            {
                "name": f"A{number}",
                "raw_data": section(data_x, w, data_y, h),
                "bbox": section(mirrored * w, w, story * h, h),
                "raw_prescan": section(x0 + (OVERSCAN + w if mirrored else 0), PRESCAN, data_y, h),
                "raw_serial_overscan": section(x0 + (0 if mirrored else PRESCAN + w), OVERSCAN, data_y, h),
                "raw_parallel_overscan": section(data_x, w, y0 if story else y0 + h, ROWS),
                "gain": gain,
                "read_noise": read_noise,
                "saturation": 60000.0,
            }
        )
    return Detector(id=0, name="T", raw_shape=(stories * height, 2 * width), amplifiers=amplifiers)


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
def camera_of() -> Callable[[Detector], object]:
    """Return a function that makes a camera of one detector."""
    return lambda detector: load_camera("simcam4").model_copy(update={"detectors": (detector,)})


@pytest.fixture
def even_bias() -> dict[str, float]:
    """Bias of one level without structure."""
    return dict(EVEN)


@pytest.fixture
def expose() -> Callable[..., np.ndarray]:
    """Return a function that makes a raw frame of a CCD."""
    return lambda ccd, light, seed=0: ccd.expose(np.asarray(light, np.float32), 1.0, np.random.default_rng(seed)).raw
