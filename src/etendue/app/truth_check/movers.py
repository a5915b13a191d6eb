"""Tracks of one night against the true motion of minor planets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from etendue.app.truth_check.catalogs import Catalogs
from etendue.app.truth_check.row import TruthRow, share_row
from etendue.geom.sphere import tangent_plane, unit_vector
from etendue.simulate.population.layer import Columns, kind_of
from etendue.simulate.surveys.truth_tables import SurveyTruth
from etendue.table.table import Table

_ARCSEC = np.radians(1.0 / 3600.0)
_MATCH_ARCSEC = 1.0
_LEAST_SNR, _LEAST_VISITS = 10.0, 4
_RATE_ERROR = 1.0


@dataclass(frozen=True)
class _Arc:
    """What one mover showed in one night; arrays have one entry per visit that saw it."""

    object_id: int
    visit: NDArray[np.int64]
    hours: NDArray[np.float64]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]

    @property
    def rate(self) -> tuple[float, float]:
        """Mean rate east and north over the arc [arcsec/h]."""
        hours = self.hours - self.hours.mean()
        east, north = tangent_plane(self.ra, self.dec, float(self.ra[0]), float(self.dec[0]))
        slope = [float(np.sum(hours * (axis - axis.mean())) / np.sum(hours**2)) * 3600.0 for axis in (east, north)]
        return slope[0], slope[1]


def mover_rows(truth: SurveyTruth, found: Catalogs) -> list[TruthRow]:
    """Return the rows about minor planets: how many are linked, and how many tracks are true.

    Expected is what stood on a detector in four visits of a night at S/N over 10 and moved by an arcsecond.

    Parameters
    ----------
    truth : SurveyTruth
        Of the survey.
    found : Catalogs
        What the pipelines made of it.

    Returns
    -------
    list of TruthRow
    """
    arcs = _arcs(truth, found)
    members = found.tracklet_sources
    track = [_track_of(arc, members) for arc in arcs]
    errors = np.array([_rate_error(arc, number, found.tracklets) for arc, number in zip(arcs, track, strict=True)])
    linked = errors < _RATE_ERROR
    middle = float(np.median(errors[linked])) if linked.any() else float("nan")
    rows = [share_row("asteroids linked, night by night", linked, 0.9, f', rate off by {middle:.2f}"/h')]
    if len(found.tracklets):
        rows.append(share_row("tracks that are true", _are_true(truth, members), 0.9))
    return rows


def _arcs(truth: SurveyTruth, found: Catalogs) -> list[_Arc]:
    sources, exposures = truth["sources"], truth["exposures"]
    bright = sources["flux_njy"] > _LEAST_SNR * found.noise(sources["visit"], sources["detector"])
    rows = np.flatnonzero((kind_of(sources["object_id"]) == "moving") & bright)
    night = dict(zip(exposures["exposure"].tolist(), exposures["day_obs"].tolist(), strict=True))
    arcs = []
    nights = np.array([night[visit] for visit in sources["visit"][rows].tolist()], np.int64)
    for object_id, day in sorted({*zip(sources["object_id"][rows].tolist(), nights.tolist(), strict=True)}):
        mine = rows[(sources["object_id"][rows] == object_id) & (nights == day)]
        if mine.size >= _LEAST_VISITS:
            arcs.append(_arc(sources, object_id, mine))
    return [arc for arc in arcs if np.hypot(*arc.rate) * np.ptp(arc.hours) > _MATCH_ARCSEC]


def _arc(sources: Columns, object_id: int, rows: NDArray[np.intp]) -> _Arc:
    hours = sources["mjd_tai"][rows] * 24.0
    return _Arc(object_id, sources["visit"][rows], hours, sources["ra"][rows], sources["dec"][rows])


def _track_of(arc: _Arc, members: Table) -> int | None:
    """Return the track that holds most detections near a mover."""
    near: list[int] = []
    visit = np.asarray(members["visit"])
    for one, ra, dec in zip(arc.visit, arc.ra, arc.dec, strict=True):
        rows = np.flatnonzero(visit == one)
        gap = np.linalg.norm(unit_vector(members["ra"][rows], members["dec"][rows]) - unit_vector(ra, dec), axis=-1)
        near += np.asarray(members["trackletId"])[rows[gap < _MATCH_ARCSEC * _ARCSEC]].tolist()
    return max(sorted(set(near)), key=near.count) if near else None


def _rate_error(arc: _Arc, track: int | None, tracklets: Table) -> float:
    """Return the error of a track's rate [arcsec/h]; infinite without a track."""
    if track is None:
        return float("inf")
    row = int(np.flatnonzero(np.asarray(tracklets["trackletId"]) == track)[0])
    east, north = arc.rate
    return float(np.hypot(tracklets["raRate"][row] - east, tracklets["decRate"][row] - north))


def _are_true(truth: SurveyTruth, members: Table) -> NDArray[np.bool_]:
    """Return whether most detections of each track lie at one kind of moving source."""
    sources = truth["sources"]
    moving = np.flatnonzero(np.isin(kind_of(sources["object_id"]), ("moving", "comets", "satellites")))
    track, group = np.unique(np.asarray(members["trackletId"]), return_inverse=True)
    visit = np.asarray(members["visit"])
    true = np.zeros(visit.size, bool)
    for one in np.unique(visit):
        here = moving[sources["visit"][moving] == one]
        rows = np.flatnonzero(visit == one)
        if here.size:
            tree = cKDTree(unit_vector(sources["ra"][here], sources["dec"][here]))
            gap = tree.query(unit_vector(members["ra"][rows], members["dec"][rows]))[0]
            true[rows] = gap < _MATCH_ARCSEC * _ARCSEC
    return np.bincount(group, true, minlength=track.size) > 0.5 * np.bincount(group, minlength=track.size)
