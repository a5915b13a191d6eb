"""Write light curves for other programs: plain CSV, Parquet, and the extended format of the AAVSO."""

from pathlib import Path

import numpy as np

from etendue import __version__
from etendue.app.light_curves import StarCurve, require_folder
from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.table.export import export_table
from etendue.table.table import Table

FORMATS = ("csv", "parquet", "aavso")

_AAVSO_FILTERS = {
    "U": "U", "B": "B", "V": "V", "R": "R", "I": "I", "J": "J", "H": "H", "K": "K", "u": "SU", "g": "SG", "r": "SR",
    "i": "SI", "z": "SZ", "y": "Y", "clear": "CV",
}  # fmt: skip
_OTHER_FILTER = "O"
_MAX_NAME, _MAX_NOTE = 30, 100


def export_curve(curve: StarCurve, path: Path, file_format: str, *, observer: str = "", name: str = "") -> None:
    """Write one light curve; the file appears whole or not at all.

    Parameters
    ----------
    curve : StarCurve
        The star.
    path : Path
        The file, replaced if it exists.
    file_format : {"csv", "parquet", "aavso"}
        Plain tables hold all columns of ``light_curve``, UTC and BJD (TDB) among them.
    observer : str
        AAVSO observer code; needed for that format only.
    name : str
        Name of the star in the AAVSO's catalog; by its position if left out.

    Raises
    ------
    InputError
        If the format is unknown, the observer code is missing, or the folder does not exist.
    """
    if file_format not in FORMATS:
        raise InputError("unknown format of light curves", value=file_format, remedy=f"use one of {', '.join(FORMATS)}")
    require_folder(path)
    if file_format != "aavso":
        export_table(curve.rows, path, file_format)
        return
    if not observer:
        raise InputError("the AAVSO format needs an observer code", remedy="give --observer CODE")
    with whole_file(path, "light curve") as part:
        part.write_text(aavso_text(curve, observer=observer, name=name))


def aavso_text(curve: StarCurve, *, observer: str, name: str = "") -> str:
    """Return a light curve in the AAVSO extended file format.

    Magnitudes are the star's mean plus the raw difference against the ensemble. Dates are JD (UTC) as the format wants
    them, without light-travel time. The type is DIF: an ensemble without standard transformation.

    Parameters
    ----------
    curve : StarCurve
        The star.
    observer : str
        Observer code.
    name : str
        Name of the star; by its position if left out.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If the name is too long for the format.

    References
    ----------
    https://www.aavso.org/aavso-extended-file-format
    """
    head = (
        "#TYPE=EXTENDED", f"#OBSCODE={_plain(observer)}", f"#SOFTWARE=etendue {__version__}", "#DELIM=,", "#DATE=JD",
        "#OBSTYPE=CCD", "#NAME,DATE,MAG,MERR,FILT,TRANS,MTYPE,CNAME,CMAG,KNAME,KMAG,AMASS,GROUP,CHART,NOTES",
    )  # fmt: skip
    star = _plain(name) or curve.name
    if len(star) > _MAX_NAME:
        raise InputError("the AAVSO takes names of at most 30 characters", value=star, remedy="give a shorter --name")
    band = _AAVSO_FILTERS.get(str(curve.star["band"]), _OTHER_FILTER)
    note = (
        f"ensemble of the field; aperture {curve.star['apertureRadius']:.1f} px; band {_plain(str(curve.star['band']))}"
    )
    date, mag = curve.column("mjdUtc") + 2400000.5, curve.column("deltaMag") + float(curve.star["mag"])
    columns = zip(date, mag, curve.column("deltaMagErr"), curve.column("airmass"), strict=True)
    lines = [
        f"{star},{d:.5f},{m:.4f},{e:.4f},{band},NO,DIF,ENSEMBLE,na,na,na,{_number(a)},na,na,{note[:_MAX_NOTE]}"
        for d, m, e, a in columns
    ]
    return "\n".join([*head, *lines]) + "\n"


def export_all(curves: Table, path: Path, file_format: str) -> None:
    """Write the light curves of all stars as one table, CSV or Parquet.

    Parameters
    ----------
    curves : Table
        ``light_curve``.
    path : Path
        The file.
    file_format : {"csv", "parquet"}
        Format.

    Raises
    ------
    InputError
        If the format holds one star only, or the folder does not exist.
    """
    if file_format == "aavso":
        raise InputError("the AAVSO format is written star by star", remedy="give --ra and --dec")
    require_folder(path)
    export_table(curves, path, file_format)


def _plain(text: str) -> str:
    """Return text without the characters that structure the file."""
    return " ".join(text.replace(",", " ").replace("#", " ").split())


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "na"
