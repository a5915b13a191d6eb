"""Comets from a user's own table of orbits."""

from typing import Literal

from etendue.simulate.population.comets import CometLayer, Comets, usual_coma_km
from etendue.simulate.population.given_table import GivenTable, TableFile
from etendue.simulate.population.orbit_table import read_orbits

_BARE_MAG = 6.0  # by which a nucleus is usually fainter than its coma, both at 1 au


class CometTableSpec(TableFile):
    """A table of comets; ``objects_comets`` of a simulated survey's truth is one.

    Columns: orbits as in `OrbitTableSpec`; ``total_mag`` (M1 in V). Optional: ``activity`` (4; brightness falls as the
    distance from the Sun to minus this power), ``nucleus_mag`` (6 mag fainter than ``total_mag``), ``coma_km`` (half-
    light radius of the outermost coma, by ``total_mag``), ``tail_share`` (0.4 of the dust's light at 1 au).
    """

    holds: Literal["comets"] = "comets"
    """What the rows are."""


def make_comet_table(spec: CometTableSpec, copy: int = 0) -> CometLayer:
    """Read a layer of comets from a table.

    Parameters
    ----------
    spec : CometTableSpec
        Which table.
    copy : int
        Number of the layer among those of comets.

    Returns
    -------
    CometLayer

    Raises
    ------
    InputError
        If columns are missing or hold what no comet can have.
    """
    table = GivenTable.read(spec.path, spec.rename)
    total = table.numbers("total_mag", low=-10.0, high=40.0)
    comets = Comets(
        orbits=read_orbits(table),
        total_mag=total,
        activity=table.numbers("activity", 4.0, 0.0, 20.0),
        nucleus_mag=table.numbers("nucleus_mag", total + _BARE_MAG, -10.0, 60.0),
        coma_km=table.numbers("coma_km", usual_coma_km(total), 1.0, 1e8),
        tail_share=table.numbers("tail_share", 0.4, 0.0, 1.0),
    )
    return CometLayer(comets, copy)
