"""What a clear sky gives, from the summaries of a night."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.stages.measure_extinction import MeasureExtinction
from etendue.table.table import Table


def summary(visit, zero, air, kind="absolute"):
    """Return the summary of a visit of two detectors and 30 s."""
    n = 2
    parts = {
        "visit": np.full(n, visit), "detector": np.arange(n), "band": ["r"] * n, "physical_filter": ["r"] * n,
        "zeroPoint": np.array([zero - 0.01, zero + 0.01]) + 2.5 * np.log10(30.0), "zeroPointErr": np.full(n, 0.002),
        "expTime": np.full(n, 30.0), "airmass": np.full(n, air), "photoCalibKind": [kind] * n,
        "ra": np.zeros(n), "dec": np.zeros(n), "expMidptMJD": np.full(n, 60000.0),
    }  # fmt: skip
    return Table("visit_summary", parts)


def test_clear_visits_tell_zero_point_and_airmass_term_and_cloudy_ones_their_loss():
    air = np.linspace(1.0, 2.0, 8)
    zero = 25.5 - 0.11 * air - np.where(np.arange(8) == 3, 0.7, 0.0)
    found = MeasureExtinction().run(
        summaries=(*(summary(k, z, a) for k, (z, a) in enumerate(zip(zero, air, strict=True))),
                   summary(99, 20.0, 1.5, kind="relative"))
    ).extinction  # fmt: skip
    assert found["nominal_zero_point"] == pytest.approx(25.5, abs=1e-3)
    assert found["airmass_term"] == pytest.approx(0.11, abs=1e-3)
    assert [one["visit"] for one in found["visits"] if not one["clear"]] == [3]
    assert found["visits"][3]["extinction_mag"] == pytest.approx(0.7, abs=0.01)
    assert len(found["visits"]) == 8


def test_a_night_without_a_catalog_is_told():
    with pytest.raises(AlgorithmError, match="reference catalog"):
        MeasureExtinction().run(summaries=(summary(1, 25.0, 1.2, kind="relative"),))
