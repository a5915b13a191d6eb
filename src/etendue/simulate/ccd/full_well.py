"""Full wells: what a pixel cannot hold runs along its column."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.detector import Detector
from etendue.kernels.charge_transfer import bloom
from etendue.simulate.ccd.effect import EffectSpec, Vector, scattered
from etendue.simulate.ccd.streams import Streams

_OVER_SATURATION = 1.12


class FullWellSpec(EffectSpec):
    """Full wells of the amplifiers' pixels."""

    electrons: float | None = Field(None, gt=0.0)
    """Typical full well; None for 12% more than what reaches the camera's saturation, so that full pixels count
    as saturated whatever the true gain [e]."""

    scatter: float = Field(0.02, ge=0.0, le=0.3)
    """Relative standard deviation between amplifiers."""

    column_rms: float = Field(0.005, ge=0.0, le=0.1)
    """Relative standard deviation between columns."""

    midline_stop: bool = True
    """Whether charge stops where amplifiers meet that read to opposite ends of a column."""


@dataclass(frozen=True, slots=True, eq=False)
class FullWells:
    """Full wells of one detector.

    Parameters
    ----------
    amplifiers : ndarray, float64, shape (n,)
        Full well of each amplifier [e].
    columns : ndarray, float64, shape (bands, nx)
        Full well of the columns in each band of rows [e].
    band : ndarray, int64, shape (ny,)
        Band of each row.
    wall : ndarray, bool, shape (ny + 1,)
        Whether charge stops below each row.
    """

    amplifiers: Vector
    columns: Vector
    band: NDArray[np.int64]
    wall: NDArray[np.bool_]

    @classmethod
    def make(cls, spec: FullWellSpec, detector: Detector, streams: Streams) -> "FullWells":
        """Draw the full wells.

        Parameters
        ----------
        spec : FullWellSpec
            Sizes.
        detector : Detector
            The detector.
        streams : Streams
            The detector's.

        Returns
        -------
        FullWells
        """
        rng = streams.rng("full well")
        box = detector.bbox
        ny, nx = box.shape
        typical = spec.electrons or [_OVER_SATURATION * a.saturation * a.gain for a in detector.amplifiers]
        amplifiers = scattered(1.0, spec.scatter, len(detector.amplifiers), rng) * typical
        edges = sorted({edge for a in detector.amplifiers for edge in (a.bbox.y.start, a.bbox.y.stop)})
        band = np.searchsorted(edges, np.arange(ny) + box.y.start, side="right") - 1
        columns = np.full((len(edges) - 1, nx), np.inf)
        for amplifier, value in zip(detector.amplifiers, amplifiers, strict=True):
            for k, start in enumerate(edges[:-1]):
                if amplifier.bbox.y.start <= start < amplifier.bbox.y.stop:
                    columns[k, amplifier.bbox.slices_in(box)[1]] = value
        columns *= scattered(1.0, spec.column_rms, nx, rng)
        wall = np.zeros(ny + 1, bool)
        wall[[0, ny]] = True
        if spec.midline_stop:
            wall[np.array(edges) - box.y.start] = True
        return cls(amplifiers, columns, band, wall)

    def bloom(self, charge: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], float]:
        """Let charge run over.

        Parameters
        ----------
        charge : ndarray, float32, shape (ny, nx)
            Changed in place [e].

        Returns
        -------
        saturated : ndarray, bool, shape (ny, nx)
            Pixels that were over full or took charge up.
        bleed : ndarray, bool, shape (ny, nx)
            Those of them that were not over full.
        lost : float
            Charge that found no room in its column [e].
        """
        full = self._full(charge)
        saturated = np.zeros(charge.shape, bool)
        lost = float(bloom(charge, saturated, self.columns, self.band, self.wall))
        return saturated, saturated & ~full, lost

    def _full(self, charge: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return the pixels that are over full; only columns that hold one are looked at."""
        full = np.zeros(charge.shape, bool)
        for number, wells in enumerate(self.columns):
            rows = np.flatnonzero(self.band == number)
            part = slice(rows[0], rows[-1] + 1)
            over = np.flatnonzero(charge[part].max(axis=0) > wells)
            full[part, over] = charge[part, over] > wells[over]
        return full
