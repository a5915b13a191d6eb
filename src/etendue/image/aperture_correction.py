"""The factor from an aperture flux to the total flux of a point source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.geom.polynomial import Polynomial2D


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
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        if self.spatial is None:
            return np.full(x.shape, self.value)
        factor = self.spatial((x - self.center[0]) / self.half_size, (y - self.center[1]) / self.half_size)
        return self.value * factor

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict.

        Returns
        -------
        dict
        """
        return {
            "value": float(self.value),
            "err": float(self.err),
            "spatial": None if self.spatial is None else self.spatial.coefficients.tolist(),
            "center": list(self.center),
            "half_size": self.half_size,
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
        spatial = state.get("spatial")
        return cls(
            value=state["value"],
            err=state["err"],
            spatial=None if spatial is None else Polynomial2D(np.array(spatial)),
            center=tuple(state.get("center", (0.0, 0.0))),
            half_size=state.get("half_size", 1.0),
        )
