"""The whole table of recovered against true."""

from etendue.app.truth_check.catalogs import Catalogs
from etendue.app.truth_check.changes import change_rows
from etendue.app.truth_check.curves import curve_rows
from etendue.app.truth_check.movers import mover_rows
from etendue.app.truth_check.row import TruthRow
from etendue.app.truth_check.stars import star_rows
from etendue.simulate.surveys.truth_tables import SurveyTruth


def compare(truth: SurveyTruth, found: Catalogs) -> list[TruthRow]:
    """Return the truth table: stars, then what changes, and what moves.

    Parameters
    ----------
    truth : SurveyTruth
        Of the simulated survey.
    found : Catalogs
        What the pipelines made of it.

    Returns
    -------
    list of TruthRow
    """
    parts = (star_rows, curve_rows, change_rows, mover_rows)
    return [row for part in parts for row in part(truth, found)]
