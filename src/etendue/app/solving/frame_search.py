"""Find one frame on the sky: read its pixels, find its stars, search a star index, fit the WCS."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from etendue.camera.camera import Camera
from etendue.camera.raw import RawFrame, read_header, read_pixels, read_raw
from etendue.camera.shipped import identify_camera, load_camera
from etendue.errors import AlgorithmError, InputError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.refcat.catalog import METADATA_FILE, ReferenceCatalog
from etendue.refcat.sample import ReferenceSample
from etendue.refcat.star_index import StarIndex
from etendue.tasks.astrometry.find_stars import FindStarsTask, FoundStars
from etendue.tasks.astrometry.solve import SolvedField, SolveFieldConfig, SolveFieldTask, field_cone
from etendue.tasks.isr.isr import IsrTask
from etendue.tasks.match.blind import BlindMatch, SkyHint

_SMALLEST = 32  # [px]
_ABSURD = 1e15  # no camera counts that far


@dataclass(frozen=True)
class SearchOptions:
    """Where frames are searched, and what is known before.

    Parameters
    ----------
    index : Path
        Reference catalog with a star index, or the index alone.
    camera : str, optional
        Shipped camera or YAML file; by default the shipped one that a header names, else none: then only the pixels
        are used.
    hint : SkyHint, optional
        Where the frames are; without a match there a frame is not found.
    scale_range_arcsec : (float, float), optional
        Limits of the pixel scale [arcsec/px].
    blind : bool
        Do not use pointing and plate scale of header and camera.
    pointing_radius_deg : float
        How far off a header's pointing may be [deg]; without a match there the whole index is searched.
    config : SolveFieldConfig
        Every knob of the search and the fit.
    """

    index: Path
    camera: str | None = None
    hint: SkyHint | None = None
    scale_range_arcsec: tuple[float, float] | None = None
    blind: bool = False
    pointing_radius_deg: float = 3.0
    config: SolveFieldConfig = field(default_factory=SolveFieldConfig)


@dataclass(frozen=True, eq=False)
class FoundFrame:
    """A frame that was found.

    Parameters
    ----------
    solved : SolvedField
        Its WCS in trimmed pixels.
    stars : FoundStars
        Its stars.
    how : str
        ``given`` (the caller's hint), ``pointing`` (the header's) or ``blind``.
    box : Box
        Its trimmed pixels.
    shape : (int, int)
        Rows and columns of the file's array.
    raw : RawFrame or None
        The frame as its camera has it; None where the camera is not known.
    camera : Camera or None
        The camera.
    """

    solved: SolvedField
    stars: FoundStars
    how: str
    box: Box
    shape: tuple[int, int]
    raw: RawFrame | None
    camera: Camera | None

    def statistics(self) -> dict[str, Any]:
        """Return `SolvedField.statistics`, and ``sources`` and ``fwhm_px``."""
        return self.solved.statistics() | {"sources": int(self.stars.x.size), "fwhm_px": self.stars.fwhm_px}


def search_frame(
    path: Path, options: SearchOptions, *, detector: int | None = None, exposure: int | None = None
) -> FoundFrame:
    """Find a frame on the sky.

    Parameters
    ----------
    path : Path
        FITS file.
    options : SearchOptions
        What is known before.
    detector, exposure : int, optional
        Ids that choose between the frames of a file that holds several.

    Returns
    -------
    FoundFrame

    Raises
    ------
    InputError
        If the file cannot be read.
    AlgorithmError
        If it shows no stars, or no position is certain.
    """
    camera = identify_camera(read_header(path)) if options.camera is None else load_camera(options.camera)
    with threadpool_limits(1):
        if camera is None:
            return find_exposure(_plain_exposure(path), None, None, options)
        raw = read_raw(path, camera, detector=detector, exposure=exposure)
        return find_exposure(IsrTask().run(raw=raw, camera=camera), raw, camera, options)


def find_exposure(
    exposure: Exposure, raw: RawFrame | None, camera: Camera | None, options: SearchOptions
) -> FoundFrame:
    """Find an exposure on the sky: near the hint or the header's pointing, then anywhere.

    Parameters
    ----------
    exposure : Exposure
        Pixels with mask and variance.
    raw : RawFrame or None
        What it was made of: its header tells pointing and epoch.
    camera : Camera or None
        Its plate scale is tried first.
    options : SearchOptions
        What else is known.

    Returns
    -------
    FoundFrame

    Raises
    ------
    AlgorithmError
        If it shows no stars, or no position is certain.
    """
    stars = FindStarsTask().run(exposure=exposure)
    task = SolveFieldTask(options.config)
    index, catalog = _opened(options.index)
    columns: dict[str, Any] = {"x": stars.x, "y": stars.y, "flux": stars.flux, "bbox": exposure.bbox}
    match, how = _locate(partial(task.locate, **columns, index=index), raw, camera, options)
    epoch = raw.info.mjd_tai_mid if raw is not None and np.isfinite(raw.info.mjd_tai_mid) else None
    reference = _reference(match, exposure.bbox, index, catalog, epoch)
    solved = task.refine(match=match, stars=reference, band=index.band, x_err=stars.x_err, y_err=stars.y_err, **columns)
    shape = exposure.bbox.shape if raw is None else (int(raw.array.shape[0]), int(raw.array.shape[1]))
    return FoundFrame(solved, stars, how, exposure.bbox, shape, raw, camera)


def _plain_exposure(path: Path) -> Exposure:
    """Return the pixels of any FITS image, with the noise that they show, and saturation where they pile up."""
    _, pixels = read_pixels(path)
    if min(pixels.shape) < _SMALLEST:
        raise InputError(f"is smaller than {_SMALLEST} px", source=path, value=pixels.shape, remedy="leave it out")
    good = np.abs(np.nan_to_num(pixels, nan=np.inf)) < _ABSURD
    if not good.any():
        raise InputError("holds no usable pixel", source=path, remedy="leave it out")
    image = np.where(good, pixels, np.nan).astype(np.float32)
    steps = np.abs(np.diff(image, axis=1))
    noise = 1.4826 * float(np.median(steps[np.isfinite(steps)])) / np.sqrt(2.0)
    mask = Mask.empty(Image(image).bbox)
    mask.set_plane("NO_DATA", ~good)
    mask.set_plane("SAT", _piled_up(image, good))
    variance = np.full(image.shape, max(noise, 1e-6) ** 2, np.float32)
    return Exposure(image=Image(image), mask=mask, variance=Image(variance), unit="adu")


def _piled_up(image: NDArray[np.float32], good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which pixels are at the largest value, if many share it."""
    top = image[good].max()
    full = good & (image >= top)
    return full if full.sum() > 10 else np.zeros_like(full)


def _locate(
    locate: Callable[..., BlindMatch], raw: RawFrame | None, camera: Camera | None, options: SearchOptions
) -> tuple[BlindMatch, str]:
    scale = options.scale_range_arcsec
    if options.hint is not None:
        return locate(hint=options.hint, scale_range_arcsec=scale), "given"
    if raw is not None and np.isfinite(raw.info.ra_deg + raw.info.dec_deg) and not options.blind:
        hint = SkyHint(raw.info.ra_deg, raw.info.dec_deg, options.pointing_radius_deg)
        about = scale or (None if camera is None else (0.9 * camera.plate_scale, 1.1 * camera.plate_scale))
        try:
            return locate(hint=hint, scale_range_arcsec=about), "pointing"
        except AlgorithmError:
            pass  # headers are wrong now and then
    return locate(scale_range_arcsec=scale), "blind"


def _reference(
    match: BlindMatch, bbox: Box, index: StarIndex, catalog: ReferenceCatalog | None, epoch_mjd: float | None
) -> ReferenceSample:
    """Return the stars around a match, from the catalog at the epoch of the frame if it is there."""
    ra, dec, radius = field_cone(match.wcs, bbox)
    if catalog is None:
        return index.near(ra_deg=ra, dec_deg=dec, radius_deg=radius)
    table = catalog.load_cone(ra_deg=ra, dec_deg=dec, radius_deg=radius, epoch_mjd=epoch_mjd)
    return ReferenceSample.from_shards([table])


@lru_cache(maxsize=2)
def _opened(path: Path) -> tuple[StarIndex, ReferenceCatalog | None]:
    catalog = ReferenceCatalog(path) if (path / METADATA_FILE).is_file() else None
    return StarIndex.open(path), catalog
