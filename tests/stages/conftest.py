"""Tiny exposures, tables and lazy handles for stages without a repository."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.raw import RawFrame
from etendue.camera.shipped import load_camera
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.skymap import SingleTractSkyMap
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.photo_calib import PhotoCalib
from etendue.image.psf_gaussian import GaussianMixturePsf
from etendue.image.visit_info import VisitInfo
from etendue.table.table import Table

SIZE, SCALE_DEG, VISIT = 200, 0.6 / 3600.0, 2019032600101
PSF = GaussianMixturePsf.circular(1.1, 31)


@dataclass
class Handle:
    """A deferred dataset that remembers what was read of it."""

    value: Any
    data_id: dict[str, int | str]
    read: list[str | None] = field(default_factory=list)

    def get(self, component: str | None = None, box: Any = None) -> Any:
        self.read.append(component)
        if component is not None:
            return getattr(self.value, component)
        return self.value if box is None else self.value.subset(box)


@pytest.fixture(scope="session")
def wcs() -> SkyWcs:
    cd = np.array([[-SCALE_DEG, 0.0], [0.0, SCALE_DEG]])
    return SkyWcs.tan(crpix_x=100.0, crpix_y=100.0, crval_ra_deg=124.6, crval_dec_deg=25.3, cd=cd)


@pytest.fixture(scope="session")
def skymap(wcs: SkyWcs) -> SingleTractSkyMap:
    """Four patches around one exposure."""
    return SingleTractSkyMap.covering(
        [(wcs, Box.from_shape((SIZE, SIZE)))], pixel_scale=0.6, patch_size=105, patch_border=20
    )


@pytest.fixture(scope="session")
def handle() -> Callable[..., Handle]:
    def make(value: Any, **data_id: int | str) -> Handle:
        return Handle(value, data_id)

    return make


@pytest.fixture(scope="session")
def visit_image(wcs: SkyWcs) -> Callable[..., Exposure]:
    """Return a function that makes an exposure of stars in noise of 10 units."""

    def make(
        *, x: Any = (), y: Any = (), flux: Any = (), seed: int = 1, noise: float = 10.0, box: Box | None = None,
        visit: int = VISIT, **parts: Any,
    ) -> Exposure:  # fmt: skip
        box = box or Box.from_shape((SIZE, SIZE))
        pixels = np.random.default_rng(seed).normal(0.0, noise, box.shape)
        add_stars(pixels, np.atleast_1d(x) - box.x.start, np.atleast_1d(y) - box.y.start, np.atleast_1d(flux))
        info = VisitInfo(
            visit=visit, mjd_tai=58568.0 + visit % 100000 / 100.0, exposure_time_s=60.0, day_obs=visit // 100000
        )
        settings = {"wcs": wcs, "psf": PSF, "photo_calib": PhotoCalib(scale=1.0), "visit_info": info, "band": "r"}
        settings |= {"physical_filter": "VR", "metadata": {"sky_noise_electron": noise}}
        return Exposure(
            image=Image(pixels.astype(np.float32), box), mask=Mask.empty(box),
            variance=Image(np.full(box.shape, noise**2, np.float32), box), **(settings | parts),
        )  # fmt: skip

    return make


def add_stars(pixels: np.ndarray, x: np.ndarray, y: np.ndarray, flux: np.ndarray) -> None:
    stamps = PSF.draw(x=x, y=y)
    half = 40
    padded = np.pad(pixels, half)
    for value, x0, y0, f in zip(stamps.value, stamps.x0, stamps.y0, np.broadcast_to(flux, x.shape), strict=True):
        padded[y0 + half : y0 + half + 31, x0 + half : x0 + half + 31] += f * value
    pixels[...] = padded[half:-half, half:-half]


@pytest.fixture(scope="session")
def stars() -> dict[str, np.ndarray]:
    """Return a jittered lattice of 36 stars inside the exposure, of fluxes from 3e3 to 3e4."""
    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(*2 * [np.linspace(22.0, 178.0, 6)]), -1).reshape(-1, 2)
    x, y = (grid + rng.uniform(-4.0, 4.0, grid.shape)).T
    return {"x": x, "y": y, "flux": rng.uniform(3e3, 3e4, x.size)}


@pytest.fixture(scope="session")
def dia_sources() -> Callable[..., Table]:
    """Return a function that makes ``dia_source`` rows at given positions."""

    def make(ra: Any, dec: Any, **columns: Any) -> Table:
        n = len(ra)
        base = {
            "diaSourceId": np.arange(1, n + 1), "visit": np.full(n, VISIT), "detector": np.zeros(n, int),
            "band": np.full(n, "r"), "midpointMjdTai": np.full(n, 58568.0), "ra": ra, "dec": dec,
            "raErr": np.full(n, 0.05 / 3600), "decErr": np.full(n, 0.05 / 3600), "x": np.full(n, 100.0),
            "y": np.full(n, 100.0), "snr": np.full(n, 10.0), "psfFlux": np.full(n, 100.0),
            "psfFluxErr": np.full(n, 10.0),
        }  # fmt: skip
        return Table("dia_source", base | columns)

    return make


@pytest.fixture(scope="session")
def ccd() -> Camera:
    """One detector of 200 x 200 pixels with one amplifier of gain 2 and 20 columns of overscan."""
    amplifier = {"name": "A", "raw_data": "[1:200,1:200]", "bbox": "[1:200,1:200]", "gain": 2.0, "read_noise": 6.0,
                 "raw_serial_overscan": "[201:220,1:200]", "saturation": 60000.0}  # fmt: skip
    detector = Detector.model_validate({"id": 0, "name": "toy", "raw_shape": (SIZE, 220), "amplifiers": [amplifier]})
    return load_camera("lowell42").model_copy(update={"detectors": (detector,)})


@pytest.fixture(scope="session")
def raw_frame(wcs: SkyWcs) -> Callable[..., RawFrame]:
    """Return a function that reads electrons out: gain 2, read noise 6 e, bias 1000 ADU."""

    def make(electrons: Any, *, seed: int = 0, kind: str = "science", name: str = "raw.fits", **info: Any) -> RawFrame:
        rng = np.random.default_rng(seed)
        charge = rng.poisson(np.broadcast_to(electrons, (SIZE, SIZE)))
        raw = 1000.0 + rng.normal(0.0, 3.0, (SIZE, 220))
        raw[:, :SIZE] += charge / 2.0
        facts = {
            "instrument": "toy", "detector_id": 0, "exposure_id": VISIT, "day_obs": 20190326, "seq": 101,
            "observation_type": kind, "physical_filter": "VR", "band": "r", "exposure_time_s": 60.0,
            "mjd_tai_begin": 58568.0, "mjd_tai_end": 58568.0 + 60.0 / 86400.0, "header_gain": 2.0,
            "header_read_noise": 6.0, "wcs": wcs, "file_name": name,
        }  # fmt: skip
        pixels = np.clip(np.rint(raw), 0, 65535).astype(np.uint16)
        return RawFrame(array=pixels, header={}, detector_id=0, path=name, info=ObservationInfo(**(facts | info)))

    return make
