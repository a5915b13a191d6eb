"""Associate difference-image detections of many visits into objects."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.spatial import cKDTree

from etendue.geom.ids import object_ids
from etendue.geom.sphere import sky_position, unit_vector
from etendue.table.table import Table
from etendue.tasks.associate.summary import flux_summary
from etendue.tasks.task import Task, TaskConfig


class AssociateConfig(TaskConfig):
    """How close detections of one object are."""

    radius: float = Field(1.0, gt=0.0)
    """Largest distance between a detection and its object [arcsec]."""


@dataclass(frozen=True)
class AssociateResult:
    """Detections with their objects' ids, and the objects.

    Parameters
    ----------
    sources : Table
        ``dia_source``, all rows of the input in the same order; ``diaObjectId`` is 0 for detections that
        belong to a tracklet.
    objects : Table
        ``dia_object``, one row per object.
    """

    sources: Table
    objects: Table


class AssociateTask(Task[AssociateConfig]):
    """Match visits in order of time to the objects known so far, one detection to one object.

    An object's position is the mean of its detections so far, as in LSST's prompt association (DMTN-333
    describes the sole radius of 1 arcsec). Detections on tracklets make no objects.
    """

    def run(self, *, sources: Table, tract: int) -> AssociateResult:
        """Associate ``dia_source`` rows of one tract; rows with ``trackletId`` set are passed through."""
        fixed = np.flatnonzero(np.asarray(sources["trackletId"]) == 0)
        member = self._match(sources, fixed)
        owner = np.full(len(sources), -1, np.int64)
        owner[fixed] = member
        ra, dec, _ = mean_positions(sources, owner)
        ids = object_ids(ra, dec, tract, 0)
        object_id = np.where(owner >= 0, ids[owner] if ids.size else 0, 0)
        columns = {"diaObjectId": ids, **_positions(sources, owner), **flux_summary(sources, owner, ids.size)}
        objects = Table("dia_object", columns)
        return AssociateResult(sources.with_columns(diaObjectId=object_id), objects)

    def _match(self, sources: Table, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the object number of every row."""
        vectors = unit_vector(sources["ra"][rows], sources["dec"][rows])
        chord = 2.0 * np.sin(np.radians(self.config.radius / 3600.0) / 2.0)
        member = np.full(rows.size, -1, np.int64)
        total = np.zeros((0, 3))
        visits = np.asarray(sources["visit"])[rows]
        order = np.lexsort((np.arange(rows.size), visits, np.asarray(sources["midpointMjdTai"])[rows]))
        boundaries = np.flatnonzero(np.diff(visits[order])) + 1
        for group in np.split(order, boundaries) if rows.size else ():
            found = _nearest_free(total, vectors[group], chord)
            new = found < 0
            found[new] = total.shape[0] + np.arange(int(new.sum()))
            total = np.concatenate([total, np.zeros((int(new.sum()), 3))])
            np.add.at(total, found, vectors[group])
            member[group] = found
        return member


def _nearest_free(total: NDArray[np.float64], vectors: NDArray[np.float64], chord: float) -> NDArray[np.int64]:
    """Give every detection its nearest object, and every object its nearest detection only; -1 for none."""
    if total.shape[0] == 0:
        return np.full(vectors.shape[0], -1, np.int64)
    places = total / np.linalg.norm(total, axis=1, keepdims=True)
    distance, found = cKDTree(places).query(vectors, distance_upper_bound=chord)
    found = np.where(np.isfinite(distance), found, -1).astype(np.int64)
    order = np.lexsort((distance, found))
    repeated = np.concatenate([[False], found[order][1:] == found[order][:-1]])
    found[order[repeated]] = -1
    return found


def mean_positions(
    sources: Table, owner: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the weighted mean positions of groups of detections.

    Parameters
    ----------
    sources : Table
        ``dia_source`` rows.
    owner : ndarray, int64, shape (n,)
        Group of every row, from 0; negative rows are left out.

    Returns
    -------
    ra_deg, dec_deg, err_deg : ndarray, float64, shape (groups,)
        Means weighted by inverse variance, and their 1-sigma errors per axis [deg].
    """
    use = owner >= 0
    group, count = owner[use], int(owner.max(initial=-1)) + 1
    err = np.hypot(sources["raErr"][use], sources["decErr"][use]).astype(float) / np.sqrt(2.0)
    err = np.where(np.isfinite(err) & (err > 0.0), err, 1.0 / 3600.0)
    weight = err**-2
    vectors = unit_vector(sources["ra"][use], sources["dec"][use])
    sums = np.stack([np.bincount(group, weight * vectors[:, axis], count) for axis in range(3)], axis=-1)
    ra, dec = sky_position(sums)
    return ra, dec, 1.0 / np.sqrt(np.bincount(group, weight, count))


def _positions(sources: Table, owner: NDArray[np.int64]) -> dict[str, NDArray]:
    ra, dec, err = mean_positions(sources, owner)
    return {"ra": ra, "dec": dec, "raErr": err, "decErr": err}
