"""Charge-transfer inefficiency: charge left behind in the columns and in the serial register."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.kernels.charge_transfer import defer_columns, defer_rows
from etendue.simulate.ccd.effect import EffectSpec


class TransferSpec(EffectSpec):
    """Losses in one direction of transfer: in proportion to the charge, and to a trap of fixed size."""

    inefficiency: float = Field(1e-6, ge=0.0, lt=1e-2)
    """Fraction of a pixel's charge that is left behind in each transfer."""

    scatter: float = Field(0.2, ge=0.0, le=1.0)
    """Relative standard deviation of the inefficiency between amplifiers."""

    release_px: float = Field(0.7, gt=0.0)
    """Transfers after which all but 1/e of the charge left behind has been given back [px]."""

    trap_electrons: float = Field(0.0, ge=0.0)
    """Charge that a trap at the end of the way can hold [e]."""

    trap_fill: float = Field(0.1, gt=0.0, le=1.0)
    """Share of a pixel's charge that the trap takes, up to what it can hold."""

    trap_release_px: float = Field(3.0, gt=0.0)
    """As `release_px`, of the trap [px]."""


def transfer(
    segment: NDArray[np.float32],
    *,
    parallel: tuple[TransferSpec, float] | None,
    serial: tuple[TransferSpec, float] | None,
) -> None:
    """Read out a segment: rows into the serial register, then its columns.

    Parameters
    ----------
    segment : ndarray, float32, shape (my, mx)
        Pixels in read order, with overscan; changed in place [e].
    parallel, serial : tuple of TransferSpec and float, or None
        Specification and the amplifier's own inefficiency; None transfers perfectly.
    """
    for choice, kernel in ((parallel, defer_rows), (serial, defer_columns)):
        if choice is not None:
            spec, inefficiency = choice
            release, trap_release = (1.0 - np.exp(-1.0 / px) for px in (spec.release_px, spec.trap_release_px))
            kernel(segment, inefficiency, release, spec.trap_electrons, spec.trap_fill, trap_release)
