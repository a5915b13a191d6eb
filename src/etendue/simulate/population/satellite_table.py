"""Satellites from a user's own table of mean elements, such as those of two-line sets."""

from typing import Literal

import erfa
import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.simulate.population.given_table import GivenTable, TableFile
from etendue.simulate.population.observer import tdb_of_tai, utc_of_tai
from etendue.simulate.population.satellite_shells import EARTH_RADIUS_KM, GM_EARTH_KM3_S2, J2, Satellites
from etendue.simulate.population.satellites import SatelliteLayer

Vector = NDArray[np.float64]

_OMM = {
    "epoch_utc": "EPOCH", "mean_motion_rev_day": "MEAN_MOTION", "e": "ECCENTRICITY", "inclination_deg": "INCLINATION",
    "node_deg": "RA_OF_ASC_NODE", "peri_deg": "ARG_OF_PERICENTER", "mean_anomaly_deg": "MEAN_ANOMALY",
}  # fmt: skip
_UNIX_MJD = 40587.0
_DAY_S = 86400.0
_ROUNDS = 5
_MJD0 = 2400000.5
_LOWEST_KM = 80.0


class SatelliteTableSpec(TableFile):
    """A table of satellites by mean elements about the Earth, on the equator and equinox of date.

    Columns as in orbit mean-elements messages, whose CSV files are read as they are: ``epoch_utc`` (ISO date, or
    ``epoch_mjd_utc``), ``mean_motion_rev_day``, ``inclination_deg``, ``node_deg``, ``peri_deg``, ``mean_anomaly_deg``;
    ``e`` (0). Optional: ``standard_mag`` (AB in V at 1000 km, half lit; 7), ``tumble_s`` (between glints; missing for
    steady ones), ``tumble_phase`` (turns at the epoch; 0), ``glint_mag`` (by which glints are brighter; 3), ``glint_s``
    (their duration; 0.1).
    """

    holds: Literal["satellites"] = "satellites"
    """What the rows are."""


def make_satellite_table(spec: SatelliteTableSpec, epoch_mjd_tai: float, copy: int = 0) -> SatelliteLayer:
    """Read a layer of satellites from a table.

    Orbits are ellipses whose node and perigee drift by the Earth's J2. Periodic terms and drag are left out: places are
    good to about 10 km at the epoch, and worse by a few km per day.

    Parameters
    ----------
    spec : SatelliteTableSpec
        Which table.
    epoch_mjd_tai : float
        Time to which elements are moved [day].
    copy : int
        Number of the layer among those of its kind.

    Returns
    -------
    SatelliteLayer

    Raises
    ------
    InputError
        If columns are missing or hold what no satellite can have.
    """
    table = _in_our_names(GivenTable.read(spec.path, spec.rename))
    epochs = _epochs(table)
    motion = table.numbers("mean_motion_rev_day", low=0.01, high=18.0)
    e = table.numbers("e", 0.0, 0.0, 0.99)
    inclination, node = table.numbers("inclination_deg", low=0.0, high=180.0), table.numbers("node_deg")
    peri, anomaly = table.numbers("peri_deg"), table.numbers("mean_anomaly_deg")
    axis = semi_major_axis_km(motion, e, inclination)
    table.refuse("mean_motion_rev_day", axis * (1.0 - e) < EARTH_RADIUS_KM + _LOWEST_KM, "meets the ground with its e",
                 "correct it")  # fmt: skip
    inclination, node, turn = _on_icrs_axes(inclination, node, epochs)
    satellites = Satellites(
        radius_km=axis, inclination_deg=inclination, node_deg=node, place_deg=peri + turn + anomaly,
        standard_mag=table.numbers("standard_mag", 7.0, -20.0, 30.0),
        tumble_s=table.numbers("tumble_s", np.nan, 1e-3, 1e6), tumble_phase=table.numbers("tumble_phase", 0.0),
        glint_mag=table.numbers("glint_mag", 3.0, -5.0, 20.0), glint_s=table.numbers("glint_s", 0.1, 1e-4, 1e3),
        e=e, peri_deg=peri + turn, motion_deg_day=360.0 * motion,
    )  # fmt: skip
    return SatelliteLayer(satellites.at(utc_of_tai(epoch_mjd_tai) - epochs), epoch_mjd_tai, copy=copy)


def semi_major_axis_km(motion_rev_day: Vector, e: Vector, inclination_deg: Vector) -> Vector:
    """Return semi-major axes of mean motions, which the Earth's oblateness changes (Kozai 1959, AJ 64, 367).

    Parameters
    ----------
    motion_rev_day : ndarray, float64, shape (n,)
        Mean motions from the perigee [1/day].
    e : ndarray, float64, shape (n,)
        Eccentricities.
    inclination_deg : ndarray, float64, shape (n,)
        Inclinations [deg].

    Returns
    -------
    ndarray, float64, shape (n,)
        [km].
    """
    motion = 2.0 * np.pi * motion_rev_day / _DAY_S
    lean = 0.75 * J2 * (3.0 * np.cos(np.radians(inclination_deg)) ** 2 - 1.0) / (1.0 - e**2) ** 1.5
    axis = np.cbrt(GM_EARTH_KM3_S2 / motion**2)
    for _ in range(_ROUNDS):
        axis = np.cbrt(GM_EARTH_KM3_S2 * (1.0 + lean * (EARTH_RADIUS_KM / axis) ** 2) ** 2 / motion**2)
    return np.asarray(axis)


def _in_our_names(table: GivenTable) -> GivenTable:
    """Return a table whose columns may have been those of orbit mean-elements messages."""
    known = {ours: table.columns[theirs] for ours, theirs in _OMM.items() if theirs in table and ours not in table}
    return GivenTable(table.source, table.columns | known, table.size)


def _epochs(table: GivenTable) -> Vector:
    """Return the epochs of the rows, UTC [MJD]."""
    if "epoch_utc" not in table:
        return table.numbers("epoch_mjd_utc", low=15000.0, high=110000.0)
    given = table.columns["epoch_utc"]
    try:  # readers of CSV make times of ISO dates by themselves
        texts = given if given.dtype.kind == "M" else [str(text).rstrip("Z") for text in given.tolist()]
        moments = np.array(texts, "datetime64[us]")
    except ValueError as error:
        raise InputError(
            "column epoch_utc does not hold dates", source=table.source, value=str(error),
            remedy="write YYYY-MM-DDTHH:MM:SS.SSS, or give epoch_mjd_utc",
        ) from None  # fmt: skip
    table.refuse("epoch_utc", np.isnat(moments), "is missing", "give a date in every row")
    return moments.astype(np.int64) / (_DAY_S * 1e6) + _UNIX_MJD


def _on_icrs_axes(inclination_deg: Vector, node_deg: Vector, epoch_mjd: Vector) -> tuple[Vector, Vector, Vector]:
    """Turn orbits from the mean equator and equinox of date, nutation apart.

    Returns inclinations, nodes and by how much angles from the node grow [deg].
    """
    matrix = erfa.pmat06(_MJD0, tdb_of_tai(epoch_mjd))
    i, node = np.radians(inclination_deg), np.radians(node_deg)
    towards = np.stack([np.cos(node), np.sin(node), np.zeros_like(node)], axis=-1)
    pole = np.stack([np.sin(i) * np.sin(node), -np.sin(i) * np.cos(node), np.cos(i)], axis=-1)
    towards, pole = (np.einsum("nji,nj->ni", matrix, vector) for vector in (towards, pole))
    new = np.arctan2(pole[:, 0], -pole[:, 1])
    at_node = np.stack([np.cos(new), np.sin(new), np.zeros_like(new)], axis=-1)
    turn = np.arctan2(np.einsum("ni,ni->n", np.cross(at_node, towards), pole), np.einsum("ni,ni->n", at_node, towards))
    return np.degrees(np.arccos(np.clip(pole[:, 2], -1.0, 1.0))), np.degrees(new) % 360.0, np.degrees(turn)
