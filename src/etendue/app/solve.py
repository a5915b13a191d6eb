"""Solve frames: where on the sky they are, from their pixels and a star index."""

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from threadpoolctl import threadpool_limits

from etendue.camera.camera import Camera
from etendue.camera.raw import RawFrame, read_header, read_pixels, read_raw
from etendue.camera.shipped import identify_camera, load_camera
from etendue.disk import whole_file
from etendue.errors import AlgorithmError, EtendueError, InputError
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.wcs_header import write_wcs
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

_STALE = (
    "CD1_1",
    "CD1_2",
    "CD2_1",
    "CD2_2",
    "PC1_1",
    "PC1_2",
    "PC2_1",
    "PC2_2",
    "CDELT1",
    "CDELT2",
    "CROTA1",
    "CROTA2",
)
_SMALLEST = 32  # [px]
_ABSURD = 1e15  # no camera counts that far
_STALE_PATTERNS = ("PV?_*", "A_*", "B_*", "AP_*", "BP_*")


@dataclass(frozen=True)
class SolveOptions:
    """What is known before, and what is wanted.

    Parameters
    ----------
    index : Path
        Reference catalog with a star index, or the index alone.
    camera : str, optional
        Shipped camera or YAML file; by default the shipped one that a header names, else none: then only the pixels
        are used.
    hint : SkyHint, optional
        Where the frames are; without a match there a frame is not solved.
    scale_range_arcsec : (float, float), optional
        Limits of the pixel scale [arcsec/px].
    blind : bool
        Do not use pointing and plate scale of header and camera.
    pointing_radius_deg : float
        How far off a header's pointing may be [deg]; without a match there the whole sky is searched.
    write : Path, optional
        Folder for copies of the frames with the WCS in their header.
    headers : Path, optional
        Folder for ``NAME.wcs``, header cards of the WCS as lines of text.
    config : SolveFieldConfig
        Every knob of the search and the fit.
    """

    index: Path
    camera: str | None = None
    hint: SkyHint | None = None
    scale_range_arcsec: tuple[float, float] | None = None
    blind: bool = False
    pointing_radius_deg: float = 3.0
    write: Path | None = None
    headers: Path | None = None
    config: SolveFieldConfig = field(default_factory=SolveFieldConfig)


@dataclass(frozen=True)
class SolveOutcome:
    """What became of one frame.

    Parameters
    ----------
    path : Path
        The file.
    solved : bool
        Whether it has a WCS.
    how : str
        ``given`` (the caller's hint), ``pointing`` (the header's) or ``blind``; empty if not solved.
    reason : str
        Why it is not solved.
    wcs : dict or None
        `SkyWcs.to_dict` of the WCS in pixels of the file's own array.
    statistics : dict
        `SolvedField.statistics`, and ``sources`` and ``fwhm_px``.
    """

    path: Path
    solved: bool
    how: str = ""
    reason: str = ""
    wcs: dict[str, Any] | None = None
    statistics: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return {"path": str(self.path), "solved": self.solved, "how": self.how, "reason": self.reason, "wcs": self.wcs,
                **(self.statistics or {})}  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Frame:
    """A frame ready for the search."""

    exposure: Exposure
    file_shape: tuple[int, int]  # (ny, nx) of the file's array
    raw_shift: tuple[float, float] = (0.0, 0.0)  # from pixels of the exposure to those of the file
    pointing: tuple[float, float] | None = None
    plate_scale: float | None = None
    epoch_mjd: float | None = None


def solve_frames(
    frames: Sequence[Path], options: SolveOptions, *, workers: int = 2, progress: bool = True
) -> list[SolveOutcome]:
    """Solve frames in parallel; a frame that cannot be read or solved does not stop the others.

    Parameters
    ----------
    frames : sequence of Path
        FITS files.
    options : SolveOptions
        What is known and wanted.
    workers : int
        Processes.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    list of SolveOutcome
        In the order of the frames.

    Raises
    ------
    InputError
        If there is no star index, the camera is unknown, or a folder cannot be made.
    """
    StarIndex.open(options.index)  # one clear refusal instead of one per frame
    if options.camera is not None:
        load_camera(options.camera)
    for folder in (options.write, options.headers):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    found: dict[int, SolveOutcome] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, quiet=not progress)) as bar:
        task = bar.add_task("solving", total=len(frames))
        for number, outcome in _outcomes(frames, options, min(workers, len(frames))):
            found[number] = outcome
            bar.advance(task)
    return [found[number] for number in range(len(frames))]


def _outcomes(frames: Sequence[Path], options: SolveOptions, workers: int) -> Iterator[tuple[int, SolveOutcome]]:
    if workers <= 1:
        yield from ((number, solve_frame(path, options)) for number, path in enumerate(frames))
        return
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])  # imports once, not once per worker
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = {pool.submit(solve_frame, path, options): number for number, path in enumerate(frames)}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                raise EtendueError(
                    "a worker process was killed; run again, with fewer workers if memory is short"
                ) from None


def solve_frame(path: Path, options: SolveOptions) -> SolveOutcome:
    """Solve one frame.

    Parameters
    ----------
    path : Path
        FITS file.
    options : SolveOptions
        What is known and wanted.

    Returns
    -------
    SolveOutcome
        With the reason where it cannot be read or solved.
    """
    try:
        with threadpool_limits(1):
            frame = _read(path, options)
            stars = FindStarsTask().run(exposure=frame.exposure)
            solved, how = _solve(frame, stars, options)
        wcs = solved.wcs.shifted(dx=frame.raw_shift[0], dy=frame.raw_shift[1])
        statistics = solved.statistics() | {"sources": int(stars.x.size), "fwhm_px": stars.fwhm_px}
        _write(path, wcs, frame, statistics, options)
    except EtendueError as error:
        return SolveOutcome(path, False, reason=str(error))
    return SolveOutcome(path, True, how, "", wcs.to_dict(), statistics)


@lru_cache(maxsize=2)
def _opened(path: Path) -> tuple[StarIndex, ReferenceCatalog | None]:
    catalog = ReferenceCatalog(path) if (path / METADATA_FILE).is_file() else None
    return StarIndex.open(path), catalog


def _read(path: Path, options: SolveOptions) -> _Frame:
    camera = identify_camera(read_header(path)) if options.camera is None else load_camera(options.camera)
    if camera is None:
        plain = _plain_exposure(path)
        return _Frame(plain, plain.bbox.shape)
    raw = read_raw(path, camera)
    info = raw.info
    pointing = (info.ra_deg, info.dec_deg) if np.isfinite(info.ra_deg + info.dec_deg) else None
    epoch = info.mjd_tai_mid if np.isfinite(info.mjd_tai_mid) else None
    exposure = IsrTask().run(raw=raw, camera=camera)
    ny, nx = raw.array.shape
    return _Frame(exposure, (ny, nx), _raw_shift(raw, camera), pointing, camera.plate_scale, epoch)


def _raw_shift(raw: RawFrame, camera: Camera) -> tuple[float, float]:
    """Return the shift from trimmed to raw pixels; amplifiers that were moved apart or flipped have none."""
    amplifiers = camera.detector(raw.detector_id).amplifiers
    shifts = {(float(a.raw_data.x.start - a.bbox.x.start), float(a.raw_data.y.start - a.bbox.y.start))
              for a in amplifiers}  # fmt: skip
    if len(shifts) > 1 or any(a.flip_x or a.flip_y for a in amplifiers):
        raise InputError("amplifiers lie apart in the file, no WCS fits all", source=raw.path, remedy="trim it first")
    return shifts.pop()


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


def _solve(frame: _Frame, stars: FoundStars, options: SolveOptions) -> tuple[SolvedField, str]:
    """Search near the hint or the header's pointing, then everywhere; fit to the stars of the catalog."""
    task = SolveFieldTask(options.config)
    index, catalog = _opened(options.index)
    columns: dict[str, Any] = {"x": stars.x, "y": stars.y, "flux": stars.flux, "bbox": frame.exposure.bbox}
    match, how = _locate(task, columns, index, frame, options)
    reference = _reference(match, frame, index, catalog)
    solved = task.refine(match=match, stars=reference, band=index.band, x_err=stars.x_err, y_err=stars.y_err, **columns)
    return solved, how


def _locate(
    task: SolveFieldTask, columns: dict[str, Any], index: StarIndex, frame: _Frame, options: SolveOptions
) -> tuple[BlindMatch, str]:
    scale = options.scale_range_arcsec
    if options.hint is not None:
        return task.locate(**columns, index=index, hint=options.hint, scale_range_arcsec=scale), "given"
    if frame.pointing is not None and not options.blind:
        hint = SkyHint(*frame.pointing, options.pointing_radius_deg)
        known = frame.plate_scale
        about = scale or (None if known is None else (0.9 * known, 1.1 * known))
        try:
            return task.locate(**columns, index=index, hint=hint, scale_range_arcsec=about), "pointing"
        except AlgorithmError:
            pass  # headers are wrong now and then
    return task.locate(**columns, index=index, scale_range_arcsec=scale), "blind"


def _reference(match: BlindMatch, frame: _Frame, index: StarIndex, catalog: ReferenceCatalog | None) -> ReferenceSample:
    """Return the stars around a match, from the catalog at the epoch of the frame if it is there."""
    ra, dec, radius = field_cone(match.wcs, frame.exposure.bbox)
    if catalog is None:
        return index.near(ra_deg=ra, dec_deg=dec, radius_deg=radius)
    table = catalog.load_cone(ra_deg=ra, dec_deg=dec, radius_deg=radius, epoch_mjd=frame.epoch_mjd)
    return ReferenceSample.from_shards([table])


def _write(path: Path, wcs: SkyWcs, frame: _Frame, statistics: dict[str, Any], options: SolveOptions) -> None:
    dx, dy = (int(shift) for shift in frame.raw_shift)
    box = frame.exposure.bbox.shifted(dx=dx, dy=dy)
    cards: dict[str, Any] = {}
    if options.write is not None or options.headers is not None:
        cards, _ = write_wcs(wcs, box)  # counts pixels from the box, the file from its own first pixel
        cards["CRPIX1"], cards["CRPIX2"] = cards["CRPIX1"] + box.x.start, cards["CRPIX2"] + box.y.start
        cards |= {"LOGODDS": round(statistics["log_odds"], 2), "NMATCH": statistics["matched"],
                  "ASTRRMS": round(statistics["rms_arcsec"], 4)}  # fmt: skip
    if options.headers is not None:
        header = fits.Header({"NAXIS": 2, "NAXIS1": frame.file_shape[1], "NAXIS2": frame.file_shape[0]} | cards)
        with whole_file(options.headers / f"{_stem(path)}.wcs", "solved") as part:
            header.totextfile(part, overwrite=True)
    if options.write is not None:
        if options.write.resolve() == path.parent.resolve():
            raise InputError("would overwrite the frame itself", source=path, remedy="write to another folder")
        with fits.open(path, memmap=False) as hdus:
            _update(next(hdu for hdu in hdus if hdu.header.get("NAXIS") == 2).header, cards)
            _save(hdus, options.write / path.name)


def _update(header: fits.Header, cards: dict[str, Any]) -> None:
    """Replace the WCS of a header."""
    for key in _STALE:
        header.remove(key, ignore_missing=True)
    for pattern in _STALE_PATTERNS:
        for key in list(header[pattern].keys()):
            header.remove(key, ignore_missing=True, remove_all=True)
    header.update(cards)


def _save(hdus: fits.HDUList, path: Path) -> None:
    with whole_file(path, "solved") as part, warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)  # odd cards of the camera are kept as they are
        hdus.writeto(part, output_verify="silentfix", overwrite=True)


def _stem(path: Path) -> str:
    name = path.name
    for ending in (".fz", ".gz", ".fits", ".fit", ".fts"):
        name = name.removesuffix(ending)
    return name
