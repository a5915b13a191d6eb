"""How long every stage took, and what failed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from etendue.app.report.reader import Reader, data_id_text
from etendue.app.report.section import Column, Grid, Section
from etendue.middleware.journal import QuantumOutcome

_MOST = 100


def gather(reader: Reader) -> dict[str, Any]:
    """Return one row per stage of the latest runs, and every failure."""
    stages: dict[str, list[QuantumOutcome]] = {}
    for _, outcome in reader.outcomes:
        stages.setdefault(outcome.label, []).append(outcome)
    rows = [_row(label, outcomes) for label, outcomes in stages.items()]
    failures = [
        {"stage": o.label, "data_id": data_id_text(o.data_id), "status": o.status, "message": o.message}
        for _, o in reader.outcomes
        if o.status in ("defeated", "failed")
    ]
    return {
        "stages": sorted(rows, key=lambda row: -row["cpu_total_s"]),
        "cpu_total_s": sum(row["cpu_total_s"] for row in rows),
        "memory_mb": max((row["memory_mb"] for row in rows), default=None),
        "failures": failures,
        "unreadable": list(reader.unreadable),
    }


def _row(label: str, outcomes: Sequence[QuantumOutcome]) -> dict[str, Any]:
    done = [outcome for outcome in outcomes if outcome.status == "succeeded"] or list(outcomes)
    return {
        "stage": label,
        "quanta": len(outcomes),
        "succeeded": sum(outcome.status == "succeeded" for outcome in outcomes),
        "defeated": sum(outcome.status == "defeated" for outcome in outcomes),
        "failed": sum(outcome.status == "failed" for outcome in outcomes),
        "wall_median_s": float(np.median([outcome.wall_s for outcome in done])),
        "wall_total_s": sum(outcome.wall_s for outcome in outcomes),
        "cpu_median_s": float(np.median([outcome.cpu_s for outcome in done])),
        "cpu_total_s": sum(outcome.cpu_s for outcome in outcomes),
        "memory_mb": max(outcome.memory_mb for outcome in outcomes),
    }


def present(numbers: dict[str, Any]) -> tuple[Section, Section]:
    """Return the sections of timings and of failures."""
    stages = Grid("Stages of the latest runs", (
        Column("stage", "stage"), Column("quanta", "quanta"), Column("succeeded", "succeeded"),
        Column("defeated", "defeated"), Column("failed", "failed"), Column("wall_median_s", "wall, median [s]", ".2f"),
        Column("wall_total_s", "wall, total [s]", ".1f"), Column("cpu_median_s", "CPU, median [s]", ".2f"),
        Column("cpu_total_s", "CPU, total [s]", ".1f"), Column("memory_mb", "peak memory [MiB]", ".0f"),
    ), numbers["stages"], note="The peak is that of the worker process up to then.")  # fmt: skip
    missing = [] if numbers["stages"] else ["No run is recorded: “etendue run” or “etendue quickstart” makes one."]
    timings = Section("timings", "Timings", grids=[stages] if stages.rows else [], missing=missing)
    failures = numbers["failures"]
    grids = [Grid(f"{len(failures)} problems", (
        Column("stage", "stage"), Column("data_id", "data"), Column("status", "status"), Column("message", "message"),
    ), failures[:_MOST])] if failures else []  # fmt: skip
    if numbers["unreadable"]:
        rows = [{"message": message} for message in numbers["unreadable"][:_MOST]]
        grids.append(Grid("Products that cannot be read", (Column("message", "message"),), rows))
    lead = ("“Defeated”: the data gave the method too little; the run went on. “Failed”: see the log of that quantum."
            if grids else "Nothing failed.")  # fmt: skip
    return timings, Section("failures", "Failures", lead, grids=grids)
