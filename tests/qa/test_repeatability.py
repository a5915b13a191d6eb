"""Repeatability metrics return the scatter that was put in."""

import numpy as np
import pytest

from etendue.qa.repeatability import (
    astrometric_repeatability,
    error_calibration,
    photometric_repeatability,
    separation_repeatability,
    star_statistics,
)
from etendue.qa.residuals import star_residuals
from etendue.table.table import Table

MAS = 1.0 / 3.6e6


def sources(*, scatter_mas=10.0, scatter=0.005, stars=400, visits=12, seed=1, **flags):
    rng = np.random.default_rng(seed)
    n = stars * visits
    star, visit = np.repeat(np.arange(1, stars + 1), visits), np.tile(np.arange(1, visits + 1), stars)
    ra0, dec0 = rng.uniform(150.0, 150.3, stars), rng.uniform(-10.1, -9.9, stars)
    columns = {
        "sourceId": np.arange(1, n + 1), "visit": visit, "detector": np.zeros(n, int), "band": np.full(n, "r"),
        "x": np.zeros(n), "y": np.zeros(n), "isolated_star_id": star, "extendedness": np.zeros(n),
        "ra": ra0[star - 1] + rng.normal(0, scatter_mas * MAS, n) / np.cos(np.radians(-10.0)),
        "dec": dec0[star - 1] + rng.normal(0, scatter_mas * MAS, n),
        "psfFlux": 1e5 * (1.0 + rng.normal(0, scatter, n)), "psfFluxErr": np.full(n, 1e5 * scatter),
    }  # fmt: skip
    columns |= {"calibFlux": columns["psfFlux"], "calibFluxErr": columns["psfFluxErr"]}
    return Table("source", columns | flags)


def test_scatter_of_positions_and_fluxes_is_recovered():
    found = star_statistics(sources())
    assert len(found.star) == 400
    assert np.mean(found.ra_scatter_mas**2) ** 0.5 == pytest.approx(10.0, rel=0.03)
    assert np.mean(found.dec_scatter_mas**2) ** 0.5 == pytest.approx(10.0, rel=0.03)
    assert np.mean(found.mag_scatter_mmag**2) ** 0.5 == pytest.approx(5.43, rel=0.03)
    assert found.snr == pytest.approx(np.full(400, 200.0), rel=0.02)


def test_medians_are_close_to_the_scatter_and_respect_the_limits():
    found = star_statistics(sources())
    assert astrometric_repeatability(found, min_snr=50.0) == pytest.approx(10.0, rel=0.05)
    assert np.isnan(astrometric_repeatability(found, min_snr=1000.0))
    assert photometric_repeatability(found, best=50) == pytest.approx(5.43, rel=0.15)


def test_calibrated_errors_give_a_ratio_of_one():
    (row,) = error_calibration(star_statistics(sources()), (100.0, 300.0))
    assert row["n"] == 400
    assert row["ratio"] == pytest.approx(1.0, abs=0.04)


def test_flagged_and_unmatched_measurements_do_not_count():
    n = 400 * 12
    assert star_statistics(sources(pixelFlags_saturated=np.ones(n, bool))).star.size == 0
    assert star_statistics(sources(isolated_star_id=np.zeros(n, int))).star.size == 0


def test_separation_scatter_is_that_of_two_positions():
    found = separation_repeatability(sources(), separation_arcmin=5.0)
    assert found == pytest.approx(10.0 * 2**0.5, rel=0.05)


def test_residuals_have_the_scatter_that_was_put_in():
    found = star_residuals(sources(), min_snr=50.0)
    shrink = (11.0 / 12.0) ** 0.5  # about the mean of twelve
    assert found.dx_mas.std() == pytest.approx(10.0 * shrink, rel=0.03)
    assert found.dy_mas.std() == pytest.approx(10.0 * shrink, rel=0.03)
    assert found.mag_mmag.std() == pytest.approx(5.43 * shrink, rel=0.03)
    assert found.on(0).x.size == 4800
    assert found.on(1).x.size == 0


def test_residuals_of_nothing_are_empty():
    assert star_residuals(sources(), min_snr=1e6).x.size == 0
