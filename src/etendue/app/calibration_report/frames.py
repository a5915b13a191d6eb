"""Pictures of what products leave in single frames."""

from collections.abc import Sequence
from typing import Any

from etendue.app.calibration_report.gathered import Gathered
from etendue.app.report.section import Picture
from etendue.qa.frame_check_plot import CheckLine, CheckPanel, frame_check_plot

_MOST_DETECTORS = 6
_BY_LEVEL = ("flat", "ptc", "linearizer", "brighter_fatter", "charge_transfer")
_WITHOUT = " without correction"

Row = dict[str, Any]


def frame_pictures(gathered: Gathered, product: str) -> list[Picture]:
    """Return a picture for each detector: a panel per number, a point per frame.

    Parameters
    ----------
    gathered : Gathered
        The run.
    product : str
        Dataset type.

    Returns
    -------
    list of Picture
        None where the product was applied to no frame.
    """
    failed = {row["detector"] for row in gathered.verdicts(product) if not row["passed"]}
    order = sorted(gathered.checks, key=lambda detector: (gathered.name(detector) not in failed, detector))
    images = []
    for detector in order:
        rows = [row for row in gathered.checks[detector] if row["product"] == product and row["value"] is not None]
        if rows and product != "defects":
            panels = _panels(gathered, detector, product, rows)
            images.append((frame_check_plot(panels), gathered.name(detector)))
        if len(images) == _MOST_DETECTORS:
            break
    if not images:
        return []
    return [Picture("What is left in single frames", images,
                    "Points around 0, between the dashed limits (which are left out where they are far away).",
                    "an amplifier or a frame apart from the others, a trend with the level.")]  # fmt: skip


def _panels(gathered: Gathered, detector: int, product: str, rows: Sequence[Row]) -> list[CheckPanel]:
    """Return a panel per number (and filter); what was there without correction is grey behind what is left."""
    keys = dict.fromkeys((_subject(row["what"]), row["physical_filter"]) for row in rows)
    return [_panel(gathered, detector, product, rows, *key) for key in keys]


def _subject(what: str) -> str:
    return what.replace(_WITHOUT, "").replace(" left", "")


def _panel(
    gathered: Gathered, detector: int, product: str, rows: Sequence[Row], subject: str, physical_filter: str
) -> CheckPanel:
    mine = [row for row in rows if (_subject(row["what"]), row["physical_filter"]) == (subject, physical_filter)]
    frames = {name: k for k, name in enumerate(dict.fromkeys(row["frame"] for row in mine))}
    by_level = product in _BY_LEVEL
    lines: list[CheckLine] = []
    for faint in (True, False):
        some = [row for row in mine if (_WITHOUT in row["what"]) == faint]
        for name in sorted({row["amplifier"] for row in some}):
            own = [row for row in some if row["amplifier"] == name]
            places = [(row["level"] or 0.0) / 1e3 if by_level else frames[row["frame"]] for row in own]
            label = "without correction" if faint and not any(line.faint for line in lines) else "" if faint else name
            lines.append(CheckLine(label, places, [row["value"] for row in own], faint))
    title = f"{subject}, {physical_filter}" if physical_filter else subject
    unit = "1,000 e" if product == "charge_transfer" else "1,000 ADU"
    return CheckPanel(title, f"level [{unit}]" if by_level else "frame", lines,
                      _limits(gathered, detector, product, subject))  # fmt: skip


def _limits(gathered: Gathered, detector: int, product: str, subject: str) -> tuple[float, float]:
    name = gathered.name(detector)
    for row in gathered.verdicts(product):
        if row["detector"] == name and row["frames"] and _subject(row["what"]) == subject:
            return row["low"], row["high"]
    return float("-inf"), float("inf")
