"""The reference catalog that a simulated survey comes with."""

import csv
from pathlib import Path

import numpy as np

from etendue.simulate.sky import Columns
from etendue.simulate.survey import Survey

_POSITION_ERROR_MAS = 5.0
_MAGNITUDE_ERROR = 0.005
_FAINT_LIMIT = 20.5


def make_refcat(survey: Survey) -> Columns:
    """Return the stars of the sky as a catalog with small errors; the variable is not in it.

    Parameters
    ----------
    survey : Survey
        The survey.

    Returns
    -------
    dict of ndarray
        ``id``, ``ra``, ``dec`` [deg], ``ra_err``, ``dec_err`` [mas], ``g_mag``, ``g_mag_err``, ``r_mag``,
        ``r_mag_err`` (AB).
    """
    rng = np.random.default_rng([survey.seed, 20])
    objects = survey.sky.objects
    chosen = np.flatnonzero((objects["type"] == "star") & (objects["r_mag"] < _FAINT_LIMIT))
    n = chosen.size
    shift = rng.normal(0.0, _POSITION_ERROR_MAS, (2, n)) / 3.6e6
    dec = objects["dec"][chosen]
    columns = {
        "id": 1 + np.arange(n),
        "ra": objects["ra"][chosen] + shift[0] / np.cos(np.radians(dec)),
        "dec": dec + shift[1],
        "ra_err": np.full(n, _POSITION_ERROR_MAS),
        "dec_err": np.full(n, _POSITION_ERROR_MAS),
    }
    for band in ("g", "r"):
        columns[f"{band}_mag"] = objects[f"{band}_mag"][chosen] + rng.normal(0.0, _MAGNITUDE_ERROR, n)
        columns[f"{band}_mag_err"] = np.full(n, _MAGNITUDE_ERROR)
    return columns


def write_refcat(columns: Columns, path: Path) -> None:
    """Write a reference catalog as CSV.

    Parameters
    ----------
    columns : dict of ndarray
        From `make_refcat`.
    path : Path
        File.
    """
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        formats = {"id": "{:d}", "ra": "{:.9f}", "dec": "{:.9f}"}
        for row in zip(*columns.values(), strict=True):
            writer.writerow(formats.get(name, "{:.4f}").format(value) for name, value in zip(columns, row, strict=True))
