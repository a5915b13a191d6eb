"""Find what a clear sky gave in one night, and what clouds took from each of its visits."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.errors import AlgorithmError
from etendue.stages.stage import Input, Output, Stage, StageConfig
from etendue.table.table import Table
from etendue.tasks.photometry.night_extinction import NightExtinctionConfig, NightExtinctionTask


class MeasureExtinctionConfig(StageConfig):
    """Configuration of `MeasureExtinction`."""

    night: NightExtinctionConfig = NightExtinctionConfig()
    """Which visits count as clear."""


@dataclass(frozen=True)
class MeasureExtinctionResult:
    """A JSON object."""

    extinction: dict[str, Any]


class MeasureExtinction(Stage[MeasureExtinctionConfig]):
    """Fit zero points of a night's visits against airmass; what is nominal then goes into `TransparencyConfig`."""

    dimensions = ("instrument", "day_obs", "physical_filter")
    summaries = Input("visit_summary", ("instrument", "visit"), "EtendueTable", multiple=True)
    extinction = Output("night_extinction", ("instrument", "day_obs", "physical_filter"), "EtendueJson")

    def run(self, *, summaries: tuple[Table, ...]) -> MeasureExtinctionResult:
        """Fit one filter; a visit is the median of its detectors that have an absolute zero point.

        Raises
        ------
        AlgorithmError
            If too few visits are clear, or calibrated against a catalog.
        """
        rows = [row for row in map(_visit, summaries) if row is not None]
        if not rows:
            raise AlgorithmError("no visit has an absolute zero point: give a reference catalog", visits=len(summaries))
        visit, zero, error, seconds, air = (np.array(column) for column in zip(*rows, strict=True))
        found = NightExtinctionTask(self.config.night).run(
            zero_point_mag=zero, zero_point_err_mag=error, exposure_time_s=seconds, airmass=air
        )
        visits = [
            {"visit": int(v), "clear": bool(c), "extinction_mag": _known(e), "airmass": _known(a)}
            for v, c, e, a in zip(visit, found.clear, found.extinction_mag, air, strict=True)
        ]
        facts = ("nominal_zero_point", "nominal_zero_point_err", "airmass_term", "airmass_term_err", "scatter_mag")
        return MeasureExtinctionResult({name: getattr(found, name) for name in facts} | {"visits": visits})


def _visit(summary: Table) -> tuple[int, float, float, float, float] | None:
    """Return visit, zero point, its error, exposure time and airmass; None on a relative scale."""
    absolute = np.asarray(summary["photoCalibKind"]).astype(str) == "absolute"
    if not absolute.any():
        return None
    zero, error, seconds, air = (
        float(np.median(np.asarray(summary[name])[absolute]))
        for name in ("zeroPoint", "zeroPointErr", "expTime", "airmass")
    )
    return int(summary["visit"][0]), zero, error, seconds, air


def _known(value: float) -> float | None:
    """Return a number for JSON, None for NaN."""
    return float(value) if np.isfinite(value) else None
