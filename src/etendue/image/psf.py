"""The point-spread function of an image: what every model offers, and how models are stored."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.image.psf_gaussian import GaussianMixturePsf
from etendue.image.psf_pixel_basis import PixelBasisPsf, Stamps

__all__ = ["GaussianMixturePsf", "PixelBasisPsf", "Psf", "Stamps", "oversampled", "pixel_basis_of", "psf_from_parts"]

PsfParts = tuple[str, dict[str, Any], dict[str, NDArray[np.float64]]]


@runtime_checkable
class Psf(Protocol):
    """A point-spread function, pixel response included, in the parent pixel coordinates of its image."""

    @property
    def size(self) -> int:
        """Side of a stamp [px], odd."""

    def stamp(self, *, x: float, y: float) -> NDArray[np.float64]:
        """Return the PSF at a position, unit sum, centred on the middle pixel, shape (size, size)."""

    def draw(self, *, x: ArrayLike, y: ArrayLike) -> Stamps:
        """Return stamps at the sub-pixel phase of each position and the parent pixel of their first sample."""

    def moments(self, *, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], ...]:
        """Return the adaptive moments ixx, iyy, ixy [px**2], each shape (n,)."""

    def effective_area(self, *, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return ``1 / sum(p**2)`` of the centred stamps [px], shape (n,)."""

    def fwhm(self, *, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return the full width at half maximum of the matched Gaussian [px], shape (n,)."""

    def to_parts(self) -> PsfParts:
        """Return kind, JSON-able parameters and arrays: all that is needed to rebuild the model."""

    def content_hash(self) -> str:
        """Return the hash of the model."""


def psf_from_parts(kind: str, parameters: Mapping[str, Any], arrays: Mapping[str, ArrayLike]) -> Psf:
    """Rebuild a PSF from what `Psf.to_parts` returned.

    Parameters
    ----------
    kind : str
        "gaussian_mixture" or "pixel_basis".
    parameters : mapping
        JSON-able parameters.
    arrays : mapping of str to array
        Arrays of the model.

    Returns
    -------
    Psf
        The model.

    Raises
    ------
    InputError
        If the kind is unknown.
    """
    if kind == "gaussian_mixture":
        return GaussianMixturePsf.from_parts(parameters, arrays)
    if kind == "pixel_basis":
        return PixelBasisPsf.from_parts(parameters, arrays)
    raise InputError("Unknown PSF model", value=kind, remedy="read the file with the version of etendue that wrote it")


def pixel_basis_of(psf: Psf, *, x: ArrayLike, y: ArrayLike, order: int = 0, oversampling: int = 3) -> PixelBasisPsf:
    """Represent any PSF as a pixel basis, by drawing it at sub-pixel phases.

    Parameters
    ----------
    psf : Psf
        Any model; a `PixelBasisPsf` is returned as it is.
    x, y : array, shape (n,)
        Where to sample it; at least as many positions as spatial terms.
    order : int
        Total degree of the spatial polynomial.
    oversampling : int
        Grid samples per pixel, odd.

    Returns
    -------
    PixelBasisPsf
        Exact at the sampled phases for order 0; a least-squares fit in space otherwise.
    """
    if isinstance(psf, PixelBasisPsf):
        return psf
    x, y = np.atleast_1d(np.asarray(x, np.float64)), np.atleast_1d(np.asarray(y, np.float64))
    grids = np.stack(
        [oversampled(psf, x=xi, y=yi, samples=oversampling) for xi, yi in zip(np.rint(x), np.rint(y), strict=True)]
    )
    return PixelBasisPsf.from_samples(grids, step=1.0 / oversampling, x=x, y=y, order=order, size=psf.size)


def oversampled(psf: Psf, *, x: float, y: float, samples: int) -> NDArray[np.float64]:
    """Return a PSF finer than the pixels, by interleaving stamps of sub-pixel phases.

    Parameters
    ----------
    psf : Psf
        Any model.
    x, y : float
        Where, a whole pixel of the parent.
    samples : int
        Samples per pixel, odd.

    Returns
    -------
    ndarray, float64, shape (size * samples, size * samples)
        Centred on the middle sample, the pixel's response included; its sum is ``samples**2``. Offsets from the source
        rise along both axes.
    """
    phase = (np.arange(samples) - samples // 2) / samples
    phase_y, phase_x = (axis.ravel() for axis in np.meshgrid(phase, phase, indexing="ij"))
    stamps = psf.draw(x=x - phase_x, y=y - phase_y).value
    size = psf.size
    fine = stamps.reshape(samples, samples, size, size).transpose(2, 0, 3, 1)
    return fine.reshape(size * samples, size * samples)
