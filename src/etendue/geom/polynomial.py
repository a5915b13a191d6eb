"""Polynomials in two variables, with their analytic derivatives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError


@dataclass(frozen=True, eq=False)
class Polynomial2D:
    """The sum of ``coefficients[p, q] * u**p * v**q``.

    Parameters
    ----------
    coefficients : array_like, float64, shape (n, n)
        One coefficient per pair of powers; copied and made read-only.

    Raises
    ------
    InputError
        If the coefficients are not a square matrix of finite numbers.
    """

    coefficients: NDArray[np.float64]

    def __post_init__(self) -> None:
        matrix = np.array(self.coefficients, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
            raise InputError("polynomial coefficients must be a finite square matrix", value=matrix.tolist())
        matrix.flags.writeable = False
        object.__setattr__(self, "coefficients", matrix)

    @property
    def order(self) -> int:
        """Highest total power with a coefficient other than zero; 0 for a constant."""
        p, q = np.nonzero(self.coefficients)
        return int((p + q).max(initial=0))

    def __call__(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate by Horner's rule at ``u``, ``v``."""
        return _horner(self.coefficients, u, v)

    def gradient(
        self, u: NDArray[np.float64], v: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the derivatives with respect to ``u`` and ``v``.

        Parameters
        ----------
        u, v : ndarray, float64
            Points, of one shape.

        Returns
        -------
        du, dv : ndarray, float64
            Derivatives at the points.
        """
        powers = np.arange(1, self.coefficients.shape[0])
        by_u = self.coefficients[1:, :] * powers[:, None]
        by_v = self.coefficients[:, 1:] * powers[None, :]
        return _horner(by_u, u, v), _horner(by_v, u, v)


def _horner(matrix: NDArray[np.float64], u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate, leaving out the zeros after the last coefficient of each row."""
    total = np.zeros(np.broadcast_shapes(np.shape(u), np.shape(v)))
    for row in matrix[::-1]:
        used = np.nonzero(row)[0]
        inner = np.zeros_like(total)
        for coefficient in row[: used[-1] + 1][::-1] if used.size else ():
            inner = inner * v + coefficient
        total = total * u + inner
    return np.asarray(total)


def powers_matrix(u: ArrayLike, v: ArrayLike, terms: list[tuple[int, int]]) -> NDArray[np.float64]:
    """Return the design matrix of chosen terms, for least squares.

    Parameters
    ----------
    u, v : array_like, shape (n,)
        Points.
    terms : list of (int, int)
        Powers ``(p, q)``.

    Returns
    -------
    ndarray, float64, shape (n, n_terms)
    """
    u, v = np.asarray(u, float).ravel(), np.asarray(v, float).ravel()
    return np.stack([u**p * v**q for p, q in terms], axis=1)
