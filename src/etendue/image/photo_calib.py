"""The scale from image units to nanojansky."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.geom.polynomial import Polynomial2D
from etendue.image.smooth_factor import smooth_factor, smooth_factor_from_dict, smooth_factor_to_dict

NJY_ZERO_POINT_MAG = 31.4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhotoCalib:
    """A flux scale, constant or smooth over the detector.

    Parameters
    ----------
    scale : float
        nJy per image unit.
    scale_err : float
        1-sigma error of ``scale``, common to all sources [nJy per image unit].
    kind : {"absolute", "relative"}
        Whether ``scale`` is tied to AB magnitudes or only to the other images of the survey.
    spatial : Polynomial2D, optional
        Factor on ``scale``, as a polynomial in ``(x - center_x) / half_size`` and the same for y.
    center : (float, float)
        Pixel ``(x, y)`` where the polynomial's arguments are 0.
    half_size : float
        Pixels per unit of the polynomial's arguments.

    Raises
    ------
    InputError
        If ``scale`` is not positive and finite, or ``kind`` is unknown.
    """

    scale: float
    scale_err: float = 0.0
    kind: Literal["absolute", "relative"] = "relative"
    spatial: Polynomial2D | None = None
    center: tuple[float, float] = (0.0, 0.0)
    half_size: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", float(self.scale))
        object.__setattr__(self, "scale_err", float(self.scale_err))
        if not (math.isfinite(self.scale) and self.scale > 0.0):
            raise InputError("flux scale must be positive and finite [nJy per image unit]", value=self.scale)
        if self.kind not in ("absolute", "relative"):
            raise InputError("flux scale is either absolute or relative", value=self.kind)

    @classmethod
    def from_zero_point(
        cls, zero_point_mag: float, zero_point_err_mag: float = 0.0, *, kind: Literal["absolute", "relative"]
    ) -> "PhotoCalib":
        """Return the constant scale of a zero point.

        Parameters
        ----------
        zero_point_mag : float
            AB magnitude of one image unit [mag].
        zero_point_err_mag : float
            Its 1-sigma error [mag].
        kind : {"absolute", "relative"}
            See the class.

        Returns
        -------
        PhotoCalib
        """
        scale = 10.0 ** (0.4 * (NJY_ZERO_POINT_MAG - zero_point_mag))
        return cls(scale=scale, scale_err=scale * zero_point_err_mag * 0.4 * math.log(10.0), kind=kind)

    @property
    def zero_point_mag(self) -> float:
        """AB magnitude of one image unit at the reference scale [mag]."""
        return NJY_ZERO_POINT_MAG - 2.5 * math.log10(self.scale)

    @property
    def zero_point_err_mag(self) -> float:
        """1-sigma error of `zero_point_mag` [mag]."""
        return 2.5 / math.log(10.0) * self.scale_err / self.scale

    def scale_at(self, *, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return the scale at pixels.

        Parameters
        ----------
        x, y : array_like
            Pixels, parent coordinates.

        Returns
        -------
        ndarray, float64
            nJy per image unit, in the broadcast shape of ``x`` and ``y``.
        """
        return self.scale * smooth_factor(self.spatial, center=self.center, half_size=self.half_size, x=x, y=y)

    def to_njy(
        self,
        flux: ArrayLike,
        flux_err: ArrayLike,
        *,
        x: ArrayLike | None = None,
        y: ArrayLike | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Convert fluxes and errors.

        Parameters
        ----------
        flux, flux_err : array_like, shape (n,)
            Image units.
        x, y : array_like, shape (n,), optional
            Pixels; needed where the scale varies.

        Returns
        -------
        flux_njy, flux_err_njy : ndarray, float64, shape (n,)
            nJy; the common error ``scale_err`` is not included.

        Raises
        ------
        InputError
            If the scale varies and no pixels are given.
        """
        if self.spatial is not None and (x is None or y is None):
            raise InputError("this flux scale varies over the detector", remedy="pass x= and y=")
        scale = self.scale if x is None or y is None else self.scale_at(x=x, y=y)
        return np.asarray(flux, float) * scale, np.asarray(flux_err, float) * scale

    def times(self, correction: "PhotoCalib") -> "PhotoCalib":
        """Return this scale with a correction on top: nJy per image unit of the product.

        Parameters
        ----------
        correction : PhotoCalib
            Scale from this one's nJy to better ones; it decides whether the product is absolute, unless it is
            relative and this one absolute.

        Returns
        -------
        PhotoCalib

        Raises
        ------
        InputError
            If both vary over the detector.
        """
        if self.spatial is not None and correction.spatial is not None:
            raise InputError("two flux scales that both vary over the detector cannot be combined")
        varying = self if self.spatial is not None else correction
        relative_err = math.hypot(self.scale_err / self.scale, correction.scale_err / correction.scale)
        scale = self.scale * correction.scale
        if correction.kind == "absolute":  # it replaces the scale that this one had
            relative_err = correction.scale_err / correction.scale
        return PhotoCalib(
            scale=scale,
            scale_err=scale * relative_err,
            kind="absolute" if "absolute" in (self.kind, correction.kind) else "relative",
            spatial=varying.spatial,
            center=varying.center,
            half_size=varying.half_size,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict.

        Returns
        -------
        dict
        """
        return {
            "scale": self.scale,
            "scale_err": self.scale_err,
            "kind": self.kind,
            **smooth_factor_to_dict(self.spatial, center=self.center, half_size=self.half_size),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "PhotoCalib":
        """Return the scale written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        PhotoCalib
        """
        return cls(
            scale=state["scale"],
            scale_err=state["scale_err"],
            kind=state["kind"],
            **smooth_factor_from_dict(state),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PhotoCalib) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.scale, self.scale_err, self.kind))


def njy_to_mag(flux_njy: ArrayLike) -> NDArray[np.float64]:
    """Return AB magnitudes, ``31.4 - 2.5 log10(nJy)``.

    Parameters
    ----------
    flux_njy : array_like
        Fluxes [nJy].

    Returns
    -------
    ndarray, float64
        Magnitudes; NaN for fluxes that are not positive.
    """
    flux = np.asarray(flux_njy, float)
    return NJY_ZERO_POINT_MAG - 2.5 * np.log10(np.where(flux > 0.0, flux, np.nan))


def mag_to_njy(mag: ArrayLike) -> NDArray[np.float64]:
    """Return fluxes of AB magnitudes.

    Parameters
    ----------
    mag : array_like
        AB magnitudes.

    Returns
    -------
    ndarray, float64
        Fluxes [nJy].
    """
    return np.asarray(10.0 ** (0.4 * (NJY_ZERO_POINT_MAG - np.asarray(mag, float))))
