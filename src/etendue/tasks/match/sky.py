"""Match positions on the sky one to one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from etendue.geom.sphere import unit_vector
from etendue.kernels.match import match_nearest
from etendue.tasks.task import Task, TaskConfig


class MatchSkyConfig(TaskConfig):
    """How far a match may be."""

    radius_arcsec: float = Field(1.0, gt=0.0, le=3600.0)
    """Largest separation of a matched pair."""

    def at_least(self, radius_arcsec: float) -> "MatchSkyConfig":
        """Return these choices with a radius no smaller than another one, such as half a large pixel.

        Parameters
        ----------
        radius_arcsec : float
            Smallest radius [arcsec].

        Returns
        -------
        MatchSkyConfig
        """
        return MatchSkyConfig(radius_arcsec=max(self.radius_arcsec, radius_arcsec))


@dataclass(frozen=True, slots=True)
class SkyMatches:
    """One-to-one matches of two catalogs.

    Parameters
    ----------
    first, second : ndarray, int64, shape (n,)
        Indices into the two catalogs; ``first`` ascends.
    separation_arcsec : ndarray, float64, shape (n,)
        Angular separations.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    separation_arcsec: NDArray[np.float64]


class MatchSkyTask(Task[MatchSkyConfig]):
    """Match two catalogs: the closest pair first, each source at most once."""

    def run(self, *, ra1_deg: ArrayLike, dec1_deg: ArrayLike, ra2_deg: ArrayLike, dec2_deg: ArrayLike) -> SkyMatches:
        """Match positions.

        Parameters
        ----------
        ra1_deg, dec1_deg : array_like, shape (n,)
            First catalog [deg]; positions that are not finite match nothing.
        ra2_deg, dec2_deg : array_like, shape (m,)
            Second catalog [deg].

        Returns
        -------
        SkyMatches
        """
        first, first_index = _finite_vectors(ra1_deg, dec1_deg)
        second, second_index = _finite_vectors(ra2_deg, dec2_deg)
        chord = 2.0 * np.sin(0.5 * np.radians(self.config.radius_arcsec / 3600.0))
        i, j, distance = match_nearest(first, second, chord)
        separation = np.degrees(2.0 * np.arcsin(np.minimum(0.5 * distance, 1.0))) * 3600.0
        return SkyMatches(first_index[i], second_index[j], separation)


def _finite_vectors(ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    vectors = unit_vector(np.atleast_1d(ra_deg), np.atleast_1d(dec_deg))
    index = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    return vectors[index], index
