"""Gather which calibrations pipelines take when, and say it as text, numbers or a picture."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.camera.camera import Camera
from etendue.errors import InputError
from etendue.middleware.curated.folder import kinds
from etendue.middleware.curated.versions import curated_chain
from etendue.middleware.moments import written
from etendue.middleware.repository import Repository
from etendue.middleware.validity import InForce, Key, Validity, hidden_spans, in_force, limits, validities
from etendue.qa.timeline_plot import TimelineBar, TimelineRow, drawn_window, timeline_plot

_STRIP, _NAME = 48, 26  # columns of the terminal
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MOST_NAMED = 3  # detectors


@dataclass(frozen=True, eq=False)
class CalibrationTimeline:
    """Which calibrations of a camera are in force when.

    Parameters
    ----------
    camera : str
        Name.
    rows : tuple of TimelineRow
        Detectors with the same calibrations share one.
    frames : tuple of int
        Per row, number of science exposures that want such a calibration.
    versions : tuple of str
        Runs and curated versions that calibrations come from.
    exposures : ndarray, float64, shape (n,)
        Begins of all science exposures [MJD, TAI].
    begin, end : float
        Stretch of time that is shown [MJD, TAI].
    """

    camera: str
    rows: tuple[TimelineRow, ...]
    frames: tuple[int, ...]
    versions: tuple[str, ...]
    exposures: NDArray[np.float64]
    begin: float
    end: float

    def lines(self) -> list[str]:
        """Return the timeline as text for a terminal of 100 columns."""
        edges = np.linspace(self.begin, self.end, _STRIP + 1)
        marks = "".join("|" if n else " " for n in np.histogram(self.exposures, edges)[0])
        head = f"{written(self.begin)[:10]:<{_STRIP // 2}}{written(self.end)[:10]:>{_STRIP // 2}}"
        lines = [f"{'':<{_NAME}}{head}", f"{'science exposures':<{_NAME}}{marks}"]
        for row, frames in zip(self.rows, self.frames, strict=True):
            lack = f"  {len(row.bare)} of {frames} without" if len(row.bare) else ""
            lines.append(f"{row.name[: _NAME - 1]:<{_NAME}}{self._strip(row, edges)}{lack}")
        lines += ["", *(f"{_letter(k)}  {name}" for k, name in enumerate(self.versions))]
        return [*lines, ".  nothing valid     !  exposures find nothing"]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values; times are MJD [TAI], None where a validity is unbounded."""
        rows = [
            {"name": row.name, "exposures": frames, "exposures_without": len(row.bare),
             "in_force": [self._plain(bar) for bar in row.bars], "hidden": [self._plain(bar) for bar in row.hidden]}
            for row, frames in zip(self.rows, self.frames, strict=True)
        ]  # fmt: skip
        return {"camera": self.camera, "rows": rows, "begin": self.begin, "end": self.end}

    def plot(self) -> bytes:
        """Return the timeline as PNG."""
        return timeline_plot(
            self.rows, self.versions, self.exposures, begin=self.begin, end=self.end,
            title=f"Calibrations of {self.camera} (TAI)",
        )  # fmt: skip

    def _strip(self, row: TimelineRow, edges: NDArray[np.float64]) -> str:
        lacking = np.histogram(row.bare, edges)[0]
        middles = 0.5 * (edges[1:] + edges[:-1])
        found = [next((b.version for b in row.bars if b.begin <= t < b.end), None) for t in middles]
        return "".join(
            "!" if lack else "." if version is None else _letter(version)
            for version, lack in zip(found, lacking, strict=True)
        )

    def _plain(self, bar: TimelineBar) -> dict[str, Any]:
        begin, end = (value if np.isfinite(value) else None for value in (bar.begin, bar.end))
        return {"begin": begin, "end": end, "from": self.versions[bar.version]}


def calibration_timeline(
    home: Repository, camera: Camera, *, types: Sequence[str] = (), begin: float | None = None, end: float | None = None
) -> CalibrationTimeline:
    """Gather the timeline of a camera's calibrations.

    Parameters
    ----------
    home : Repository
        The repository.
    camera : Camera
        Registered.
    types : sequence of str
        Dataset types; by default those that pipelines read, and any other that is certified.
    begin, end : float, optional
        Stretch of time [MJD, TAI]; by default that of the exposures and of all begins and ends.

    Returns
    -------
    CalibrationTimeline

    Raises
    ------
    InputError
        There is neither a calibration nor an exposure, or the stretch is empty.
    """
    found = validities(home, camera.name, types=types)
    taken = _science_exposures(home, camera.name)
    exposures = np.sort(np.concatenate([np.zeros(0), *taken.values()]))
    if not found and not len(exposures):
        raise InputError("holds no certified calibration and no science exposure", source=home.path,
                         remedy="run the pipeline calib, then 'etendue calib certify'")  # fmt: skip
    window = _window(found, exposures, begin, end)
    names = list(dict.fromkeys(_version(row, camera.name) for row in found))
    number = {name: k for k, name in enumerate(names)}
    wanted = _wanted(home, camera.name, set(taken), types) | {row.key for row in found}
    series = _Series(camera, in_force(found), found, lambda row: number[_version(row, camera.name)])
    rows, frames = [], []
    for (kind, name, bars, hidden), detectors in series.grouped(wanted).items():
        mine = exposures if not name else taken.get(name, np.zeros(0))
        covered = np.zeros(len(mine), bool)
        for bar in bars:
            covered |= (mine >= bar.begin) & (mine < bar.end)
        label = " ".join(filter(None, (kind, name, series.named(detectors))))
        rows.append(TimelineRow(label, bars, hidden, mine[~covered]))
        frames.append(len(mine))
    return CalibrationTimeline(camera.name, tuple(rows), tuple(frames), tuple(names), exposures, *window)


class _Series:
    """Calibrations as bars, detectors with equal ones together."""

    def __init__(self, camera: Camera, used: Mapping[Key, Sequence[InForce]], rows: Iterable[Validity], number: Any):
        self.camera, self.used, self.number = camera, used, number
        self.all: dict[Key, list[Validity]] = defaultdict(list)
        for row in rows:
            self.all[row.key].append(row)
        self.detectors: set[int] = set()

    def grouped(self, wanted: Iterable[Key]) -> dict[tuple[str, str, tuple, tuple], list[int]]:
        found: dict[tuple[str, str, tuple, tuple], list[int]] = defaultdict(list)
        for kind, detector, name in sorted(wanted, key=lambda key: (key[0], key[2], key[1] or 0)):
            key = kind, detector, name
            used = self.used.get(key, ())
            bars = tuple(self._bar(limits(one.span), one.validity) for one in used)
            hidden = tuple(self._bar(limits(span), row) for row in self.all[key] for span in hidden_spans(row, used))
            found[kind, name, bars, hidden].append(-1 if detector is None else detector)
            self.detectors.update(() if detector is None else (detector,))
        return found

    def named(self, detectors: Sequence[int]) -> str:
        if set(detectors) >= self.detectors or -1 in detectors:
            return ""
        names = [self.camera.detector(detector).name for detector in detectors]
        return " ".join(names) if len(names) <= _MOST_NAMED else f"{names[0]}..{names[-1]} ({len(names)})"

    def _bar(self, span: tuple[float | None, float | None], row: Validity) -> TimelineBar:
        begin, end = span
        return TimelineBar(-inf if begin is None else begin, inf if end is None else end, self.number(row))


def _version(row: Validity, camera: str) -> str:
    """Return the run of a measured calibration, and the version of a curated one."""
    curated = f"{curated_chain(camera)}/"
    if row.collection.startswith(curated):
        return f"curated {row.collection.removeprefix(curated)}"
    return row.run.removeprefix(f"{camera}/")


def _science_exposures(home: Repository, camera: str) -> dict[str, NDArray[np.float64]]:
    """Return begins of the science exposures [MJD, TAI] by filter."""
    found: dict[str, list[float]] = defaultdict(list)
    records = home.butler.query_dimension_records(
        "exposure", instrument=camera, where="exposure.observation_type='science'", explain=False, limit=None
    )
    for record in records:
        if record.timespan is not None and record.timespan.begin is not None:
            found[str(record.physical_filter)].append(float(record.timespan.begin.tai.mjd))
    return {name: np.sort(np.array(times)) for name, times in found.items()}


_NEEDED = ("bias", "flat", "defects", "ptc")  # without which frames are worse off; others a camera may not need


def _wanted(home: Repository, camera: str, filters: set[str], types: Sequence[str]) -> set[Key]:
    """Return which calibrations the science exposures want."""
    if not filters:
        return set()
    with home.butler.query() as query:
        searched = query.join_dataset_search("raw", f"{camera}/raw/all").where(instrument=camera)
        detectors = {int(data_id["detector"]) for data_id in searched.data_ids(["detector"])}
    return {
        (kind.name, detector, name)
        for kind in kinds().values()
        if kind.name in (types or _NEEDED)
        for detector in detectors
        for name in (filters if "physical_filter" in kind.dimensions else ("",))
    }


def _window(
    rows: Iterable[Validity], exposures: NDArray[np.float64], begin: float | None, end: float | None
) -> tuple[float, float]:
    times = [time for row in rows for time in limits(row.span) if time is not None]
    times += [float(time) for time in exposures[[0, -1]]] if len(exposures) else []
    times = times or [row.made for row in rows]
    first, last = drawn_window(times)
    window = first if begin is None else begin, last if end is None else end
    if window[0] >= window[1]:
        raise InputError("the stretch ends before it begins", value=window, remedy="give the earlier time first")
    return window


def _letter(version: int) -> str:
    return _LETTERS[version % len(_LETTERS)]
