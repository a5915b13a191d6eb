"""The factor from an aperture flux to the total flux of a point source."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.geom.polynomial import Polynomial2D
from etendue.image.smooth_factor import smooth_factor, smooth_factor_from_dict, smooth_factor_to_dict


def aperture_name(radius: float) -> str:
    """Return the column of a radius [px]: ``ap03Flux``, and ``ap04p5Flux`` for 4.5.

    Parameters
    ----------
    radius : float
        Of the circle [px].

    Returns
    -------
    str
    """
    return f"ap{radius:05.2f}".rstrip("0").rstrip(".").replace(".", "p") + "Flux"


def corrections_from_states(
    states: "Iterable[tuple[str | float, Mapping[str, Any]]]",
) -> "dict[str, ApertureCorrection]":
    """Return corrections by the flux they are of; files of before 2026-11-22 had them by aperture radius.

    Parameters
    ----------
    states : iterable of (str or float, mapping)
        Flux or radius [px], and what `ApertureCorrection.to_dict` returned.

    Returns
    -------
    dict of str to ApertureCorrection
    """
    return {
        name if isinstance(name, str) else aperture_name(float(name)): ApertureCorrection.from_dict(state)
        for name, state in states
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ApertureCorrection:
    """A correction factor, constant or smooth over the detector.

    Parameters
    ----------
    value : float
        Total flux over aperture flux at ``center``.
    err : float
        1-sigma error of ``value``, common to all sources.
    spatial : Polynomial2D, optional
        Factor on ``value``, in ``(x - center_x) / half_size`` and the same for y.
    center : (float, float)
        Pixel ``(x, y)`` where the polynomial's arguments are 0.
    half_size : float
        Pixels per unit of the polynomial's arguments.
    """

    value: float
    err: float = 0.0
    spatial: Polynomial2D | None = None
    center: tuple[float, float] = (0.0, 0.0)
    half_size: float = 1.0

    def at(self, *, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return the factor at pixels.

        Parameters
        ----------
        x, y : array_like
            Pixels, parent coordinates.

        Returns
        -------
        ndarray, float64
            In the broadcast shape of ``x`` and ``y``.
        """
        return self.value * smooth_factor(self.spatial, center=self.center, half_size=self.half_size, x=x, y=y)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict.

        Returns
        -------
        dict
        """
        return {
            "value": float(self.value),
            "err": float(self.err),
            **smooth_factor_to_dict(self.spatial, center=self.center, half_size=self.half_size),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "ApertureCorrection":
        """Return the correction written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        ApertureCorrection
        """
        return cls(
            value=state["value"],
            err=state["err"],
            **smooth_factor_from_dict(state),
        )
