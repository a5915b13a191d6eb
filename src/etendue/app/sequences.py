"""Recognise what the exposures of a night belong together for: calibration sequences, revisits of a field, series."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from etendue.geom.sphere import separation_deg
from etendue.middleware.repository import Repository

_LONGEST_PAUSE_S = 900.0  # within a calibration sequence, beside ten exposure times
_SAME_FIELD_DEG = 0.05  # pointings that differ by less are one field
_SHORTEST_ARC_S, _LONGEST_ARC_S = 600.0, 6.0 * 3600.0  # in which movers move measurably and stay in the field
_SERIES = 10  # exposures of a field without a pause make a time series
_PAIRED_TIMES = 3  # exposure times, each twice or more, that make a photon transfer curve


@dataclass(frozen=True, slots=True)
class Shot:
    """What counts of one exposure.

    Parameters
    ----------
    day_obs, seq : int
        Night, and number within it.
    kind : str
        Observation type.
    physical_filter, target : str
        As in its record.
    seconds : float
        Exposure time [s].
    begin_s, end_s : float
        When it was [s, from any zero].
    ra_deg, dec_deg : float
        Pointing [deg]; NaN where unknown.
    """

    day_obs: int
    seq: int
    kind: str
    physical_filter: str
    target: str
    seconds: float
    begin_s: float
    end_s: float
    ra_deg: float = math.nan
    dec_deg: float = math.nan


@dataclass(frozen=True, slots=True)
class NightSequence:
    """Exposures of one night that belong together.

    Parameters
    ----------
    kind : str
        ``bias``, ``dark``, ``flat``, ``flat pairs`` (two or more at several exposure times), ``series`` (a field
        without a pause), ``revisits`` (a field again within hours: movers show), ``visits`` (other science), or
        another type.
    shots : tuple of Shot
        In the order of time.
    """

    kind: str
    shots: tuple[Shot, ...]

    def row(self) -> dict[str, Any]:
        """Return what it is, for people."""
        first, last = self.shots[0], self.shots[-1]
        times = sorted({shot.seconds for shot in self.shots})
        filters = Counter(shot.physical_filter for shot in self.shots)
        return {
            "night": first.day_obs,
            "sequence": self.kind,
            "target": first.target,
            "filters": " ".join(filters),
            "n": len(self.shots),
            "exposure [s]": f"{times[0]:g}" if len(times) == 1 else f"{times[0]:g}-{times[-1]:g}",
            "first": min(shot.seq for shot in self.shots),
            "last": max(shot.seq for shot in self.shots),
            "hours": round((last.end_s - first.begin_s) / 3600.0, 2),
        }


def sequences(home: Repository, camera: str) -> list[NightSequence]:
    """Recognise the sequences of all nights of a camera.

    Parameters
    ----------
    home : Repository
        With its raws.
    camera : str
        Registered camera.

    Returns
    -------
    list of NightSequence
        By night and time.
    """
    records = home.butler.query_dimension_records("exposure", instrument=camera, explain=False, limit=None)
    return recognised(_shot(record) for record in records)


def _shot(record: Any) -> Shot:
    begin, end = (1e-9 * nanoseconds for nanoseconds in record.timespan.nsec)
    known = record.tracking_ra is not None and record.tracking_dec is not None
    return Shot(
        record.day_obs, record.seq_num, record.observation_type, record.physical_filter, record.target_name,
        record.exposure_time, begin, end,
        record.tracking_ra if known else math.nan, record.tracking_dec if known else math.nan,
    )  # fmt: skip


def recognised(shots: Iterable[Shot]) -> list[NightSequence]:
    """Recognise the sequences among exposures.

    Parameters
    ----------
    shots : iterable of Shot
        In any order.

    Returns
    -------
    list of NightSequence
        By night and time; every exposure is in one of them.
    """
    nights: dict[int, list[Shot]] = {}
    for shot in sorted(shots, key=lambda shot: (shot.begin_s, shot.seq)):
        nights.setdefault(shot.day_obs, []).append(shot)
    found = []
    for night in nights.values():
        found += [NightSequence(_calibration_kind(run), run) for run in _calibrations(night)]
        found += [NightSequence(_science_kind(field), field) for field in _fields(night)]
    return sorted(found, key=lambda sequence: (sequence.shots[0].day_obs, sequence.shots[0].begin_s))


def _calibrations(night: Sequence[Shot]) -> Iterator[tuple[Shot, ...]]:
    """Give runs of calibration frames of one kind and filter without a long pause."""
    run: list[Shot] = []
    for shot in (shot for shot in night if shot.kind != "science"):
        if run and not _continues(run[-1], shot):
            yield tuple(run)
            run = []
        run.append(shot)
    if run:
        yield tuple(run)


def _continues(before: Shot, shot: Shot) -> bool:
    filtered = shot.kind not in ("bias", "dark")
    alike = shot.kind == before.kind and (not filtered or shot.physical_filter == before.physical_filter)
    return alike and shot.begin_s - before.end_s <= max(_LONGEST_PAUSE_S, 10.0 * shot.seconds)


def _calibration_kind(run: Sequence[Shot]) -> str:
    times = Counter(shot.seconds for shot in run)
    paired = sum(number >= 2 for number in times.values())
    return "flat pairs" if run[0].kind == "flat" and paired >= _PAIRED_TIMES else run[0].kind


def _fields(night: Sequence[Shot]) -> Iterator[tuple[Shot, ...]]:
    """Give the science exposures of each field: by pointing, or by target where that is unknown."""
    fields: list[list[Shot]] = []
    for shot in (shot for shot in night if shot.kind == "science"):
        same = next((field for field in fields if _same_field(field[0], shot)), None)
        if same is None:
            fields.append([shot])
        else:
            same.append(shot)
    yield from map(tuple, fields)


def _same_field(one: Shot, other: Shot) -> bool:
    if math.isnan(one.ra_deg + other.ra_deg):
        return one.target == other.target and math.isnan(one.ra_deg) and math.isnan(other.ra_deg)
    return bool(separation_deg(one.ra_deg, one.dec_deg, other.ra_deg, other.dec_deg) < _SAME_FIELD_DEG)


def _science_kind(field: Sequence[Shot]) -> str:
    pauses = [after.begin_s - before.end_s for before, after in pairwise(field)]
    if len(field) >= _SERIES and max(pauses) <= max(120.0, 3.0 * max(shot.seconds for shot in field)):
        return "series"
    arc = field[-1].begin_s - field[0].begin_s
    return "revisits" if len(field) > 1 and _SHORTEST_ARC_S <= arc <= _LONGEST_ARC_S else "visits"
