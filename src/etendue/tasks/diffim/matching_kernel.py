"""A kernel that varies over the image, and the background difference that belongs to it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.geom.box import Box
from etendue.kernels.diffim import chebyshev_terms, convolve


@dataclass(frozen=True, eq=False)
class MatchingKernel:
    """``K(x, y) = sum_na c_na phi_a(x, y) B_n`` with Chebyshev terms over a box.

    Parameters
    ----------
    basis : ndarray, float64, shape (b, k, k)
        Kernels, the first of unit sum, the others of sum zero.
    coefficients : ndarray, float64, shape (b, n_spatial)
        Spatial coefficients of each basis kernel.
    background : ndarray, float64, shape (n_background,)
        Chebyshev coefficients of target minus convolved source [image unit].
    bbox : Box
        Where the Chebyshev coordinates run from -1 to 1.
    spatial_order, background_order : int
        Total degrees.
    """

    basis: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    background: NDArray[np.float64]
    bbox: Box
    spatial_order: int
    background_order: int

    @property
    def half(self) -> int:
        """Half-size of the kernel [px]."""
        return self.basis.shape[-1] // 2

    def scaled(self, *, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
        """Return the coordinates of parent pixels on -1 .. 1."""
        return scaled_coordinates(self.bbox, x=x, y=y)

    def at(self, *, x: float, y: float) -> NDArray[np.float64]:
        """Return the kernel at a parent pixel, shape (k, k)."""
        u, v = self.scaled(x=np.array([x]), y=np.array([y]))
        terms = chebyshev_terms(u, v, self.spatial_order)[:, 0]
        return np.asarray(np.tensordot(self.coefficients @ terms, self.basis, 1))

    def flux_ratio(self, *, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the kernel sum at parent pixels: target flux over source flux, shape (n,)."""
        u, v = self.scaled(x=np.atleast_1d(x), y=np.atleast_1d(y))
        return np.asarray(self.coefficients[0] @ chebyshev_terms(u, v, self.spatial_order))

    def apply(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convolve an array on ``bbox`` with the kernel.

        One convolution per spatial term, for the kernel is linear in them.

        Parameters
        ----------
        array : ndarray, float32, shape (ny, nx)
            Without NaN; zero beyond the border.

        Returns
        -------
        ndarray, float32, shape (ny, nx)
        """
        kernels = np.einsum("na,nji->aji", self.coefficients, self.basis).astype(np.float32)
        array = np.ascontiguousarray(array)
        result = convolve(array, kernels[0])
        for (p, q), kernel in zip(_degrees(self.spatial_order)[1:], kernels[1:], strict=True):
            part = convolve(array, np.ascontiguousarray(kernel))
            along_y, along_x = self._chebyshev_axes(p, q)
            part *= along_y[:, None] * along_x[None, :]
            result += part
        return np.asarray(result)

    def background_image(self) -> NDArray[np.float32]:
        """Return the background difference on ``bbox``, shape (ny, nx) [image unit]."""
        total = np.zeros(self.bbox.shape, np.float32)
        for (p, q), coefficient in zip(_degrees(self.background_order), self.background, strict=True):
            along_y, along_x = self._chebyshev_axes(p, q)
            total += np.float32(coefficient) * along_y[:, None] * along_x[None, :]
        return total

    def _chebyshev_axes(self, p: int, q: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return ``T_q`` along y and ``T_p`` along x of the box."""
        ny, nx = self.bbox.shape
        x = self.bbox.x.start + np.arange(nx, dtype=np.float64)
        y = self.bbox.y.start + np.arange(ny, dtype=np.float64)
        u, _ = self.scaled(x=x, y=x)
        _, v = self.scaled(x=y, y=y)
        along_y = np.cos(q * np.arccos(np.clip(v, -1.0, 1.0))).astype(np.float32)
        return along_y, np.cos(p * np.arccos(np.clip(u, -1.0, 1.0))).astype(np.float32)


def scaled_coordinates(
    bbox: Box, *, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Map parent pixels of a box to -1 .. 1.

    Parameters
    ----------
    bbox : Box
        Its outermost pixel centres become -1 and 1.
    x, y : ndarray, float64, shape (...)
        Parent pixels.

    Returns
    -------
    u, v : ndarray, float64, shape (...)
    """
    u = 2.0 * (np.asarray(x, np.float64) - bbox.x.center) / max(bbox.x.size - 1, 1)
    v = 2.0 * (np.asarray(y, np.float64) - bbox.y.center) / max(bbox.y.size - 1, 1)
    return u, v


def _degrees(order: int) -> list[tuple[int, int]]:
    """Return the degrees (in x, in y) in the order of `chebyshev_terms`."""
    return [(degree - q, q) for degree in range(order + 1) for q in range(degree + 1)]
