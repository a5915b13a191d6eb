"""Small cameras and synthetic raw frames for the tests of signature removal and calibration building."""

from dataclasses import replace

import numpy as np
import pytest

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.raw import RawFrame
from etendue.camera.shipped import load_camera

NY, NX, OVERSCAN = 120, 80, 24
_INFO = ObservationInfo(
    instrument="toy",
    detector_id=0,
    exposure_id=2020010100001,
    day_obs=20200101,
    seq=1,
    observation_type="science",
    physical_filter="R",
    band="r",
    exposure_time_s=30.0,
    mjd_tai_begin=58849.0,
    mjd_tai_end=58849.0 + 30.0 / 86400.0,
    header_gain=2.0,
    header_read_noise=6.0,
    file_name="0001.fits",
)


def _amplifier(name: str, *, raw_x: tuple[int, int], x: tuple[int, int], overscan: tuple[int, int], **more: object):
    return {
        "name": name,
        "raw_data": f"[{raw_x[0] + 1}:{raw_x[1]},1:{NY}]",
        "bbox": f"[{x[0] + 1}:{x[1]},1:{NY}]",
        "raw_serial_overscan": f"[{overscan[0] + 1}:{overscan[1]},1:{NY}]",
        "saturation": 60000.0,
        **more,
    }


@pytest.fixture(scope="session")
def toy_camera() -> Camera:
    """One detector, two amplifiers of gains 2 and 3; the second one is read from the right, upside down."""
    middle, end = NX + OVERSCAN, 2 * (NX + OVERSCAN)
    amplifiers = [
        _amplifier("left", raw_x=(0, NX), x=(0, NX), overscan=(NX, middle), gain=2.0, read_noise=6.0),
        _amplifier(
            "right",
            raw_x=(middle + OVERSCAN, end),
            x=(NX, 2 * NX),
            overscan=(middle, middle + OVERSCAN),
            gain=3.0,
            read_noise=9.0,
            flip_x=True,
            flip_y=True,
        ),
    ]
    detector = Detector.model_validate({"id": 0, "name": "toy", "raw_shape": (NY, end), "amplifiers": amplifiers})
    return load_camera("lowell42").model_copy(update={"detectors": (detector,)})


@pytest.fixture(scope="session")
def make_raw(toy_camera):
    """Return a function that reads out electrons (trimmed frame) as a raw frame of the toy camera."""

    def make(electrons, *, seed=0, level=1000.0, noise=True, **info) -> RawFrame:
        detector = toy_camera.detectors[0]
        rng = np.random.default_rng(seed)
        raw = np.full(detector.raw_shape, level)
        for amplifier in detector.amplifiers:
            section = np.asarray(electrons)[amplifier.bbox.slices_in(detector.bbox)]
            section = rng.poisson(section) if noise else section
            step_y, step_x = (-1 if amplifier.flip_y else 1), (-1 if amplifier.flip_x else 1)
            raw[amplifier.raw_data.slices_in(detector.raw_bbox)] += section[::step_y, ::step_x] / amplifier.gain
        raw += rng.normal(0.0, 3.0, raw.shape) if noise else 0.0
        pixels = np.clip(np.rint(raw), 0, 65535).astype(np.uint16) if noise else raw
        frame = replace(_INFO, **info)
        return RawFrame(array=pixels, header={}, detector_id=0, path=frame.file_name, info=frame)

    return make


@pytest.fixture(scope="session")
def shape() -> tuple[int, int]:
    """Shape of the toy detector."""
    return NY, 2 * NX
