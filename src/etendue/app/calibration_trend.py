"""How bias levels, noises and gains went from night to night."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.errors import InputError
from etendue.middleware.repository import Repository
from etendue.qa.calibration_trend_plot import TrendLine, calibration_trend_plot

_QUANTITIES = {
    "bias_level_adu": "bias level [ADU]",
    "overscan_noise_adu": "overscan noise [ADU]",
    "read_noise_adu": "read noise [ADU]",
    "gain_change": "gain over curve - 1",
}


@dataclass(frozen=True)
class CalibrationTrend:
    """Numbers of amplifiers, night after night.

    Parameters
    ----------
    rows : tuple of dict
        One per night, detector and amplifier: ``night``, ``detector`` and the fields of
        `etendue.tasks.calib.night_trend.AmplifierNight`.
    """

    rows: tuple[dict[str, Any], ...]

    def table(self) -> list[dict[str, Any]]:
        """Return a row per night and detector for people: medians over the amplifiers, and whose gain changed.

        Returns
        -------
        list of dict
        """
        keys = dict.fromkeys((row["night"], row["detector"]) for row in self.rows)
        return [self._night(*key) for key in keys]

    def _night(self, night: int, detector: int) -> dict[str, Any]:
        mine = [row for row in self.rows if (row["night"], row["detector"]) == (night, detector)]
        changed = [row["amplifier"] for row in mine if row["gain_changed"]]
        return {
            "night": night,
            "detector": detector,
            "frames": mine[0]["frames"],
            "bias [ADU]": _median(mine, "bias_level_adu", "{:.1f}"),
            "drift [ADU]": _median(mine, "bias_drift_adu", "{:.2f}"),
            "read noise [ADU]": _median(mine, "read_noise_adu", "{:.3f}"),
            "gain change [%]": _median(mine, "gain_change", "{:+.2f}", 100.0),
            "gain changed": ", ".join(changed),
        }

    def plot(self) -> bytes:
        """Draw every amplifier's numbers against the night.

        Returns
        -------
        bytes
            PNG.
        """
        names = dict.fromkeys((row["detector"], row["amplifier"]) for row in self.rows)
        panels = {}
        for field, label in _QUANTITIES.items():
            panels[label] = [
                TrendLine(f"{detector} {amplifier}", *self._line(detector, amplifier, field))
                for detector, amplifier in names
            ]
        return calibration_trend_plot(panels)

    def _line(self, detector: int, amplifier: str, field: str) -> tuple[list[int], list[float], list[float]]:
        """Return nights, values and errors."""
        mine = [row for row in self.rows if (row["detector"], row["amplifier"]) == (detector, amplifier)]
        error = [row["gain_err"] / row["gain"] if field == "gain_change" and row["gain"] else 0.0 for row in mine]
        return [row["night"] for row in mine], [_number(row[field]) for row in mine], error


def calibration_trend(home: Repository, collection: str) -> CalibrationTrend:
    """Gather what the pipeline ``calib_monitor`` measured.

    Parameters
    ----------
    home : Repository
        The repository.
    collection : str
        Its output.

    Returns
    -------
    CalibrationTrend
        In order of night and detector.

    Raises
    ------
    InputError
        If nothing was measured there.
    """
    refs = home.query("calibration_night", collections=collection)
    if not refs:
        raise InputError("holds no measured night", source=collection, remedy="run the pipeline calib_monitor first")
    ordered = sorted(refs, key=lambda ref: (int(ref.dataId["day_obs"]), int(ref.dataId["detector"])))
    return CalibrationTrend(
        tuple(
            {"night": int(ref.dataId["day_obs"]), "detector": int(ref.dataId["detector"])} | amplifier
            for ref in ordered
            for amplifier in home.get(ref)
        )
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _median(rows: list[dict[str, Any]], field: str, form: str, factor: float = 1.0) -> str:
    known = [row[field] for row in rows if row[field] is not None]
    return form.format(factor * float(np.median(known))) if known else ""
