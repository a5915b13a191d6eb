"""Associate the stars of many exposures, keeping those that stand alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.geom.sphere import sky_position, unit_vector
from etendue.kernels.match import match_nearest, pairs_within
from etendue.tasks.astrometry.exposure_stars import ExposureStars
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]
Index = NDArray[np.int64]


class IsolatedStarConfig(TaskConfig):
    """What counts as one star, and as a lonely one."""

    match_radius_arcsec: float = Field(1.5, gt=0.0)
    """Largest distance of a measurement from the running mean of its star..."""

    match_radius_px: float = Field(0.5, ge=0.0)
    """...or this many pixels, where that is more: on large pixels faint stars scatter farther."""

    isolation_radius_arcsec: float = Field(4.0, ge=0.0)
    """Stars with another recurring source closer than this are left out."""

    neighbor_flux_ratio: float = Field(0.01, ge=0.0)
    """A neighbour fainter than this fraction of the star does not disturb it."""

    min_snr: float = Field(10.0, ge=0.0)
    """Smallest median signal-to-noise ratio of a star."""

    min_exposures: int = Field(2, ge=1)
    """Smallest number of exposures that measure a star."""


@dataclass(frozen=True, slots=True, eq=False)
class IsolatedStars:
    """Stars and their measurements, in columns.

    Parameters
    ----------
    exposures : tuple of (int, int)
        ``(visit, detector)`` of each exposure.
    star, exposure, source : ndarray, int64, shape (n,)
        Per measurement: index of the star, of the exposure, and of the source in that exposure.
    x, y, x_err, y_err, flux, flux_err : ndarray, float64, shape (n,)
        Measurements [px] and [image units].
    ra_deg, dec_deg : ndarray, float64, shape (n_stars,)
        Mean positions by the starting WCSs [deg].
    snr : ndarray, float64, shape (n_stars,)
        Median signal-to-noise ratio.
    """

    exposures: tuple[tuple[int, int], ...]
    star: Index
    exposure: Index
    source: Index
    x: Vector
    y: Vector
    x_err: Vector
    y_err: Vector
    flux: Vector
    flux_err: Vector
    ra_deg: Vector
    dec_deg: Vector
    snr: Vector

    @property
    def n_stars(self) -> int:
        """Number of stars."""
        return int(self.ra_deg.size)

    def n_exposures_per_star(self) -> Index:
        """Return the number of measurements of each star.

        Returns
        -------
        ndarray, int64, shape (n_stars,)
        """
        return np.bincount(self.star, minlength=self.n_stars)

    def take_stars(self, keep: NDArray[np.bool_]) -> "IsolatedStars":
        """Return some of the stars with their measurements.

        Parameters
        ----------
        keep : ndarray, bool, shape (n_stars,)
            Stars to keep.

        Returns
        -------
        IsolatedStars
            With the stars renumbered in order.
        """
        rows = keep[self.star]
        per_row = ("exposure", "source", "x", "y", "x_err", "y_err", "flux", "flux_err")
        changes = {name: getattr(self, name)[rows] for name in per_row}
        changes |= {name: getattr(self, name)[keep] for name in ("ra_deg", "dec_deg", "snr")}
        renumbered = np.cumsum(keep) - 1
        return replace(self, star=renumbered[self.star[rows]], **changes)


class IsolatedStarTask(Task[IsolatedStarConfig]):
    """Match exposure after exposure to a growing catalog of mean positions, one to one.

    A star is kept if enough exposures measured it, each at most once, and no other recurring source
    that matters lies near it. The exposures are taken in order of visit and detector.
    """

    def run(self, *, exposures: Sequence[ExposureStars]) -> IsolatedStars:
        """Associate stars.

        Parameters
        ----------
        exposures : sequence of ExposureStars
            In any order; the result is the same.

        Returns
        -------
        IsolatedStars
            Exposures sorted by visit and detector; measurements sorted by star and exposure.

        Raises
        ------
        AlgorithmError
            If no star is left.
        """
        ordered = sorted(exposures, key=lambda stars: (stars.visit, stars.detector))
        usable = [np.flatnonzero(stars.usable) for stars in ordered]
        vectors = [
            unit_vector(*stars.wcs.pixel_to_sky(x=stars.x[rows], y=stars.y[rows]))
            for stars, rows in zip(ordered, usable, strict=True)
        ]
        pixel = float(np.median([stars.pixel_scale for stars in ordered])) if ordered else 0.0
        radius = max(self.config.match_radius_arcsec, self.config.match_radius_px * pixel)
        star, sums = self._grow(vectors, np.radians(radius / 3600.0))
        everything = _assemble(ordered, usable, star, sums)
        kept = everything.take_stars(self._isolated(everything))
        if kept.n_stars == 0:
            raise AlgorithmError("no isolated star recurs", exposures=len(ordered), sources=int(sum(map(len, usable))))
        return kept

    def _grow(self, vectors: list[Vector], radius: float) -> tuple[Index, Vector]:
        """Return the star of every measurement, and the summed unit vectors of the stars; the radius is in radians."""
        sums, star = np.empty((0, 3)), []
        for vector in vectors:
            mean = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-300)
            i, j, _ = match_nearest(vector, mean, radius)
            assigned = np.full(len(vector), -1, np.int64)
            assigned[i] = j
            new = np.flatnonzero(assigned < 0)
            assigned[new] = len(sums) + np.arange(new.size)
            sums = np.vstack([sums, np.zeros((new.size, 3))])
            sums[assigned] += vector
            star.append(assigned)
        return np.concatenate(star) if star else np.empty(0, np.int64), sums

    def _isolated(self, stars: IsolatedStars) -> NDArray[np.bool_]:
        recurring = stars.n_exposures_per_star() >= self.config.min_exposures
        index = np.flatnonzero(recurring)
        vector = unit_vector(stars.ra_deg[index], stars.dec_deg[index])
        i, j, _ = pairs_within(vector, vector, np.radians(self.config.isolation_radius_arcsec / 3600.0))
        weight = np.bincount(stars.star, minlength=stars.n_stars)
        flux = np.bincount(stars.star, stars.flux, stars.n_stars) / np.maximum(weight, 1)
        disturbing = (i != j) & (flux[index[j]] > self.config.neighbor_flux_ratio * flux[index[i]])
        isolated = recurring.copy()
        isolated[index[i[disturbing]]] = False
        return isolated & (stars.snr >= self.config.min_snr)


def _assemble(ordered: list[ExposureStars], usable: list[Index], star: Index, sums: Vector) -> IsolatedStars:
    def column(name: str) -> Vector:
        parts = [getattr(stars, name)[rows] for stars, rows in zip(ordered, usable, strict=True)]
        return np.concatenate(parts) if parts else np.empty(0)

    exposure = np.repeat(np.arange(len(ordered)), [len(rows) for rows in usable])
    order = np.lexsort((exposure, star))
    names = ("x", "y", "x_err", "y_err", "flux", "flux_err")
    columns = {name: column(name)[order] for name in names}
    source = np.concatenate(usable)[order] if usable else np.empty(0, np.int64)
    ra, dec = sky_position(sums)
    return IsolatedStars(
        exposures=tuple((stars.visit, stars.detector) for stars in ordered),
        star=star[order],
        exposure=exposure[order],
        source=source,
        **columns,
        ra_deg=ra,
        dec_deg=dec,
        snr=_median_by_group(columns["flux"] / columns["flux_err"], star[order], len(sums)),
    )


def _median_by_group(value: Vector, group: Index, n_groups: int) -> Vector:
    """Return the lower median of each group, all groups at once; every group has a member."""
    order = np.lexsort((value, group))
    counts = np.bincount(group, minlength=n_groups)
    start = np.cumsum(counts) - counts
    return np.asarray(value[order][start + (counts - 1) // 2])
