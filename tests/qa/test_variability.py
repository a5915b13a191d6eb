"""Constant objects are constant, variables vary, and one bad measurement or poor seeing makes no variable."""

import numpy as np
import pytest

from etendue.qa.variability import variability
from etendue.table.table import Table

VISITS = 20


def forced(*, objects=300, seed=2, change=None, **columns):
    """Return light curves with Gaussian noise of 1%; ``change(object, visit)`` adds a relative change."""
    rng = np.random.default_rng(seed)
    n = objects * VISITS
    number, visit = np.repeat(np.arange(1, objects + 1), VISITS), np.tile(np.arange(VISITS), objects)
    flux = 1e4 * (1.0 + rng.normal(0.0, 0.01, n))
    if change is not None:
        flux += 1e4 * change(number, visit)
    band = np.where(visit % 2, "g", "r")
    flux[band == "g"] *= 0.5
    err = np.where(band == "g", 50.0, 100.0)
    fixed = {
        "objectId": number, "visit": visit, "detector": np.zeros(n, int), "band": band, "coord_ra": np.zeros(n),
        "coord_dec": np.zeros(n), "psfFlux": flux, "psfFluxErr": err,
    }  # fmt: skip
    return Table("forced_source", fixed | columns)


def test_constant_objects_have_a_chi_square_of_one():
    found = variability(forced(), floor=0.0)
    assert found.object_id.tolist() == list(range(1, 301))
    assert np.mean(found.chi2_per_dof) == pytest.approx(1.0, abs=0.04)
    assert found.snr == pytest.approx(np.full(300, 100.0), rel=0.05)
    assert found.most_variable(9).size == 0


def test_a_variable_stands_out_in_every_band():
    found = variability(forced(change=lambda star, visit: 0.1 * (star == 7) * np.sin(visit)))
    assert found.object_id[found.most_variable(9)].tolist() == [7]


def test_one_bad_measurement_makes_no_variable():
    found = variability(forced(change=lambda star, visit: 3.0 * (star == 7) * (visit == 4)))
    assert found.chi2_per_dof[6] > 100.0
    assert found.most_variable(9).size == 0


def test_a_dependence_on_the_seeing_is_removed():
    seeing = np.random.default_rng(3).uniform(1.0, 2.0, VISITS)
    table = forced(change=lambda star, visit: 0.2 * (star == 7) * seeing[visit])
    assert variability(table).most_variable(9).tolist() == [6]
    cured = variability(table, covariate=seeing[np.asarray(table["visit"])], floor=0.0)
    assert cured.most_variable(9).size == 0
    assert np.mean(cured.chi2_per_dof) == pytest.approx(1.0, abs=0.04)


def test_flagged_measurements_do_not_count():
    assert variability(forced(psfFlux_flag=np.ones(300 * VISITS, bool))).object_id.size == 0
    assert variability(forced(objects=3), min_count=VISITS + 1).object_id.size == 0


def test_what_is_left_of_a_flagged_object_makes_no_variable():
    table = forced(change=lambda star, visit: 0.1 * (star == 7) * np.sin(visit))
    flag = (np.asarray(table["objectId"]) == 7) & (np.asarray(table["visit"]) < 8)
    found = variability(table.with_columns(pixelFlags_saturated=flag))
    assert found.flagged_fraction[6] == pytest.approx(0.4)
    assert found.most_variable(9).size == 0
