"""How charge moves the boundaries of pixels: a scalar kernel, or the boundaries themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError

Vector = NDArray[np.float64]
_LARGEST = 1e-3  # [px/e]


@dataclass(frozen=True, slots=True, eq=False)
class PixelBoundaries:
    """Shifts of the four boundaries of a pixel near a charge, even along both axes (Astier and Regnault 2023).

    Parameters
    ----------
    serial : ndarray, float64, shape (n, n)
        Shift of a boundary between columns towards a charge ``dy`` rows away and ``k + 1/2`` columns from the boundary,
        ``[dy, k]`` [px/e].
    parallel : ndarray, float64, shape (n, n)
        Shift of a boundary between rows towards a charge ``k + 1/2`` rows and ``dx`` columns away, ``[k, dx]`` [px/e].
    """

    serial: Vector
    parallel: Vector

    def __post_init__(self) -> None:
        for name in ("serial", "parallel"):
            values = np.ascontiguousarray(getattr(self, name), np.float64)
            object.__setattr__(self, name, values)
            if values.ndim != 2 or values.shape[0] != values.shape[1] or values.size == 0:
                raise InputError(f"{name} boundary shifts are not square", value=values.shape)
            if not (np.isfinite(values).all() and np.abs(values).max() < _LARGEST):
                raise InputError(f"{name} boundary shifts are not finite and below {_LARGEST} px/e")
        if self.serial.shape != self.parallel.shape:
            raise InputError(
                "serial and parallel shifts differ in size", value=(self.serial.shape, self.parallel.shape)
            )

    @property
    def reach(self) -> int:
        """Number of boundaries on each side that move."""
        return int(self.serial.shape[0])

    def area(self) -> Vector:
        """Return the relative changes of the areas of pixels around a charge.

        Returns
        -------
        ndarray, float64, shape (n + 1, n + 1)
            ``a``, ``[rows apart, columns apart]`` from 0 on [1/e]; over the whole plane its sum is 0.
        """
        n = self.reach
        grown = np.zeros((n + 1, n + 1))
        grown[:n, 1:] += self.serial  # its inner boundary comes nearer
        grown[:n, 1:n] -= self.serial[:, 1:]  # its outer boundary, too
        grown[:n, 0] -= 2.0 * self.serial[:, 0]
        grown[1:, :n] += self.parallel
        grown[1:n, :n] -= self.parallel[1:]
        grown[0, :n] -= 2.0 * self.parallel[0]
        return grown

    def boundaries(self) -> "PixelBoundaries":
        """Return itself.

        Returns
        -------
        PixelBoundaries
        """
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict.

        Returns
        -------
        dict
        """
        return {"kind": "boundaries", "serial": self.serial.tolist(), "parallel": self.parallel.tolist()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "PixelBoundaries":
        """Return the boundaries written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        PixelBoundaries
        """
        return cls(np.array(state["serial"]), np.array(state["parallel"]))


@dataclass(frozen=True, slots=True, eq=False)
class BrighterFatterKernel:
    """A potential whose differences are the shifts of boundaries (Coulton et al. 2018, AJ 155, 258).

    Parameters
    ----------
    kernel : ndarray, float64, shape (n + 1, n + 1)
        Values at offsets from 0 to n, ``[rows, columns]``, even along both axes; 0 beyond [1/e].
    """

    kernel: Vector

    def __post_init__(self) -> None:
        kernel = np.ascontiguousarray(self.kernel, np.float64)
        object.__setattr__(self, "kernel", kernel)
        if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or kernel.shape[0] < 2:
            raise InputError("brighter-fatter kernel is not square", value=kernel.shape)
        if not (np.isfinite(kernel).all() and np.abs(kernel).max() < _LARGEST):
            raise InputError(f"brighter-fatter kernel is not finite and below {_LARGEST}/e")

    def boundaries(self) -> PixelBoundaries:
        """Return the shifts of boundaries that the kernel means.

        Returns
        -------
        PixelBoundaries
        """
        padded = np.pad(self.kernel, ((0, 1), (0, 1)))
        along_x, along_y = np.diff(padded, axis=1), np.diff(padded, axis=0)
        return PixelBoundaries(-along_x[:-1], -along_y[:, :-1])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict.

        Returns
        -------
        dict
        """
        return {"kind": "kernel", "kernel": self.kernel.tolist()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "BrighterFatterKernel":
        """Return the kernel written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        BrighterFatterKernel
        """
        return cls(np.array(state["kernel"]))


def brighter_fatter_from_dict(state: Mapping[str, Any]) -> PixelBoundaries | BrighterFatterKernel:
    """Return what either kind's ``to_dict`` wrote.

    Parameters
    ----------
    state : mapping
        With a key ``kind``.

    Returns
    -------
    PixelBoundaries or BrighterFatterKernel

    Raises
    ------
    InputError
        If the kind is not known.
    """
    kinds: dict[str, type[PixelBoundaries] | type[BrighterFatterKernel]] = {
        "boundaries": PixelBoundaries, "kernel": BrighterFatterKernel,
    }  # fmt: skip
    kind = str(state.get("kind"))
    if kind not in kinds:
        raise InputError(
            "no such kind of brighter-fatter correction", value=kind, remedy=f"there are {', '.join(kinds)}"
        )
    return kinds[kind].from_dict(state)
