"""The stars whose light curves are measured: everything that recurs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.geom.ids import object_ids
from etendue.geom.sphere import sky_position, unit_vector
from etendue.kernels.match import match_nearest
from etendue.table.table import Table
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]


class StarListConfig(TaskConfig):
    """What counts as one star."""

    match_radius_px: float = Field(0.8, gt=0.0)
    """Largest distance of a detection from the running mean of its star [px]."""

    min_fraction: float = Field(0.1, ge=0.0, le=1.0)
    """A star is detected on at least this fraction of the images..."""

    min_images: int = Field(3, ge=1)
    """...and on at least this many."""

    min_separation_px: float = Field(1.5, ge=0.0)
    """Of two stars closer than this only the one detected more often is kept: their fluxes would be exchanged [px]."""


@dataclass(frozen=True, slots=True, eq=False)
class StarList:
    """Stars in order of their ids.

    Parameters
    ----------
    star_id : ndarray, int64, shape (n,)
        Ids.
    ra_deg, dec_deg : ndarray, float64, shape (n,)
        Mean positions [deg].
    n_images : ndarray, int64, shape (n,)
        Detections.
    is_isolated : ndarray, bool, shape (n,)
        Taken from the table of isolated stars.
    """

    star_id: NDArray[np.int64]
    ra_deg: Real
    dec_deg: Real
    n_images: NDArray[np.int64]
    is_isolated: NDArray[np.bool_]


class StarListTask(Task[StarListConfig]):
    """Match the detections of image after image to a growing list of mean positions.

    Stars need be neither isolated nor bright: the fluxes are measured with all of them fitted at once.
    """

    def run(
        self, *, positions: Sequence[tuple[Real, Real]], isolated: Table, pixel_scale_arcsec: float, tract: int
    ) -> StarList:
        """Make the list.

        Parameters
        ----------
        positions : sequence of (ndarray, ndarray)
            Right ascensions and declinations of the detections of each image [deg].
        isolated : Table
            ``isolated_star``; its ids and positions are kept.
        pixel_scale_arcsec : float
            Side of a pixel [arcsec].
        tract : int
            For the ids of stars that are not isolated.

        Returns
        -------
        StarList

        Raises
        ------
        AlgorithmError
            If nothing recurs.
        """
        pixel = np.radians(pixel_scale_arcsec / 3600.0)
        known = unit_vector(np.asarray(isolated["ra"], float), np.asarray(isolated["dec"], float))
        sums, count = known * 1.0, np.zeros(len(known), np.int64)
        for ra, dec in positions:
            vector = unit_vector(ra, dec)
            mean = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-300)
            i, j, _ = match_nearest(vector, mean, self.config.match_radius_px * pixel)
            sums[j] += vector[i]
            count[j] += 1
            new = np.setdiff1d(np.arange(len(vector)), i)
            sums, count = np.vstack([sums, vector[new]]), np.concatenate([count, np.ones(new.size, np.int64)])
        often = count >= max(self.config.min_images, self.config.min_fraction * len(positions))
        often &= self._not_doubled(sums, count, pixel)
        if not often.any():
            raise AlgorithmError("no star recurs", images=len(positions), detections=int(count.sum()))
        ra, dec = sky_position(sums)
        ids = object_ids(ra, dec, tract, 1)  # isolated stars have patch 0
        first = len(known)
        ra[:first], dec[:first], ids[:first] = isolated["ra"], isolated["dec"], isolated["isolated_star_id"]
        rows = np.flatnonzero(often)
        rows = rows[np.unique(ids[rows], return_index=True)[1]]
        return StarList(ids[rows], ra[rows], dec[rows], count[rows], rows < first)

    def _not_doubled(self, sums: Real, count: NDArray[np.int64], pixel: float) -> NDArray[np.bool_]:
        """Return which entries have no more frequent one beside them: detections that split made a second star."""
        from scipy.spatial import cKDTree

        mean = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        pairs = cKDTree(mean).query_pairs(self.config.min_separation_px * pixel, output_type="ndarray")
        keep = np.ones(len(sums), bool)
        less = np.where(count[pairs[:, 0]] >= count[pairs[:, 1]], pairs[:, 1], pairs[:, 0])
        keep[less] = False
        return keep
