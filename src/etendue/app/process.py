"""One frame from raw pixels to a calibrated image and a catalog, without a repository."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from etendue.app.processing.frame_camera import camera_of
from etendue.app.processing.frame_files import frame_name, write_frame
from etendue.app.processing.masters import MasterPaths, Masters, masters_for
from etendue.app.processing.reference_match import ReferenceMatch, match_reference
from etendue.camera.camera import Camera
from etendue.camera.raw import RawFrame, read_raw
from etendue.errors import AlgorithmError, InputError
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.refcat.bands import in_camera_bands
from etendue.refcat.source import open_reference
from etendue.stages.calibrate_image import CalibrateImage, CalibrateImageConfig, CalibrateImageResult
from etendue.table.table import Table

_NJY_ZERO_POINT_MAG = 31.4
_DEPTH_SNR = 5.0
_FAINT_SNR = 20.0
_NOISE_OK = (0.85, 1.18)


@dataclass(frozen=True, eq=False)
class ProcessResult:
    """What became of one frame.

    Parameters
    ----------
    frame : Path
        The raw file.
    camera : Camera
        Named, shipped or guessed.
    exposure : Exposure
        Image [electron], mask and variance, with PSF, WCS, flux scale, background.
    sources : Table
        Everything detected, with the columns of ``source``: positions [deg], fluxes [nJy], flags.
    match : ReferenceMatch or None
        Comparison with the reference catalog, if one was given.
    notes : tuple of str
        Warnings on the way.
    seconds : float
        Wall time [s].
    detector : str
        Name or id of the detector, as it was chosen; empty if none was.
    """

    frame: Path
    camera: Camera
    exposure: Exposure
    sources: Table
    match: ReferenceMatch | None = None
    notes: tuple[str, ...] = field(default=())
    seconds: float = 0.0
    detector: str = ""

    @property
    def wcs(self) -> SkyWcs | None:
        """Pixels to sky; None if neither the header nor a reference catalog gave one."""
        return self.exposure.wcs

    def write(
        self, folder: str | Path, *, file_format: str = "parquet", plots: bool = True, overwrite: bool = False
    ) -> Path:
        """Write everything into a folder of its own inside ``folder``, which appears whole or not at all.

        Parameters
        ----------
        folder : str or Path
            Made if it does not exist.
        file_format : {"parquet", "fits", "votable", "csv"}
            Of the catalog.
        plots : bool
            Draw check pictures.
        overwrite : bool
            Replace what an earlier call wrote of a frame of this name.

        Returns
        -------
        Path
            ``folder/<name of the frame>``, followed by ``.<detector>`` where one was chosen, with ``image.fits``,
            ``sources.*``, ``image.wcs`` (where there is a WCS), ``summary.json`` and pictures.

        Raises
        ------
        InputError
            If it exists, or cannot be written.
        """
        return write_frame(
            Path(folder) / frame_name(self.frame, self.detector), exposure=self.exposure, sources=self.sources,
            match=self.match, summary=self.summary(), file_format=file_format, plots=plots, overwrite=overwrite,
        )  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """Return the numbers of the frame, JSON-able; NaN where unknown."""
        exposure, facts = self.exposure, self.exposure.metadata
        x, y, fwhm = exposure.bbox.x.center, exposure.bbox.y.center, exposure.fwhm
        calib, info = exposure.photo_calib, exposure.visit_info
        ra, dec, scale = float("nan"), float("nan"), float("nan")
        if exposure.wcs is not None:
            ra, dec = (float(value) for value in exposure.wcs.pixel_to_sky(x=x, y=y))
            scale = float(exposure.wcs.pixel_scale(x=x, y=y))
        return {
            "frame": self.frame.name,
            "camera": self.camera.name,
            "band": exposure.band,
            "exposure_time_s": info.exposure_time_s if info else float("nan"),
            "mjd_tai": info.mjd_tai if info else float("nan"),
            "ra_deg": ra,
            "dec_deg": dec,
            "n_source": len(self.sources),
            "n_psf_star": facts["n_psf_star"],
            "fwhm_px": fwhm,
            "fwhm_arcsec": fwhm * scale,
            "sky_electron": facts["sky_level_electron"],
            "masked_fraction": facts["masked_fraction"],
            "noise_ratio": noise_ratio(exposure),
            "zero_point_mag": calib.zero_point_mag if calib else float("nan"),
            "flux_scale": calib.kind if calib else "none",
            "depth_mag": _depth(self.sources),
            "n_reference": int(self.match.fit_position.sum()) if self.match else 0,
            "astrometric_rms_mas": self.match.rms_mas if self.match else float("nan"),
            "photometric_rms_mag": self.match.rms_mag if self.match else float("nan"),
            "notes": list(self.notes),
            "seconds": self.seconds,
        }


def process(
    frame: str | Path,
    *,
    refcat: str | Path | None = None,
    photometry_refcat: str | Path | None = None,
    index: str | Path | None = None,
    camera: str | None = None,
    bias: str | Path | None = None,
    dark: str | Path | None = None,
    flat: str | Path | None = None,
    detector: str | int | None = None,
    config: CalibrateImageConfig | None = None,
) -> ProcessResult:
    """Calibrate one raw frame and measure everything on it, in memory.

    Parameters
    ----------
    frame : str or Path
        Raw science frame.
    refcat : str or Path, optional
        ``gaia``, ``ps1`` or ``2mass``; a sharded catalog; or a CSV, FITS, Parquet or VOTable file. Without one
        positions are by the header's WCS and fluxes on a relative scale.
    photometry_refcat : str or Path, optional
        Another catalog, for the flux scale alone; that of ``refcat`` by default.
    index : str or Path, optional
        Reference catalog with a star index (``etendue refcat index``), for frames without a WCS in their header, or one
        that does not match. It is also the reference catalog if no other is given.
    camera : str, optional
        Shipped camera or YAML file; recognised or guessed by default.
    bias, dark, flat : str or Path, optional
        Masters, or folders of raw frames (see `MasterPaths`).
    detector : str or int, optional
        Name or id; needed for files of several detectors.
    config : CalibrateImageConfig, optional
        Every knob of the stage ``calibrate_image``.

    Returns
    -------
    ProcessResult

    Raises
    ------
    InputError
        If a file is missing, damaged or does not fit.
    AlgorithmError
        If the data defeat a method: no stars, no match with the reference catalog.
    """
    begin, path = time.monotonic(), Path(frame)
    with _warnings_noted() as notes:
        known, guessed = camera_of(path, camera)
        if guessed:
            notes.append(f"camera guessed from {path.name}: look at 'etendue camera guess' before trusting fluxes")
        raw = _read(path, known, detector)
        if raw.info.observation_type != "science":
            raise InputError("is no science frame", source=path, value=raw.info.observation_type, remedy="leave it out")
        masters = masters_for(raw, known, MasterPaths(*(None if p is None else str(p) for p in (bias, dark, flat))))
        stars_of = None if refcat is None and index is None else str(refcat or index)
        fluxes_of = None if photometry_refcat is None else str(photometry_refcat)
        if stars_of is None and fluxes_of is not None:
            raise InputError("a catalog for fluxes alone matches no sources", value=fluxes_of,
                             remedy="give one for positions (refcat), which may be the same")  # fmt: skip
        work = _Work(known, masters, stars_of, fluxes_of, CalibrateImage(config))
        result, reference = _calibrated(raw, work, None if index is None else str(index), notes)
        ratio = noise_ratio(result.exposure)
        if not _NOISE_OK[0] < ratio < _NOISE_OK[1]:
            notes.append(f"errors are wrong: the noise is {ratio:.2f} of what gain, read noise and bias let expect")
    return ProcessResult(
        frame=path, camera=known, exposure=result.exposure, sources=result.stars, match=_match(result, reference),
        notes=tuple(dict.fromkeys(notes)), seconds=time.monotonic() - begin,
        detector="" if detector is None else str(detector),
    )  # fmt: skip


def _read(path: Path, camera: Camera, detector: str | int | None) -> RawFrame:
    """Read a frame, of the wanted detector if one is named."""
    if detector is None:
        return read_raw(path, camera)
    wanted = camera.find_detector(str(detector)) or camera.detector(detector)
    raw = read_raw(path, camera, detector=wanted.id)
    if raw.detector_id != wanted.id:
        own = camera.detector(raw.detector_id)
        raise InputError(f"is not of detector {wanted.name}", source=path, value=own.name, remedy="leave it out")
    return raw


@dataclass(frozen=True, eq=False)
class _Work:
    """What a frame is calibrated with."""

    camera: Camera
    masters: Masters
    refcat: str | None
    photometry_refcat: str | None
    stage: CalibrateImage

    def run(self, raw: RawFrame) -> tuple[CalibrateImageResult, Table | None]:
        """Return the stage's result and the reference stars."""
        margin = self.stage.config.reference_margin
        reference, fluxes = (
            None if name is None else _reference_stars(name, raw, self.camera, margin)
            for name in (self.refcat, self.photometry_refcat)
        )
        result = self.stage.run(
            raws=(raw,), overrides=(), camera=self.camera, bias=self.masters.bias, flat=self.masters.flat,
            defects=None, ptc=None, reference=() if reference is None else (reference,),
            photometry_reference=() if fluxes is None else (fluxes,),
        )  # fmt: skip
        return result, reference

    def find(self, raw: RawFrame, index: str) -> RawFrame:
        """Return the frame with the WCS of its star pattern."""
        from etendue.app.processing.locate import located  # its kernels are of no use to frames that have a WCS

        return located(raw, self.camera, self.masters, index)


def _calibrated(
    raw: RawFrame, work: _Work, index: str | None, notes: list[str]
) -> tuple[CalibrateImageResult, Table | None]:
    """Calibrate with the header's WCS, or with the one of the star pattern where there is none or it does not match."""
    if index is None:
        try:
            return work.run(raw)
        except AlgorithmError as error:
            if work.refcat is None or not raw.info.wcs_is_approximate:
                raise
            hint = "the header gives only a pointing, a star index (--index) finds the frame"
            raise AlgorithmError(f"{error}; {hint}") from error
    if raw.info.wcs is None or raw.info.wcs_is_approximate:
        return work.run(work.find(raw, index))
    try:
        return work.run(raw)
    except AlgorithmError as error:
        found = work.find(raw, index)
        notes.append(f"the header's WCS does not match ({error}): found by the star pattern instead")
        return work.run(found)


def _reference_stars(refcat: str, raw: RawFrame, camera: Camera, margin_px: float) -> Table:
    """Return the stars of the catalog around the frame, with fluxes in the camera's bands."""
    source = open_reference(refcat)
    wcs, box = raw.info.wcs, camera.detector(raw.detector_id).bbox
    if wcs is None:
        raise InputError(
            "neither a WCS nor a pointing in the header",
            source=raw.path,
            remedy="give a star index (--index) or leave out the reference catalog",
        )
    ra, dec = (float(value) for value in wcs.pixel_to_sky(x=box.x.center, y=box.y.center))
    reach_px = 0.5 * float(np.hypot(*box.shape)) + 1.5 * margin_px
    stars = source.load_cone(
        ra_deg=ra, dec_deg=dec, radius_deg=reach_px * float(wcs.pixel_scale(x=box.x.center, y=box.y.center)) / 3600.0
    )
    if len(stars) == 0:
        raise AlgorithmError(f"no star of {refcat} on the frame", ra_deg=round(ra, 4), dec_deg=round(dec, 4))
    return in_camera_bands(stars, camera, catalog=source.catalog)


def _match(result: CalibrateImageResult, reference: Table | None) -> ReferenceMatch | None:
    return None if reference is None else match_reference(result.exposure, result.stars, reference)


def noise_ratio(exposure: Exposure) -> float:
    """Return the scatter of sky pixels in units of their claimed noise.

    Parameters
    ----------
    exposure : Exposure
        Sky-subtracted.

    Returns
    -------
    float
        Robust; 1 where gain, read noise and bias are right; NaN without sky.
    """
    used = exposure.mask.any_of(("DETECTED", "DETECTED_NEGATIVE", "BAD", "SAT", "NO_DATA", "VIGNETTED", "INTRP", "CR"))
    sky = (exposure.image.array / np.sqrt(exposure.variance.array))[~used]
    sky = sky[np.isfinite(sky)]
    return float(1.4826 * np.median(np.abs(sky - np.median(sky)))) if sky.size else float("nan")


def _depth(sources: Table) -> float:
    """Return the magnitude of a point source at S/N 5, by the errors of faint sources; NaN without any."""
    err = np.asarray(sources["psfFluxErr"], float)
    faint = np.asarray(sources["psfFlux"], float) < _FAINT_SNR * err
    typical = float(np.median(err[faint & np.isfinite(err)])) if np.any(faint & np.isfinite(err)) else float("nan")
    return _NJY_ZERO_POINT_MAG - 2.5 * float(np.log10(_DEPTH_SNR * typical))


class _Notes(logging.Handler):
    """Keeps the warnings of etendue."""

    def __init__(self, notes: list[str]):
        super().__init__(logging.WARNING)
        self._notes = notes

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one warning; that no gain was measured is no news here, where nobody can give one."""
        message = record.getMessage()
        if "no certified ptc" not in message:
            self._notes.append(message)


@contextmanager
def _warnings_noted() -> Iterator[list[str]]:
    notes: list[str] = []
    logger, handler = logging.getLogger("etendue"), _Notes(notes)
    logger.addHandler(handler)
    try:
        yield notes
    finally:
        logger.removeHandler(handler)
