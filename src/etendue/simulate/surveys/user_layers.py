"""Make layers of a user's own tables."""

from etendue.simulate.light.dust import Dust
from etendue.simulate.population.comet_table import CometTableSpec, make_comet_table
from etendue.simulate.population.event_tables import (
    FlashTableSpec,
    NucleusTableSpec,
    TransientTableSpec,
    make_flash_table,
    make_nucleus_table,
    make_transient_table,
)
from etendue.simulate.population.layer import Layer
from etendue.simulate.population.light_curve_table import LightCurveTableSpec, make_light_curve_table
from etendue.simulate.population.orbit_table import OrbitTableSpec, make_orbit_table
from etendue.simulate.population.satellite_table import SatelliteTableSpec, make_satellite_table
from etendue.simulate.population.user_table import make_table
from etendue.simulate.population.variable_table import VariableTableSpec, make_variable_table
from etendue.simulate.surveys.sky_spec import UserTable


def make_user_layer(
    table: UserTable, copy: int, bands: tuple[str, ...], span: tuple[float, float], dust: Dust, seed: int
) -> Layer:
    """Read a table.

    Parameters
    ----------
    table : UserTable
        Where it is and what it holds.
    copy : int
        Number of the layer among those of its kind, for ids.
    bands : tuple of str
        Bands of the survey.
    span : tuple of float
        First and last time of the survey [day].
    dust : Dust
        Dust of the Galaxy.
    seed : int
        Seed of the survey, for what the table leaves open.

    Returns
    -------
    Layer

    Raises
    ------
    InputError
        If something in the table is wrong: one line with file, column, row, value and remedy.
    """
    match table:
        case VariableTableSpec():
            return make_variable_table(table, span, seed, dust, copy)
        case LightCurveTableSpec():
            return make_light_curve_table(table, copy)
        case TransientTableSpec():
            return make_transient_table(table, seed, dust, copy)
        case NucleusTableSpec():
            return make_nucleus_table(table, seed, dust, copy)
        case FlashTableSpec():
            return make_flash_table(table, copy)
        case OrbitTableSpec():
            return make_orbit_table(table, copy)
        case CometTableSpec():
            return make_comet_table(table, copy)
        case SatelliteTableSpec():
            return make_satellite_table(table, span[0], copy)
        case _:
            return make_table(table, copy, bands)
