"""The catalogs that are compared with the truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.middleware.repository import Repository
from etendue.table.table import Table

_FAINT_SNR = 30.0


@dataclass(frozen=True)
class Catalogs:
    """All rows of the tables of a processed survey.

    Parameters
    ----------
    sources, dia_sources, dia_objects, forced_sources, objects, tracklets, tracklet_sources : Table
        All rows of the tables of these names.
    """

    sources: Table
    dia_sources: Table
    dia_objects: Table
    forced_sources: Table
    objects: Table
    tracklets: Table
    tracklet_sources: Table

    @classmethod
    def read(cls, home: Repository, camera: str) -> "Catalogs":
        """Read all tables that are compared with the truth.

        Parameters
        ----------
        home : Repository
            Processed by `etendue.app.quickstart.quickstart`.
        camera : str
            Its camera.

        Returns
        -------
        Catalogs
        """

        def every(name: str) -> Table:
            return Table.concat(home.get(ref) for ref in home.query(name, collections=f"{camera}/ap"))

        return cls(
            sources=every("source"),
            dia_sources=every("dia_source"),
            dia_objects=every("dia_object"),
            forced_sources=every("forced_source"),
            objects=every("object"),
            tracklets=every("tracklet"),
            tracklet_sources=every("tracklet_source"),
        )

    def noise(self, visit: NDArray[np.int64], detector: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the error of a faint star's PSF flux on some frames.

        Parameters
        ----------
        visit, detector : ndarray of int, shape (n,)
            The frames.

        Returns
        -------
        ndarray, shape (n,)
            Median over the faint sources of the frame [nJy]; infinite where there are none.
        """
        faint = np.asarray(self.sources["snr"]) < _FAINT_SNR
        key = _frame_key(np.asarray(self.sources["visit"]), np.asarray(self.sources["detector"]))[faint]
        error = np.asarray(self.sources["psfFluxErr"], float)[faint]
        frames, group = np.unique(_frame_key(visit, detector), return_inverse=True)
        levels = [float(np.nanmedian(error[key == frame])) if (key == frame).any() else np.inf for frame in frames]
        return np.array(levels)[group]


def _frame_key(visit: NDArray[np.int64], detector: NDArray[np.int64]) -> NDArray[np.int64]:
    return visit * 1000 + detector
