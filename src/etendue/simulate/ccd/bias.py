"""Bias: what the converter reads without charge."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.linalg import solve_banded

from etendue.simulate.ccd.effect import EffectSpec, Vector
from etendue.simulate.ccd.streams import Streams

_DRIFT_HOURS = (0.7, 2.3, 7.1, 23.0)  # periods of the slow drift


class BiasSpec(EffectSpec):
    """Level, fixed structure and drifts, all in ADU."""

    level_adu: float = Field(1000.0, ge=0.0)
    """Typical level [ADU]."""

    amplifier_rms_adu: float = Field(30.0, ge=0.0)
    """Standard deviation of the levels of amplifiers [ADU]."""

    row_ramp_adu: float = 5.0
    """Height of an exponential ramp over the first rows that are read [ADU]."""

    row_ramp_px: float = Field(80.0, gt=0.0)
    """Rows after which that ramp has fallen to 1/e [px]."""

    column_ramp_adu: float = 3.0
    """Height of an exponential ramp over the first columns that are read [ADU]."""

    column_ramp_px: float = Field(30.0, gt=0.0)
    """Columns after which that ramp has fallen to 1/e [px]."""

    column_rms_adu: float = Field(0.4, ge=0.0)
    """Standard deviation of a fixed pattern of columns [ADU]."""

    pixel_rms_adu: float = Field(0.3, ge=0.0)
    """Standard deviation of a fixed pattern of pixels [ADU]."""

    drift_adu: float = Field(3.0, ge=0.0)
    """Standard deviation of the drift over hours, a smooth function of the time [ADU]."""

    jitter_adu: float = Field(0.5, ge=0.0)
    """Standard deviation of the level from exposure to exposure [ADU]."""

    row_drift_adu: float = Field(0.3, ge=0.0)
    """Standard deviation of a random drift along the rows of one exposure [ADU]."""

    row_drift_px: float = Field(200.0, gt=0.0)
    """Rows over which that drift is correlated [px]."""


@dataclass(frozen=True, slots=True, eq=False)
class BiasStructure:
    """Bias of one detector.

    Parameters
    ----------
    spec : BiasSpec
        Sizes.
    levels : ndarray, float64, shape (n,)
        Level of each amplifier [ADU].
    phases : ndarray, float64, shape (n, 4)
        Phases of the slow drift [rad].
    """

    spec: BiasSpec
    levels: Vector
    phases: Vector

    @classmethod
    def make(cls, spec: BiasSpec, count: int, streams: Streams) -> "BiasStructure":
        """Draw levels and phases.

        Parameters
        ----------
        spec : BiasSpec
            Sizes.
        count : int
            Number of amplifiers.
        streams : Streams
            The detector's.

        Returns
        -------
        BiasStructure
        """
        rng = streams.rng("bias")
        levels = spec.level_adu + spec.amplifier_rms_adu * rng.standard_normal(count)
        return cls(spec, np.maximum(levels, 0.0), 2.0 * np.pi * rng.random((count, len(_DRIFT_HOURS))))

    def level(self, number: int, hours: float, exposure: Streams) -> float:
        """Return the level of one amplifier in one exposure.

        Parameters
        ----------
        number : int
            Amplifier.
        hours : float
            Time of the exposure [h].
        exposure : Streams
            The exposure's.

        Returns
        -------
        float
            [ADU].
        """
        waves = np.cos(2.0 * np.pi * hours / np.array(_DRIFT_HOURS) + self.phases[number])
        jitter = self.spec.jitter_adu * exposure.rng(f"bias level {number}").standard_normal()
        return float(self.levels[number] + self.spec.drift_adu * waves.sum() / np.sqrt(0.5 * waves.size) + jitter)

    def rows(self, number: int, count: int, hours: float, exposure: Streams) -> NDArray[np.float32]:
        """Return the level of each row of a segment in one exposure.

        Parameters
        ----------
        number : int
            Amplifier.
        count : int
            Number of rows.
        hours : float
            Time of the exposure [h].
        exposure : Streams
            The exposure's.

        Returns
        -------
        ndarray, float32, shape (count,)
            [ADU].
        """
        spec = self.spec
        keep = np.exp(-1.0 / spec.row_drift_px)
        kicks = exposure.rng(f"bias rows {number}").standard_normal(count)
        kicks[1:] *= np.sqrt(1.0 - keep**2)
        # Each row keeps a part of the one before: a bidiagonal system (scipy.signal takes 0.4 s to import).
        drift = spec.row_drift_adu * solve_banded((1, 0), [np.ones(count), np.full(count, -keep)], kicks)
        ramp = spec.row_ramp_adu * np.exp(-np.arange(count) / spec.row_ramp_px)
        return (self.level(number, hours, exposure) + ramp + drift).astype(np.float32)

    def columns(self, number: int, count: int, streams: Streams) -> NDArray[np.float32]:
        """Return the fixed structure of the columns of a segment.

        Parameters
        ----------
        number : int
            Amplifier.
        count : int
            Number of columns.
        streams : Streams
            The detector's.

        Returns
        -------
        ndarray, float32, shape (count,)
            On top of the rows' level [ADU].
        """
        spec = self.spec
        ramp = spec.column_ramp_adu * np.exp(-np.arange(count) / spec.column_ramp_px)
        pattern = spec.column_rms_adu * streams.rng(f"bias columns {number}").standard_normal(count)
        return (ramp + pattern).astype(np.float32)
