"""Pictures of the light curves of a series."""

from typing import Any

import numpy as np

from etendue.app.light_curves import StarCurve, draw, periodogram_of, scatter_picture
from etendue.app.report.reader import Reader
from etendue.app.report.section import Picture
from etendue.qa.series_plots import (
    DifferentialCurve,
    FoldedCurve,
    differential_curves_plot,
    periodogram_plot,
    statistics_plot,
)
from etendue.qa.thumbnail import stamp_strip
from etendue.table.table import Table
from etendue.tasks.lightcurve.transit import TransitFit

_FOLDED = 4
_STAMP_HALF = 17
_STATISTICS = {"Stetson J": "stetsonJ", "von Neumann η": "vonNeumann", "best dip [σ]": "dipSnr"}


def pictures(
    reader: Reader, stars: Table, variable: list[StarCurve], transits: list[tuple[StarCurve, TransitFit]]
) -> list[Picture]:
    """Return the pictures of a series.

    Parameters
    ----------
    reader : Reader
        For the finding charts.
    stars : Table
        ``light_curve_star``.
    variable : list of StarCurve
        Variables to be shown.
    transits : list of (StarCurve, TransitFit)
        Transits to be shown.

    Returns
    -------
    list of Picture
    """
    found = _of_all(stars)
    if not variable:
        return found
    found.append(Picture(
        "Light curves of the variables", [(differential_curves_plot([_differential(c) for c in variable]), "")],
        right="Smooth changes far larger than the error bars, each of its own shape.",
        wrong="the same shape in many stars (a trend that was missed), or jumps.",
    ))  # fmt: skip
    if stamps := _finders(reader, variable):
        found.append(Picture(
            "The variables on an image of the middle of the series", [(stamps, "")],
            right="One round star in the middle of every stamp, with room around it.",
            wrong="two stars in one aperture, a spike or bleed of a bright neighbour, the edge of the image.",
        ))  # fmt: skip
    if transits:
        found.append(Picture(
            "Transits with their baselines", [(draw(curve, fit), "") for curve, fit in transits],
            right="A flat curve on both sides of the dip once the baseline is off; residuals without shape.",
            wrong="a baseline that bends where the dip is, residuals that follow it, a dip at the end.",
        ))  # fmt: skip
    found.append(Picture(
        "Periodograms of the variables", [(_periodogram(curve), "") for curve in variable[:_FOLDED]],
        right="One narrow peak far above the dashed line, and a folded curve with little scatter.",
        wrong="a rise towards the lowest frequency: the series is too short for a period.",
    ))  # fmt: skip
    return found


def _of_all(stars: Table) -> list[Picture]:
    variable = np.asarray(stars["isVariable"], bool)
    statistics = {title: np.asarray(stars[name], float) for title, name in _STATISTICS.items()}
    return [
        Picture(
            "Scatter against magnitude", [(scatter_picture(stars), "")],
            right="A floor for bright stars that bends upwards along the formal error; variables stand out above it.",
            wrong="bright stars that rise again (saturation), detrended points above raw ones, a floor above 20 mmag.",
        ),
        Picture(
            "Variability statistics", [(statistics_plot(np.asarray(stars["mag"], float), statistics, variable), "")],
            right="One cloud about the same value at all magnitudes; variables outside it (η low, the others high).",
            wrong="a cloud that tilts or widens towards bright stars: trends that they share were missed.",
        ),
    ]  # fmt: skip


def _differential(curve: StarCurve) -> DifferentialCurve:
    return DifferentialCurve(
        f"{curve.name}  {curve.star['mag']:.2f}", curve.hours_utc, curve.column("deltaMag"),
        curve.column("deltaMagErr"), curve.column("deltaMagDetrended"), curve.column("bjdTdb"),
    )  # fmt: skip


def _finders(reader: Reader, variable: list[StarCurve]) -> bytes | None:
    """Return stamps of the stars, each from the image in the middle of its curve; None without images."""
    refs = {(int(r.dataId["visit"]), int(r.dataId["detector"])): r for r in reader.refs("visit_image")}
    stamps, labels = [], []
    for curve in variable:
        middle = curve.rows.take([len(curve.rows) // 2])
        place: dict[str, Any] = {name: middle[name][0].item() for name in ("visit", "detector", "x", "y")}
        ref = refs.get((place["visit"], place["detector"]))
        if ref is not None:
            stamps.append(reader.stamp(ref, x=place["x"], y=place["y"], half=_STAMP_HALF))
            labels.append(curve.name)
    return stamp_strip(stamps, labels, columns=5, zoom=5) if stamps else None


def _periodogram(curve: StarCurve) -> bytes:
    found = periodogram_of(curve)
    time = curve.column("bjdTdb")
    phase = (time - time[0]) / found.period_d % 1.0
    title = f"{curve.name}: {24.0 * found.period_d:.2f} h, false alarm {found.false_alarm:.1e}"
    return periodogram_plot(FoldedCurve(
        title, found.frequency, found.power, found.level, found.period_d, phase, curve.column("deltaMagDetrended"),
        curve.column("deltaMagErr"),
    ))  # fmt: skip
