"""The reference catalog that a simulated survey comes with."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment
from etendue.simulate.random_streams import stream
from etendue.simulate.surveys.sky_layers import survey_fields
from etendue.simulate.surveys.survey import Survey

Columns = dict[str, NDArray]

_STARS = ("stars", "crowded", "table")


def make_refcat(survey: Survey) -> Columns:
    """Return the survey's constant stars as a catalog with small errors, at the time of its first exposure.

    Parameters
    ----------
    survey : Survey
        The survey.

    Returns
    -------
    dict of ndarray
        ``id`` (numbered anew), ``ra``, ``dec`` [deg], ``ra_err``, ``dec_err`` [mas], ``epoch`` [MJD], and by band
        ``x_mag``, ``x_mag_err`` (AB).

    Raises
    ------
    InputError
        If the band of its limit is not in use.
    """
    spec, seen = survey.spec.refcat, _stars(survey)
    band = spec.band or survey.bands[0]
    if band not in survey.bands:
        raise InputError("is not a band in use", source="refcat.band", value=band,
                         remedy=f"give one of {', '.join(survey.bands)}")  # fmt: skip
    chosen = np.flatnonzero(seen[f"{band}_mag"] < spec.faint_mag)
    n = chosen.size
    rng = stream(survey.seed, "reference catalog")
    shift = rng.normal(0.0, spec.position_mas, (2, n)) / 3.6e6
    dec = seen["dec"][chosen]
    columns: Columns = {
        "id": rng.permutation(n) + 1,
        "ra": (seen["ra"][chosen] + shift[0] / np.cos(np.radians(dec))) % 360.0,
        "dec": dec + shift[1],
        "ra_err": np.full(n, spec.position_mas),
        "dec_err": np.full(n, spec.position_mas),
        "epoch": np.full(n, survey.exposures[0].mjd_tai_mid),
    }
    for band in survey.bands:
        columns[f"{band}_mag"] = seen[f"{band}_mag"][chosen] + rng.normal(0.0, spec.magnitude, n)
        columns[f"{band}_mag_err"] = np.full(n, spec.magnitude)
    order = np.argsort(columns["id"])
    return {name: values[order] for name, values in columns.items()}


def _stars(survey: Survey) -> Columns:
    """Return positions and magnitudes of all stars, each once."""
    first = survey.exposures[0]
    parts: list[Columns] = []
    for field in survey_fields(survey.camera, survey.exposures, survey.spec.sky.margin_deg):
        radius = float(np.hypot(field.half_width_deg, field.half_height_deg))
        for layer in survey.layers:
            if layer.name not in _STARS:
                continue
            by_band = {}
            for band in survey.bands:
                moment = Moment(survey.bandpasses[band], first.mjd_tai_mid, first.exposure_time_s, field.ra_deg,
                                field.dec_deg, radius, survey.camera.observatory)  # fmt: skip
                by_band[band] = layer.lights(moment)
            parts.append(_in_all_bands(by_band))
    if not parts:
        return {name: np.zeros(0) for name in ("ra", "dec", *(f"{band}_mag" for band in survey.bands))}
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    once = np.unique(joined["object_id"], return_index=True)[1]
    return {name: values[once] for name, values in joined.items()}


def _in_all_bands(by_band: dict[str, Lights]) -> Columns:
    """Return points; magnitudes are NaN in bands in which a star has no light."""
    first = next(iter(by_band.values()))
    points = first.shape < 0
    columns: Columns = {"object_id": first.object_id, "ra": first.ra_deg, "dec": first.dec_deg}
    for band, found in by_band.items():
        _, mine, theirs = np.intersect1d(first.object_id, found.object_id, assume_unique=True, return_indices=True)
        columns[f"{band}_mag"] = np.full(len(first), np.nan)
        columns[f"{band}_mag"][mine] = found.mag[theirs]
    return {name: values[points] for name, values in columns.items()}


def write_refcat(columns: Columns, path: Path) -> None:
    """Write a reference catalog as CSV.

    Parameters
    ----------
    columns : dict of ndarray
        From `make_refcat`.
    path : Path
        File.
    """
    digits = {"id": 0, "ra": 9, "dec": 9}
    rounded = {
        name: values if name == "id" else np.round(values, digits.get(name, 4)) for name, values in columns.items()
    }
    pacsv.write_csv(pa.table(rounded), path)
