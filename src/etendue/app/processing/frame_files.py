"""The files of one processed frame: one folder, whole or absent."""

import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from astropy.io import fits

from etendue.app.processing.reference_match import ReferenceMatch
from etendue.camera.fits_name import without_ending
from etendue.errors import InputError
from etendue.geom.wcs_header import write_wcs
from etendue.image.exposure import Exposure
from etendue.image.fits_exposure import write_exposure
from etendue.table.export import SUFFIXES, export_table
from etendue.table.table import Table


def frame_name(path: Path, detector: str | int | None = None) -> str:
    """Return the name of a frame's folder.

    Parameters
    ----------
    path : Path
        Raw file.
    detector : str or int, optional
        The detector that was chosen.

    Returns
    -------
    str
        The file's name without the endings of FITS files, and the detector's.
    """
    stem = without_ending(path.name)
    return stem if detector in (None, "") else f"{stem}.{detector}"


def check_free(target: Path, overwrite: bool) -> None:
    """Refuse a folder that is there already, unless it may be replaced, and one that cannot be made.

    Parameters
    ----------
    target : Path
        Folder of a frame.
    overwrite : bool
        Whether it may be replaced.

    Raises
    ------
    InputError
        If it must not be replaced, or something else has its name.
    """
    if target.exists() and not overwrite:
        raise InputError("already exists", source=target, remedy="choose another --out or give --overwrite")
    if target.exists() and not (target.is_dir() and (target / "image.fits").is_file()):
        raise InputError("is not an output of etendue process", source=target, remedy="remove it yourself")
    place = next(parent for parent in target.absolute().parents if parent.exists())
    if not os.access(place, os.W_OK):
        raise InputError("cannot be written to", source=place, remedy="choose another --out")


def write_frame(
    target: Path,
    *,
    exposure: Exposure,
    sources: Table,
    match: ReferenceMatch | None,
    summary: Mapping[str, Any],
    file_format: str,
    plots: bool,
    overwrite: bool,
) -> Path:
    """Write the products of a frame.

    Parameters
    ----------
    target : Path
        Folder to make.
    exposure : Exposure
        To ``image.fits`` and ``image.wcs``.
    sources : Table
        To ``sources.*``.
    match : ReferenceMatch, optional
        For the picture of residuals.
    summary : mapping
        To ``summary.json``.
    file_format : str
        Of the catalog.
    plots : bool
        Whether to draw.
    overwrite : bool
        Whether an earlier output may be replaced.

    Returns
    -------
    Path
        ``target``.

    Raises
    ------
    InputError
        If it exists and may not be replaced, or the format is unknown.
    """
    if file_format not in SUFFIXES:
        raise InputError("unknown table format", value=file_format, remedy=f"use one of {', '.join(SUFFIXES)}")
    check_free(target, overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid4().hex}.part")
    try:
        partial.mkdir()
        write_exposure(exposure, partial / "image.fits")
        export_table(sources, partial / f"sources{SUFFIXES[file_format]}", file_format)
        if exposure.wcs is not None:
            _write_wcs(exposure, partial / "image.wcs")
        (partial / "summary.json").write_text(json.dumps(_plain(summary), indent=1) + "\n")
        if plots:
            from etendue.app.processing.pictures import check_pictures  # matplotlib is slow to import

            for name, picture in check_pictures(exposure, sources, match).items():
                (partial / f"{name}.png").write_bytes(picture)
        _put_in_place(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _write_wcs(exposure: Exposure, path: Path) -> None:
    """Write header cards as lines of text, as astropy and other programs read them."""
    assert exposure.wcs is not None
    header = fits.Header()
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, exposure.bbox.x.size, exposure.bbox.y.size
    header.update(write_wcs(exposure.wcs, exposure.bbox)[0])
    header.totextfile(path)


def _put_in_place(partial: Path, target: Path) -> None:
    """Rename the finished folder; an old one is moved aside first, and brought back should that fail."""
    if not target.exists():
        partial.rename(target)
        return
    old = target.with_name(f".{target.name}.{uuid4().hex}.old")
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
