"""Detection, measurement and resampling of one star field: ours and the peers'."""

from pathlib import Path
from typing import Any

import numpy as np
from side import Work
from star_field import SIGMA, StarField, gaussian_stamp

THRESHOLD = 5.0
CELL = 128
RADII = (3.0, 6.0, 9.0, 12.0)
PIXEL_DEG, TURN_DEG = 0.5 / 3600.0, 3.0


def _exposure(folder: Path) -> Any:
    from etendue.geom.box import Box
    from etendue.image.exposure import Exposure
    from etendue.image.image import Image
    from etendue.image.mask import Mask
    from etendue.image.psf import GaussianMixturePsf

    field = StarField.load(folder)
    box = Box.from_shape(field.image.shape)
    return Exposure(
        image=Image(field.image, box),
        mask=Mask.empty(box),
        variance=Image(field.variance, box),
        psf=GaussianMixturePsf.circular(SIGMA, 41),
        wcs=_wcs(box, 0.0),
        unit="electron",
    )


def our_detection(folder: Path, **_: Any) -> Work:
    from etendue.tasks.background.background import SubtractBackgroundConfig, SubtractBackgroundTask
    from etendue.tasks.detect.detect import DetectConfig, DetectTask

    exposure = _exposure(folder)
    background = SubtractBackgroundTask(SubtractBackgroundConfig(cell_size=CELL))
    detect = DetectTask(DetectConfig(threshold_snr=THRESHOLD))

    def work() -> dict[str, Any]:
        found = detect.run(exposure=background.run(exposure=exposure).exposure)
        return {"n": int(found.x.size)}

    return work


def our_measurement(folder: Path, **_: Any) -> Work:
    from etendue.tasks.background.background import SubtractBackgroundConfig, SubtractBackgroundTask
    from etendue.tasks.detect.detect import DetectConfig, DetectTask
    from etendue.tasks.measure.apertures import AperturesConfig
    from etendue.tasks.measure.measure import MeasureConfig, MeasureTask

    exposure = _exposure(folder)
    background = SubtractBackgroundTask(SubtractBackgroundConfig(cell_size=CELL))
    detect = DetectTask(DetectConfig(threshold_snr=THRESHOLD))
    measure = MeasureTask(MeasureConfig(apertures=AperturesConfig(radii=RADII)))

    def work() -> dict[str, Any]:
        found = detect.run(exposure=background.run(exposure=exposure).exposure)
        columns = measure.run(exposure=found.exposure, x=found.x, y=found.y)
        return {"n": int(columns.x.size)}

    return work


def _sep_objects(field: StarField) -> tuple[Any, Any, Any]:
    import sep

    sep.set_extract_pixstack(max(1_000_000, field.image.size // 4))
    subtracted = field.image - sep.Background(field.image, bw=CELL, bh=CELL)
    noise = np.sqrt(field.variance)
    kernel = gaussian_stamp()
    # Without its cleaning, which takes a third of these isolated stars for wings of their neighbours.
    objects = sep.extract(
        subtracted, THRESHOLD, err=noise, minarea=1, filter_kernel=kernel, filter_type="matched", clean=False
    )
    return subtracted, noise, objects


def sep_detection(folder: Path, **_: Any) -> Work:
    import sep

    assert sep.__version__
    field = StarField.load(folder)
    return lambda: {"n": len(_sep_objects(field)[2])}


def sep_measurement(folder: Path, **_: Any) -> Work:
    import sep

    field = StarField.load(folder)

    def work() -> dict[str, Any]:
        subtracted, noise, objects = _sep_objects(field)
        for radius in RADII:
            sep.sum_circle(subtracted, objects["x"], objects["y"], radius, err=noise)
        return {"n": len(objects)}

    return work


def _wcs(box: Any, turn_deg: float) -> Any:
    from etendue.geom.sky_wcs import SkyWcs

    c, s = PIXEL_DEG * np.cos(np.radians(turn_deg)), PIXEL_DEG * np.sin(np.radians(turn_deg))
    return SkyWcs.tan(
        crpix_x=box.x.center,
        crpix_y=box.y.center,
        crval_ra_deg=150.0,
        crval_dec_deg=2.0,
        cd=np.array([[-c, s], [s, c]]),
    )


def our_warp(folder: Path, **_: Any) -> Work:
    from etendue.tasks.warp.warp import WarpTask

    exposure = _exposure(folder)
    target = _wcs(exposure.bbox, TURN_DEG)

    def work() -> dict[str, Any]:
        warped = WarpTask().run(exposure=exposure, wcs=target, bbox=exposure.bbox)
        return {"finite_fraction": float(np.isfinite(warped.image.array).mean())}

    return work


def _astropy_pair(shape: tuple[int, int]) -> tuple[Any, Any]:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

    from etendue.geom.box import Box
    from etendue.geom.wcs_header import write_wcs

    box = Box.from_shape(shape)
    source, target = (WCS(Header(write_wcs(_wcs(box, turn), box)[0])) for turn in (0.0, TURN_DEG))
    return source, target


def reproject_bicubic(folder: Path, **_: Any) -> Work:
    from reproject import reproject_interp

    image = StarField.load(folder).image
    source, target = _astropy_pair(image.shape)

    def work() -> dict[str, Any]:
        warped = reproject_interp((image, source), target, image.shape, order="bicubic", return_footprint=False)
        return {"finite_fraction": float(np.isfinite(warped).mean())}

    return work


def reproject_conserving(folder: Path, **_: Any) -> Work:
    from reproject import reproject_adaptive

    image = StarField.load(folder).image
    source, target = _astropy_pair(image.shape)

    def work() -> dict[str, Any]:
        warped = reproject_adaptive(
            (image, source), target, image.shape, conserve_flux=True, kernel="gaussian", return_footprint=False
        )
        return {"finite_fraction": float(np.isfinite(warped).mean())}

    return work
