"""The exchange file holds what was measured, in the columns that its header names."""

import numpy as np

from etendue.table.table import Table
from etendue.tasks.moving.ades import AdesHeader, ades_psv


def positions():
    return Table(
        "tracklet_source",
        {
            "trackletId": [5, 5, 5], "diaSourceId": [1, 2, 0], "visit": [1, 2, 3], "detector": [0, 0, 0],
            "band": ["r", "r", "r"], "mjd_tai": 58568.0 + np.array([0.2, 0.1, 0.3]), "ra": [124.5, 124.6, 124.7],
            "dec": [25.1, 25.2, 25.3], "raErr": np.full(3, 0.1 / 3600), "decErr": np.full(3, 0.2 / 3600),
            "mag": [19.0, 19.1, 19.2], "magErr": [0.1, 0.1, 0.1], "status": ["detected", "detected", "forced"],
        },
    )  # fmt: skip


def rows(text):
    lines = [line for line in text.splitlines() if not line.startswith(("#", "!"))]
    names = [name.strip() for name in lines[0].split("|")]
    return [dict(zip(names, (v.strip() for v in line.split("|")), strict=True)) for line in lines[1:]]


def test_measured_positions_are_written_in_order_of_time_and_forced_ones_are_not():
    found = rows(ades_psv(positions(), header=AdesHeader("688"), catalog="UNK", absolute=True))
    assert [row["ra"] for row in found] == ["124.600000", "124.500000"]
    assert found[0]["obsTime"] == "2019-03-26T02:23:23.00Z"
    assert found[0]["rmsDec"] == "0.200"
    assert found[0]["mag"] == "19.10"


def test_relative_magnitudes_are_left_out():
    found = rows(ades_psv(positions(), header=AdesHeader("XXX"), catalog="UNK", absolute=False))
    assert not {"mag", "rmsMag", "band", "photCat"} & set(found[0])
