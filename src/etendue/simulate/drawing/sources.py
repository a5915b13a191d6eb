"""Lights on a detector: positions, electrons, trails and shapes in pixels."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.simulate.population.shapes import Shapes

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What is to be drawn, in parallel columns; shapes are ragged sums of Sersic profiles.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Positions at mid-exposure, trimmed pixels; they may lie off the detector [px].
    electrons : ndarray, float64, shape (n,)
        Electrons of the exposure, not negative.
    wavelength_nm : ndarray, float64, shape (n,)
        Effective wavelengths [nm].
    trail_dx, trail_dy : ndarray, float64, shape (n,)
        From the beginning of the exposure to its end; the light is spread evenly over this line [px].
    first : ndarray, int64, shape (n + 1,)
        Parts of source ``i`` are the rows ``first[i]`` to ``first[i + 1]``; a point has none.
    parts : ndarray, float64, shape (m, 6)
        Flux fraction, offset x and y [px], and xx, yy, xy of the ellipse matrix S [px**2]: half of the light is inside
        ``r S**-1 r = 1``.
    sersic : ndarray, float64, shape (m,)
        Indices of the parts, 0.5 to 6.

    Raises
    ------
    InputError
        A value is not finite, electrons are negative, or an index is outside 0.5 to 6.
    """

    x: Vector
    y: Vector
    electrons: Vector
    wavelength_nm: Vector
    trail_dx: Vector
    trail_dy: Vector
    first: NDArray[np.int64]
    parts: Vector
    sersic: Vector

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        sizes = {name: getattr(self, name).size for name in _columns()}
        if len(set(sizes.values())) > 1 or self.first.size != self.x.size + 1:
            raise ValueError(f"columns of different lengths: {sizes | {'first': self.first.size}}")
        for name in (*_columns(), "parts", "sersic"):
            _refuse(getattr(self, name), ~np.isfinite(getattr(self, name)), f"{name} must be finite")
        _refuse(self.electrons, self.electrons < 0.0, "electrons must not be negative")
        _refuse(self.wavelength_nm, self.wavelength_nm <= 0.0, "wavelength_nm must be positive")
        _refuse(self.sersic, (self.sersic < 0.5) | (self.sersic > 6.0), "Sersic index must be 0.5 to 6")

    def __len__(self) -> int:
        return int(self.x.size)

    @property
    def extended(self) -> NDArray[np.bool_]:
        """True for sources that have a shape."""
        return np.diff(self.first) > 0

    def take(self, rows: NDArray[np.int64]) -> "Sources":
        """Return some sources with their parts.

        Parameters
        ----------
        rows : ndarray, int64, shape (k,)
            Row numbers.

        Returns
        -------
        Sources
        """
        counts = np.diff(self.first)[rows]
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        part = np.arange(first[-1]) + np.repeat(self.first[rows] - first[:-1], counts)
        columns = {name: getattr(self, name)[rows] for name in _columns()}
        return Sources(**columns, first=first, parts=self.parts[part], sersic=self.sersic[part])

    @classmethod
    def points(
        cls,
        *,
        x: ArrayLike,
        y: ArrayLike,
        electrons: ArrayLike,
        wavelength_nm: ArrayLike,
        trail_dx: ArrayLike = 0.0,
        trail_dy: ArrayLike = 0.0,
    ) -> "Sources":
        """Return points.

        Parameters
        ----------
        x, y, electrons, wavelength_nm, trail_dx, trail_dy : array_like, broadcast to shape (n,)
            As in the class.

        Returns
        -------
        Sources
        """
        x, y, electrons, wavelength_nm, dx, dy = _broadcast(x, y, electrons, wavelength_nm, trail_dx, trail_dy)
        first = np.zeros(x.size + 1, np.int64)
        return cls(x, y, electrons, wavelength_nm, dx, dy, first, np.zeros((0, 6)), np.zeros(0))

    @classmethod
    def of_shapes(
        cls,
        *,
        x: ArrayLike,
        y: ArrayLike,
        electrons: ArrayLike,
        wavelength_nm: ArrayLike,
        shape: ArrayLike,
        shapes: Shapes,
        jacobian: NDArray[np.float64],
        trail_dx: ArrayLike = 0.0,
        trail_dy: ArrayLike = 0.0,
    ) -> "Sources":
        """Return lights with their shapes transformed to pixel axes.

        Parameters
        ----------
        x, y, electrons, wavelength_nm, trail_dx, trail_dy : array_like, broadcast to shape (n,)
            As in the class.
        shape : array_like, int64, shape (n,)
            Row of ``shapes``; -1 for a point.
        shapes : Shapes
            Shapes on the sky.
        jacobian : ndarray, float64, shape (2, 2) or (n, 2, 2)
            d(east, north)/d(x, y) [arcsec/px], as `SkyWcs.jacobian` gives it.

        Returns
        -------
        Sources
        """
        x, y, electrons, wavelength_nm, dx, dy, row = _broadcast(
            x, y, electrons, wavelength_nm, trail_dx, trail_dy, shape
        )
        row = row.astype(np.int64)
        counts = np.where(row < 0, 0, np.diff(shapes.first, append=0)[row])
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        owner = np.repeat(np.arange(row.size), counts)
        part = shapes.first[row[owner]] + np.arange(owner.size) - first[owner]
        to_pixels = np.broadcast_to(np.linalg.inv(jacobian), (row.size, 2, 2))[owner]
        parts = _pixel_parts(shapes, part, to_pixels)
        return cls(x, y, electrons, wavelength_nm, dx, dy, first, parts, shapes.sersic[part])


def _pixel_parts(shapes: Shapes, part: NDArray[np.int64], to_pixels: Vector) -> Vector:
    """Return rows of `Sources.parts`; axes of the sky are (east, north)."""
    e1, e2 = shapes.e1[part], shapes.e2[part]
    _refuse(np.hypot(e1, e2), ~(np.hypot(e1, e2) < 1.0), "ellipticity must be below 1")
    scale = shapes.half_light[part] ** 2 / np.sqrt(1.0 - e1**2 - e2**2)
    ellipse = scale[:, None, None] * np.stack([np.stack([1.0 - e1, e2], 1), np.stack([e2, 1.0 + e1], 1)], 1)
    offset = np.stack([shapes.east[part], shapes.north[part]], 1)
    shift = np.einsum("nij,nj->ni", to_pixels, offset)
    turned = to_pixels @ ellipse @ to_pixels.transpose(0, 2, 1)
    return np.stack([shapes.flux[part], *shift.T, turned[:, 0, 0], turned[:, 1, 1], turned[:, 0, 1]], 1)


def _broadcast(*columns: ArrayLike) -> tuple[Vector, ...]:
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(column, np.float64)) for column in columns))
    return tuple(np.ascontiguousarray(array) for array in arrays)


def _refuse(values: Vector, wrong: NDArray[np.bool_], message: str) -> None:
    if np.any(wrong):
        raise InputError(f"{message} in {int(np.sum(wrong))} of {wrong.size}", source="sources", value=values[wrong][0])


def _columns() -> list[str]:
    return [field.name for field in fields(Sources) if field.name not in ("first", "parts", "sersic")]
