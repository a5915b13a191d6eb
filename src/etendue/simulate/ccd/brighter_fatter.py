"""Brighter-fatter effect: collected charge pulls the boundaries of pixels towards itself."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.kernels.charge_collection import collect
from etendue.simulate.ccd.effect import EffectSpec, Vector
from etendue.simulate.ccd.streams import Streams

_ALONG = (np.arange(10) - 4.5) / 10.0  # places along a boundary [px]


class BrighterFatterSpec(EffectSpec):
    """Linear shifts of pixel boundaries (Antilogus et al. 2014; Guyonnet et al. 2015).

    The boundary at ``u`` pixels across and ``w`` along it from a charge ``q`` shifts towards the charge by
    ``q * shift * g(u, w) / g(1/2, 0)``, where ``g`` is ``u / (u**2 + w**2 + softening**2)**falloff`` averaged over the
    boundary's length: about the field of a charge over conducting gates. The defaults are a fit of this law to the
    boundaries that the Poisson solver of Lage, Bradshaw and Tyson (2017, JINST 12, C03091) gives for an ITL sensor of
    LSST at 50 V back bias, as GalSim tabulates them. For an e2v sensor the fit is 4.08e-7, 6.60e-7, 0.42, 0.22, 1.60.
    """

    serial_shift: float = Field(2.11e-7, ge=0.0, le=1e-5)
    """Shift of the boundary between a charge and its neighbour in the row, for each electron [px/e]."""

    parallel_shift: float = Field(3.13e-7, ge=0.0, le=1e-5)
    """The same for the neighbour in the column [px/e]."""

    serial_softening: float = Field(0.30, ge=0.0)
    """Softening of the boundaries between columns [px]."""

    parallel_softening: float = Field(0.0, ge=0.0)
    """Softening of the boundaries between rows [px]."""

    falloff: float = Field(1.586, ge=0.5)
    """Power of the squared distance; 1.5 is a free charge."""

    reach: int = Field(4, ge=1, le=12)
    """Boundaries farther than this do not shift [px]."""

    steps: int = Field(4, ge=2, le=64)
    """Steps in which the exposure is made."""

    def stencils(self) -> tuple[Vector, Vector]:
        """Return the shifts of the boundaries around a charge.

        Returns
        -------
        serial : ndarray, float64, shape (reach, reach)
            Of right boundaries, ``[dy, k]``, ``k + 1/2`` columns away [px/e].
        parallel : ndarray, float64, shape (reach, reach)
            Of upper boundaries, ``[k, dx]`` [px/e].
        """
        along, across = np.mgrid[: self.reach, : self.reach]
        serial = self.serial_shift * _law(across + 0.5, along, self.serial_softening, self.falloff)
        parallel = self.parallel_shift * _law(across + 0.5, along, self.parallel_softening, self.falloff)
        return np.ascontiguousarray(serial), np.ascontiguousarray(parallel.T)

    def area_coefficients(self) -> Vector:
        """Return the ``a_ij``: relative change of a pixel's area for each electron of a charge.

        Returns
        -------
        ndarray, float64, shape (2 reach + 1, 2 reach + 1)
            ``[dy, dx]``, the charge's own pixel in the middle [1/e]; sums to 0.
        """
        n = self.reach
        serial, parallel = self.stencils()
        area = np.zeros((2 * n + 1, 2 * n + 1))
        for dy in range(1 - n, n):
            for k in range(n):  # the boundaries k + 1/2 to the right and to the left, then above and below
                s, p = serial[abs(dy), k], parallel[k, abs(dy)]
                area[n + dy, n + k] -= s
                area[n + dy, n + k + 1] += s
                area[n + dy, n - k] -= s
                area[n + dy, n - k - 1] += s
                area[n + k, n + dy] -= p
                area[n + k + 1, n + dy] += p
                area[n - k, n + dy] -= p
                area[n - k - 1, n + dy] += p
        return area


def _law(u: NDArray, w: NDArray, softening: float, falloff: float) -> Vector:
    """Return the shift at a distance over that of the charge's own boundary."""

    def field(across: NDArray | float, along: NDArray) -> NDArray:
        return np.mean(across / (across**2 + along**2 + softening**2) ** falloff, axis=-1)

    return np.asarray(field(u[..., None], w[..., None] + _ALONG) / field(0.5, _ALONG))


def collect_in_steps(
    light: NDArray[np.float32], spec: BrighterFatterSpec, most: float, *, noisy: bool, streams: Streams
) -> NDArray[np.float32]:
    """Expose with boundaries that follow the charge.

    Parameters
    ----------
    light : ndarray, float32, shape (ny, nx)
        Expected electrons of the exposure [e].
    spec : BrighterFatterSpec
        Shifts and steps.
    most : float
        Charge above which a pixel does not act more: its full well [e].
    noisy : bool
        Whether there is shot noise.
    streams : Streams
        The exposure's.

    Returns
    -------
    ndarray, float32, shape (ny, nx)
        Charge [e].
    """
    collected = np.zeros_like(light)
    states = streams.words("shot noise", spec.steps * light.shape[0])
    collect(light, collected, *spec.stencils(), spec.steps, most, noisy, states)
    return collected
