"""Variable stars from a user's own table of kinds and parameters."""

from typing import Literal

import numpy as np

from etendue.simulate.light.dust import Dust
from etendue.simulate.population.given_table import GivenTable, Limits, TableFile
from etendue.simulate.population.layer import layer_ids
from etendue.simulate.population.variables import VARIABLE_KINDS, StarsOfKind, VariableLayer, draw_variables
from etendue.simulate.random_streams import stream

_LIMITS: Limits = {
    "period_day": (1e-4, 1e5), "amplitude_mag": (0.0, 20.0), "rise": (0.01, 0.99), "color_gi": (-1.5, 6.0),
    "metallicity": (-6.0, 2.0), "radius_1": (1e-6, 0.9), "radius_2": (1e-6, 0.9), "mass_ratio": (0.0, 100.0),
    "temperature_1": (1000.0, 2e5), "temperature_2": (1000.0, 2e5), "cos_inclination": (-1.0, 1.0),
    "e_along": (-0.6, 0.6), "e_ahead": (-0.6, 0.6), "crossing_day": (1e-4, 1e5), "impact": (1e-7, 1e3),
    "source_share": (1e-6, 1.0), "rate_day": (0.0, 1e3), "smallest": (0.0, 1e3), "width_day": (1e-6, 10.0),
    "shear": (0.0, 0.9), "inclination_deg": (0.0, 180.0), "latitude_0": (-90.0, 90.0), "latitude_1": (-90.0, 90.0),
    "area_0": (0.0, 0.8), "area_1": (0.0, 0.8), "life_day_0": (1e-3, 1e6), "life_day_1": (1e-3, 1e6),
}  # fmt: skip


class VariableTableSpec(TableFile):
    """A table of variable stars; ``objects_variables`` of a simulated survey's truth is one.

    Columns: ``kind`` (one of `VARIABLE_KINDS`); ``ra``, ``dec`` [deg]; ``mag_r`` (mean; of eclipsing and spotted stars
    brightest, of flaring and lensed ones faintest; dust in). Optional: ``excess`` (E(B-V), by the survey's dust), and
    every parameter that the kind has in the truth, such as ``period_day``, ``amplitude_mag``, ``phase``, ``color_gi``;
    those that are missing are drawn as for the survey's own stars.
    """

    holds: Literal["variables"] = "variables"
    """What the rows are."""


def make_variable_table(
    spec: VariableTableSpec, span: tuple[float, float], seed: int, dust: Dust | None = None, copy: int = 0
) -> VariableLayer:
    """Read a layer of variable stars from a table.

    Parameters
    ----------
    spec : VariableTableSpec
        Which table.
    span : tuple of float
        First and last time of the survey, for events that happen once and have no time in the table [day].
    seed : int
        Seed of the survey.
    dust : Dust, optional
        The Galaxy's dust.
    copy : int
        Number of the layer among those of its kind.

    Returns
    -------
    VariableLayer

    Raises
    ------
    InputError
        If columns are missing or hold what cannot be.
    """
    table = GivenTable.read(spec.path, spec.rename)
    ra, dec = table.positions()
    kinds, mag = table.texts("kind", known=VARIABLE_KINDS), table.numbers("mag_r", low=-5.0, high=50.0)
    drawn = (dust or Dust()).excess(ra, dec, np.inf, seed)
    excess, ids = table.numbers("excess", drawn, 0.0, 100.0), layer_ids("variables", table.size, copy)
    parts = []
    for number, kind in enumerate(VARIABLE_KINDS):
        rows = np.flatnonzero(kinds == kind)
        if rows.size:
            own = draw_variables(kind, stream(seed, "variable table", copy, number), rows.size, span)
            parts.append(
                StarsOfKind(kind, ids[rows], ra[rows], dec[rows], mag[rows], excess[rows],
                            table.over(own, rows, _LIMITS))
            )  # fmt: skip
    return VariableLayer(parts)
