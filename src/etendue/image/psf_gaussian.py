"""PSF as a sum of concentric elliptical Gaussians, the same everywhere."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.geom.content import content_digest
from etendue.image.psf_pixel_basis import Stamps, stamp_moments

SIGMA_TO_FWHM = float(np.sqrt(8.0 * np.log(2.0)))


class GaussianMixturePsf:
    """Sum of concentric Gaussians sampled at pixel centres, each stamp of unit sum.

    Parameters
    ----------
    amplitudes : array, shape (n,)
        Flux of each Gaussian; normalised to unit sum.
    ixx, iyy, ixy : array, shape (n,)
        Covariances, pixel response included [px**2].
    size : int
        Stamp side [px], odd.

    Raises
    ------
    InputError
        If the size is even, the shapes differ or a covariance is not positive.
    """

    def __init__(self, amplitudes: ArrayLike, ixx: ArrayLike, iyy: ArrayLike, ixy: ArrayLike, size: int = 31):
        parts = [np.atleast_1d(np.asarray(a, np.float64)) for a in (amplitudes, ixx, iyy, ixy)]
        if len({a.shape for a in parts}) != 1:
            raise InputError("Gaussian parameters differ in shape", value=[a.shape for a in parts])
        if size % 2 == 0:
            raise InputError("PSF stamps need an odd side", value=size)
        if not (parts[1] * parts[2] - parts[3] ** 2 > 0).all() or not parts[0].sum() > 0:
            raise InputError("Gaussian mixture is not positive", value=[a.tolist() for a in parts])
        self.amplitudes, self.ixx, self.iyy, self.ixy = parts[0] / parts[0].sum(), *parts[1:]
        for array in (self.amplitudes, self.ixx, self.iyy, self.ixy):
            array.setflags(write=False)
        self._size = size

    @classmethod
    def circular(cls, sigma: float, size: int = 31) -> Self:
        """Return one round Gaussian of width ``sigma`` [px]."""
        return cls([1.0], [sigma**2], [sigma**2], [0.0], size)

    @property
    def size(self) -> int:
        """Side of a stamp [px], odd."""
        return self._size

    def stamp(self, *, x: float, y: float) -> NDArray[np.float64]:
        """Return the PSF at a position, unit sum, centred on the middle pixel, shape (size, size)."""
        return self.draw(x=np.rint(x), y=np.rint(y)).value[0]

    def draw(self, *, x: ArrayLike, y: ArrayLike) -> Stamps:
        """Return stamps at the sub-pixel phase of each position and the parent pixel of their first sample."""
        x, y = np.atleast_1d(np.asarray(x, np.float64)), np.atleast_1d(np.asarray(y, np.float64))
        half = self._size // 2
        x0, y0 = np.rint(x).astype(np.int64) - half, np.rint(y).astype(np.int64) - half
        dx = (x0 - x)[:, None, None] + np.arange(self._size)
        dy = (y0 - y)[:, None, None] + np.arange(self._size)[:, None]
        value = sum(self._gaussian(i, dx, dy) for i in range(self.amplitudes.size))
        return Stamps(value / np.sum(value, axis=(1, 2), keepdims=True), x0, y0)

    def _gaussian(self, i: int, dx: NDArray[np.float64], dy: NDArray[np.float64]) -> NDArray[np.float64]:
        det = self.ixx[i] * self.iyy[i] - self.ixy[i] ** 2
        rho2 = (self.iyy[i] * dx**2 - 2.0 * self.ixy[i] * dx * dy + self.ixx[i] * dy**2) / det
        return self.amplitudes[i] / (2.0 * np.pi * np.sqrt(det)) * np.exp(-0.5 * rho2)

    def moments(self, *, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], ...]:
        """Return the adaptive moments ixx, iyy, ixy [px**2], each shape (n,)."""
        measured = stamp_moments(self.stamp(x=0.0, y=0.0)[np.newaxis])
        return tuple(np.full(np.size(x), moment[0]) for moment in measured)

    def effective_area(self, *, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return ``1 / sum(p**2)`` of the centred stamps [px], shape (n,)."""
        return np.full(np.size(x), 1.0 / np.sum(self.stamp(x=0.0, y=0.0) ** 2))

    def fwhm(self, *, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return the full width at half maximum of the matched Gaussian [px], shape (n,)."""
        ixx, iyy, _ = self.moments(x=x, y=y)
        return SIGMA_TO_FWHM * np.sqrt(0.5 * (ixx + iyy))

    def to_parts(self) -> tuple[str, dict[str, Any], dict[str, NDArray[np.float64]]]:
        """Return kind, JSON-able parameters and arrays: all that is needed to rebuild the model."""
        arrays = {"amplitudes": self.amplitudes, "ixx": self.ixx, "iyy": self.iyy, "ixy": self.ixy}
        return "gaussian_mixture", {"size": self._size}, arrays

    @classmethod
    def from_parts(cls, parameters: Mapping[str, Any], arrays: Mapping[str, ArrayLike]) -> Self:
        """Rebuild the model from what `to_parts` returned."""
        psf = cls(arrays["amplitudes"], arrays["ixx"], arrays["iyy"], arrays["ixy"], int(parameters["size"]))
        psf.amplitudes = np.array(arrays["amplitudes"], np.float64)  # exactly as stored: renormalising would not be
        return psf

    def content_hash(self) -> str:
        """Return the hash of the model."""
        kind, parameters, arrays = self.to_parts()
        return content_digest([kind, parameters, *arrays.values()])
