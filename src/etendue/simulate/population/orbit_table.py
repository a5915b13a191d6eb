"""Small bodies from a user's own table of orbits."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.simulate.population.given_table import GivenTable, TableFile
from etendue.simulate.population.moving import MovingLayer
from etendue.simulate.population.orbits import Orbits
from etendue.simulate.population.reflectance import TYPES
from etendue.simulate.population.small_bodies import SmallBodies

_SMALLEST_AU = 1e-4


class OrbitTableSpec(TableFile):
    """A table of orbits; ``objects_moving`` of a simulated survey's truth is one.

    Columns: ``q_au`` or ``a_au``; ``e``; ``inclination_deg``, ``node_deg``, ``peri_deg`` on the ecliptic of J2000;
    ``t_peri_mjd_tdb``, or ``mean_anomaly_deg`` and ``epoch_mjd_tdb``; ``h_mag``. Optional: ``g12`` (0.5),
    ``spectral_type`` (C, S, D or R; S), ``tilt_per_100nm`` (0), ``period_h`` (6), ``amplitude_mag`` (0),
    ``rotation_phase`` (0), ``dynamical_class`` (``table``).
    """

    holds: Literal["orbits"] = "orbits"
    """What the rows are."""

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
        If columns are missing or hold what no orbit can have: one line with file, column, row, value and remedy.
    """
    table = GivenTable.read(spec.path, spec.rename)
    bodies = SmallBodies(
        orbits=read_orbits(table),
        h_mag=table.numbers("h_mag", low=-30.0, high=40.0),
        g12=table.numbers("g12", 0.5, -1.0, 2.0),
        kind=_types(table),
        tilt_per_100nm=table.numbers("tilt_per_100nm", 0.0, -1.0, 1.0),
        period_h=table.numbers("period_h", 6.0, 1e-3, 1e6),
        amplitude_mag=table.numbers("amplitude_mag", 0.0, 0.0, 10.0),
        rotation_phase=table.numbers("rotation_phase", 0.0),
    )
    return MovingLayer(bodies, table.texts("dynamical_class", "table"), rotation=spec.rotation, copy=copy)


def read_orbits(table: GivenTable) -> Orbits:
    """Return the heliocentric orbits of a table.

    Parameters
    ----------
    table : GivenTable
        With the columns that `OrbitTableSpec` names.

    Returns
    -------
    Orbits

    Raises
    ------
    InputError
        If columns are missing or hold what no orbit can have.
    """
    e = table.numbers("e", low=0.0)
    inclination = table.numbers("inclination_deg", low=0.0, high=180.0)
    node, peri = table.numbers("node_deg"), table.numbers("peri_deg")
    if "q_au" in table or "a_au" not in table:
        q = table.numbers("q_au", low=_SMALLEST_AU)
    else:
        q = table.numbers("a_au") * (1.0 - e)  # axes of hyperbolas are negative
        table.refuse("a_au", ~(q >= _SMALLEST_AU), "is no orbit with its e", "give q_au where e is 1 or more")
    if "t_peri_mjd_tdb" in table:
        return Orbits(q, e, inclination, node, peri, table.numbers("t_peri_mjd_tdb"))
    if "mean_anomaly_deg" not in table:
        raise InputError(
            "no column t_peri_mjd_tdb", source=table.source, value=sorted(table.columns),
            remedy="give it, or mean_anomaly_deg and epoch_mjd_tdb; rename takes other names",
        )  # fmt: skip
    table.refuse("e", e >= 1.0, "is not closed and has no mean anomaly", "give t_peri_mjd_tdb and q_au")
    anomaly, epoch = table.numbers("mean_anomaly_deg"), table.numbers("epoch_mjd_tdb")
    return Orbits.from_keplerian(q / (1.0 - e), e, inclination, node, peri, anomaly, epoch)


def _types(table: GivenTable) -> NDArray[np.int64]:
    names = table.texts("spectral_type", "S", TYPES)
    place = {name: number for number, name in enumerate(TYPES)}
    found, row = np.unique(names, return_inverse=True)
    return np.array([place[name] for name in found.tolist()], np.int64)[row]
