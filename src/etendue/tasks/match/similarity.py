"""Shift, rotation, scale and reflection of a plane."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Similarity:
    """The map ``x' = a x - b s y + dx``, ``y' = b x + a s y + dy`` with ``s = -1`` for a reflection.

    Parameters
    ----------
    a, b : float
        Scale times cosine and sine of the rotation.
    dx, dy : float
        Shift, in units of the plane.
    mirrored : bool
        Whether ``y`` changes its sign first.
    """

    a: float = 1.0
    b: float = 0.0
    dx: float = 0.0
    dy: float = 0.0
    mirrored: bool = False

    @property
    def scale(self) -> float:
        """Ratio of lengths after and before."""
        return float(np.hypot(self.a, self.b))

    @property
    def rotation_deg(self) -> float:
        """Rotation from x towards y, -180 to 180 [deg]."""
        return float(np.degrees(np.arctan2(self.b, self.a)))

    def apply(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move points.

        Parameters
        ----------
        points : ndarray, float64, shape (n, 2)
            Points before.

        Returns
        -------
        ndarray, float64, shape (n, 2)
            Points after.
        """
        x, y = points[:, 0], -points[:, 1] if self.mirrored else points[:, 1]
        return np.stack([self.a * x - self.b * y + self.dx, self.b * x + self.a * y + self.dy], axis=1)

    @classmethod
    def fit(cls, before: NDArray[np.float64], after: NDArray[np.float64], *, mirrored: bool = False) -> "Similarity":
        """Return the least-squares map between matched points (Umeyama 1991, in two dimensions).

        Parameters
        ----------
        before, after : ndarray, float64, shape (n, 2)
            Matched points, at least two different ones.
        mirrored : bool
            Whether the map contains a reflection.

        Returns
        -------
        Similarity
        """
        flip = -1.0 if mirrored else 1.0
        p = before[:, 0] + 1j * flip * before[:, 1]
        q = after[:, 0] + 1j * after[:, 1]
        turn = np.vdot(p - p.mean(), q - q.mean()) / np.vdot(p - p.mean(), p - p.mean()).real
        shift = q.mean() - turn * p.mean()
        return cls(float(turn.real), float(turn.imag), float(shift.real), float(shift.imag), mirrored)
