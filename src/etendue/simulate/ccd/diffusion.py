"""Diffusion: charge spreads on its way through the silicon."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.kernels.charge_collection import diffuse
from etendue.simulate.ccd.effect import EffectSpec


class DiffusionSpec(EffectSpec):
    """Diffusion of the charge of light; the same everywhere and at all wavelengths."""

    sigma_px: float = Field(0.4, gt=0.0, le=1.0)
    """Standard deviation along each axis [px]."""


def spread(light: NDArray[np.float32], spec: DiffusionSpec) -> None:
    """Convolve light with five samples per axis that have a Gaussian's variance, and from 0.58 px its fourth moment.

    Parameters
    ----------
    light : ndarray, float32, shape (ny, nx)
        Changed in place [e].
    spec : DiffusionSpec
        Width.
    """
    variance = spec.sigma_px**2
    far = max(0.0, (3.0 * variance**2 - variance) / 24.0)  # narrower ones would need negative weights
    diffuse(light, 0.5 * variance - 4.0 * far, far)
