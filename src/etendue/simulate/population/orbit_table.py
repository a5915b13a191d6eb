"""Small bodies from a user's own table of orbits."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from etendue.errors import InputError
from etendue.simulate.population.layer import Columns
from etendue.simulate.population.moving import MovingLayer
from etendue.simulate.population.orbits import Orbits
from etendue.simulate.population.reflectance import TYPES
from etendue.simulate.population.small_bodies import SmallBodies
from etendue.table.formats import read_any

Vector = NDArray[np.float64]

_ANGLES = ("inclination_deg", "node_deg", "peri_deg")
_DEFAULTS = {"g12": 0.5, "tilt_per_100nm": 0.0, "period_h": 6.0, "amplitude_mag": 0.0, "rotation_phase": 0.0}


class OrbitTableSpec(BaseModel):
    """A table of orbits: CSV, FITS, Parquet or VOTable; the truth of a simulated survey is one.

    Columns: ``q_au`` or ``a_au``; ``e``; ``inclination_deg``, ``node_deg``, ``peri_deg`` on the ecliptic of J2000;
    ``t_peri_mjd_tdb``, or ``mean_anomaly_deg`` and ``epoch_mjd_tdb``; ``h_mag``. Optional: ``g12`` (0.5),
    ``spectral_type`` (C, S, D or R; S), ``tilt_per_100nm`` (0), ``period_h`` (6), ``amplitude_mag`` (0),
    ``rotation_phase`` (0), ``dynamical_class`` (``table``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    path: Path
    """The file."""

    rename: dict[str, str] = Field(default_factory=dict)
    """Names above, and what the table calls them."""

    rotation: bool = True
    """Whether bodies have rotation light curves."""


def make_orbit_table(spec: OrbitTableSpec, copy: int = 0) -> MovingLayer:
    """Read a layer of moving bodies from a table.

    Parameters
    ----------
    spec : OrbitTableSpec
        Which table.
    copy : int
        Number of the layer among those of moving bodies.

    Returns
    -------
    MovingLayer

    Raises
    ------
    InputError
        If columns are missing or hold what no orbit can have.
    """
    columns = dict(read_any(spec.path))
    for ours, theirs in spec.rename.items():
        if theirs not in columns:
            raise InputError(f"no column {theirs}", source=spec.path, value=sorted(columns), remedy="correct rename")
        columns[ours] = columns.pop(theirs)
    size = next(iter(columns.values())).size if columns else 0
    orbits = _orbits(columns, spec.path)
    rest = {
        name: _numbers(columns, name, spec.path) if name in columns else np.full(size, default)
        for name, default in _DEFAULTS.items()
    }
    kind = _types(columns, size, spec.path)
    bodies = SmallBodies(orbits=orbits, h_mag=_numbers(columns, "h_mag", spec.path), kind=kind, **rest)
    classes = np.asarray(columns.get("dynamical_class", np.full(size, "table")), np.str_)
    return MovingLayer(bodies, classes, rotation=spec.rotation, copy=copy)


def _orbits(columns: Columns, source: Path) -> Orbits:
    e = _numbers(columns, "e", source)
    inclination, node, peri = (_numbers(columns, name, source) for name in _ANGLES)
    q = _numbers(columns, "q_au", source) if "q_au" in columns else _numbers(columns, "a_au", source) * (1.0 - e)
    for name, bad in {"q_au": ~(q > 0.0), "e": ~(e >= 0.0)}.items():
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(f"row {row}: not an orbit", source=source, value=f"{name} {(q, e)[name == 'e'][row]}")
    if "t_peri_mjd_tdb" in columns:
        return Orbits(q, e, inclination, node, peri, _numbers(columns, "t_peri_mjd_tdb", source))
    anomaly, epoch = (_numbers(columns, name, source) for name in ("mean_anomaly_deg", "epoch_mjd_tdb"))
    if (e >= 1.0).any():
        raise InputError(
            "orbits that are not closed have no mean anomaly", source=source, remedy="give t_peri_mjd_tdb and q_au"
        )
    return Orbits.from_keplerian(q / (1.0 - e), e, inclination, node, peri, anomaly, epoch)


def _types(columns: Columns, size: int, source: Path) -> NDArray[np.int64]:
    names = np.asarray(columns.get("spectral_type", np.full(size, "S")), np.str_)
    unknown = sorted(set(names.tolist()) - set(TYPES))
    if unknown:
        raise InputError("unknown spectral type", source=source, value=unknown[0], remedy=f"one of {', '.join(TYPES)}")
    place = {name: number for number, name in enumerate(TYPES)}
    found, row = np.unique(names, return_inverse=True)
    return np.array([place[name] for name in found.tolist()], np.int64)[row]


def _numbers(columns: Columns, name: str, source: Path) -> Vector:
    if name not in columns:
        raise InputError(f"no column {name}", source=source, value=sorted(columns), remedy="name it in rename")
    try:
        values = np.ascontiguousarray(columns[name], np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"column {name} does not hold numbers", source=source) from error
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise InputError(f"row {row}: column {name} is not finite", source=source, value=float(values[row]))
    return values
