"""Solve frames: where on the sky they are, from their pixels and a star index."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from astropy.io import fits

from etendue.app.solving.each_frame import each_frame
from etendue.app.solving.frame_search import FoundFrame, SearchOptions, search_frame
from etendue.camera.fits_name import without_ending
from etendue.camera.shipped import load_camera
from etendue.disk import whole_file
from etendue.errors import EtendueError, InputError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.wcs_header import write_wcs_of_array
from etendue.refcat.star_index import StarIndex

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
_STALE_PATTERNS = ("PV?_*", "A_*", "B_*", "AP_*", "BP_*")


@dataclass(frozen=True)
class SolveOptions:
    """How frames are searched, and what is written.

    Parameters
    ----------
    search : SearchOptions
        Where they are searched, and what is known before.
    write : Path, optional
        Folder for copies of the frames with the WCS in their header.
    headers : Path, optional
        Folder for ``NAME.wcs``, header cards of the WCS as lines of text.
    """

    search: SearchOptions
    write: Path | None = None
    headers: Path | None = None


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
    StarIndex.open(options.search.index)  # one clear refusal instead of one per frame
    if options.search.camera is not None:
        load_camera(options.search.camera)
    for folder in (options.write, options.headers):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    return each_frame(partial(solve_frame, options=options), frames, "solving", workers=workers, progress=progress)


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
        found = search_frame(path, options.search)
        dx, dy = _raw_shift(found)
        wcs = found.solved.wcs.shifted(dx=dx, dy=dy)
        statistics = found.statistics()
        _write(path, wcs, found.box.shifted(dx=dx, dy=dy), found.shape, statistics, options)
    except EtendueError as error:
        return SolveOutcome(path, False, reason=str(error))
    return SolveOutcome(path, True, found.how, "", wcs.to_dict(), statistics)


def _raw_shift(found: FoundFrame) -> tuple[int, int]:
    """Return the shift from trimmed to raw pixels; amplifiers that were moved apart or flipped have none."""
    if found.raw is None or found.camera is None:
        return 0, 0
    amplifiers = found.camera.detector(found.raw.detector_id).amplifiers
    shifts = {(a.raw_data.x.start - a.bbox.x.start, a.raw_data.y.start - a.bbox.y.start) for a in amplifiers}
    if len(shifts) > 1 or any(a.flip_x or a.flip_y for a in amplifiers):
        raise InputError(
            "amplifiers lie apart in the file, no WCS fits all", source=found.raw.path, remedy="trim it first"
        )
    return shifts.pop()


def _write(
    path: Path, wcs: SkyWcs, box: Box, shape: tuple[int, int], statistics: dict[str, Any], options: SolveOptions
) -> None:
    """Write what is wanted of a WCS for the pixels of a box inside an array."""
    cards: dict[str, Any] = {}
    if options.write is not None or options.headers is not None:
        cards = write_wcs_of_array(wcs, box)
        cards |= {"LOGODDS": round(statistics["log_odds"], 2), "NMATCH": statistics["matched"],
                  "ASTRRMS": round(statistics["rms_arcsec"], 4)}  # fmt: skip
    if options.headers is not None:
        header = fits.Header({"NAXIS": 2, "NAXIS1": shape[1], "NAXIS2": shape[0]} | cards)
        with whole_file(options.headers / f"{without_ending(path.name)}.wcs", "solved") as part:
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
