"""Crosstalk: what one amplifier reads shows faintly in the others that are read at the same time."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from etendue.errors import InputError
from etendue.kernels.read_out import add_crosstalk, mix_amplifiers
from etendue.simulate.ccd.effect import EffectSpec, Vector
from etendue.simulate.ccd.streams import Streams

Matrix = tuple[tuple[float, ...], ...]


class CrosstalkSpec(EffectSpec):
    """Coefficients between the amplifiers of one detector, drawn by seed or given."""

    linear: float = Field(1.5e-4, ge=0.0, le=0.1)
    """Typical coefficient of neighbours in the camera's list of amplifiers; others fall off with their distance."""

    scatter: float = Field(0.3, ge=0.0, le=1.0)
    """Relative standard deviation of the coefficients."""

    quadratic: float = 2e-10
    """Typical quadratic coefficient of neighbours [1/ADU]."""

    matrix: Matrix | None = None
    """Linear coefficients ``[victim][aggressor]`` in place of the camera's own, or of drawn ones."""

    quadratic_matrix: Matrix | None = None
    """Quadratic coefficients ``[victim][aggressor]`` in place of drawn ones [1/ADU]."""

    @model_validator(mode="after")
    def _check_matrices(self) -> Self:
        for matrix in (self.matrix, self.quadratic_matrix):
            if matrix is not None and any(len(row) != len(matrix) or row[i] != 0.0 for i, row in enumerate(matrix)):
                raise ValueError("crosstalk matrices are square, with zeros on the diagonal")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Partner:
    """Another detector that is read at the same time.

    Parameters
    ----------
    signals : ndarray, float32, shape (m, my, mx)
        Its amplifiers' signals in read order, before crosstalk [ADU].
    linear, quadratic : ndarray, float64, shape (n, m)
        Coefficients ``[own amplifier, its amplifier]`` [1, 1/ADU].
    """

    signals: NDArray[np.float32]
    linear: Vector
    quadratic: Vector


def crosstalk_matrices(spec: CrosstalkSpec, count: int, streams: Streams) -> tuple[Vector, Vector]:
    """Return the coefficients between a detector's amplifiers.

    Parameters
    ----------
    spec : CrosstalkSpec
        Sizes, or the matrices themselves.
    count : int
        Number of amplifiers.
    streams : Streams
        The detector's.

    Returns
    -------
    linear, quadratic : ndarray, float64, shape (count, count)
        Coefficients ``[victim, aggressor]`` [1, 1/ADU].

    Raises
    ------
    InputError
        If a given matrix is not for this number of amplifiers.
    """
    rng = streams.rng("crosstalk")
    number = np.arange(count)
    apart = np.abs(number[:, None] - number[None, :]).astype(float)
    falloff = np.where(apart > 0.0, 1.0 / np.maximum(apart, 1.0) ** 1.5, 0.0)
    drawn = [
        typical * falloff * (1.0 + spec.scatter * rng.standard_normal((count, count)))
        for typical in (spec.linear, spec.quadratic)
    ]
    for k, given in enumerate((spec.matrix, spec.quadratic_matrix)):
        if given is not None:
            drawn[k] = np.array(given, float)
            if drawn[k].shape != (count, count):
                raise InputError(
                    "crosstalk matrix is not for this detector",
                    value=drawn[k].shape,
                    remedy=f"give {count} rows of {count} coefficients",
                )
    return drawn[0], drawn[1]


def mix(
    signals: NDArray[np.float32], own: tuple[Vector, Vector] | None, partners: tuple[Partner, ...]
) -> NDArray[np.float32]:
    """Return the signals of all amplifiers with crosstalk.

    Parameters
    ----------
    signals : ndarray, float32, shape (n, my, mx)
        Before crosstalk [ADU]; not changed.
    own : tuple of ndarray, or None
        From `crosstalk_matrices`; None for none.
    partners : tuple of Partner
        Other detectors.

    Returns
    -------
    ndarray, float32, shape (n, my, mx)
        The signals themselves if there is no crosstalk.
    """
    if own is None and not partners:
        return signals
    mixed = signals.copy() if own is None else np.empty_like(signals)
    if own is not None:
        mix_amplifiers(mixed, signals, *own)
    for partner in partners:
        for i, j in np.argwhere((partner.linear != 0.0) | (partner.quadratic != 0.0)):
            add_crosstalk(mixed[i], partner.signals[j], partner.linear[i, j], partner.quadratic[i, j])
    return mixed
