"""PSF on a grid finer than the pixels, each sample a polynomial in position."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from etendue.errors import InputError
from etendue.geom.content import content_digest
from etendue.image.psf_field import MaternField
from etendue.kernels.moments import adaptive_moments
from etendue.kernels.psf import draw_pixel_basis, polynomial_terms

SIGMA_TO_FWHM = float(np.sqrt(8.0 * np.log(2.0)))


class Stamps(NamedTuple):
    """PSF stamps of n sources: ``value[i, j, k]`` belongs to parent pixel ``(y0[i] + j, x0[i] + k)``."""

    value: NDArray[np.float64]  # (n, size, size)
    x0: NDArray[np.int64]  # (n,)
    y0: NDArray[np.int64]  # (n,)


def stamp_moments(stamps: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return the adaptive moments ixx, iyy, ixy [px**2] of centred stamps of shape (n, k, k)."""
    centre = np.full(stamps.shape[0], float(stamps.shape[1] // 2))
    bad = np.zeros(stamps.shape, np.bool_)
    return adaptive_moments(np.ascontiguousarray(stamps), bad, centre, centre, 1.0, 200)[:3]


class PixelBasisPsf:
    """Cubic B-splines on a fine grid with polynomial coefficients in position (as PSFEx: Bertin 2011).

    It may depend on the colour of a source too, and on random fields of the position.

    Parameters
    ----------
    components : array, shape (n_terms, m, m)
        B-spline coefficients of the terms 1, u, v, u**2, u v, v**2, ... with ``u = (x - x_center) / x_scale``, then of
        the colour and of the fields, where there are such;
        the PSF has unit integral when ``step**2 components[0].sum() == 1`` and the other terms sum to zero.
    step : float
        Grid spacing [px].
    order : int
        Total degree of the polynomial.
    x_center, y_center, x_scale, y_scale : float
        Normalisation of positions [px].
    size : int
        Stamp side [px], odd.
    color : float, optional
        Colour [mag] of which, and of sources whose colour is unknown, the PSF is without its term of colour; without
        it there is no such term.
    field : MaternField, optional
        Fields that the last terms go with.

    Raises
    ------
    InputError
        If the number of components does not fit the order, or the size is even.
    """

    def __init__(
        self,
        components: ArrayLike,
        *,
        step: float,
        order: int,
        x_center: float,
        y_center: float,
        x_scale: float,
        y_scale: float,
        size: int,
        color: float | None = None,
        field: MaternField | None = None,
    ):
        self.components = np.array(components, np.float64, order="C")
        self.components.setflags(write=False)
        self.color, self.field = color, field
        n_terms = self.n_smooth_terms(order) + (color is not None) + (0 if field is None else len(field))
        if self.components.ndim != 3 or self.components.shape[0] != n_terms:
            raise InputError(f"A PSF of order {order} needs {n_terms} components", value=self.components.shape)
        if size % 2 == 0:
            raise InputError("PSF stamps need an odd side", value=size)
        self.step, self.order, self._size = float(step), int(order), int(size)
        self.x_center, self.y_center = float(x_center), float(y_center)
        self.x_scale, self.y_scale = float(x_scale), float(y_scale)

    @classmethod
    def from_samples(
        cls, samples: NDArray[np.float64], *, step: float, x: ArrayLike, y: ArrayLike, order: int, size: int
    ) -> Self:
        """Interpolate oversampled PSFs, shape (n, m, m), known at positions ``x``, ``y``, shape (n,)."""
        x, y = np.atleast_1d(np.asarray(x, np.float64)), np.atleast_1d(np.asarray(y, np.float64))
        x_center, y_center = 0.5 * (x.min() + x.max()), 0.5 * (y.min() + y.max())
        x_scale, y_scale = max(0.5 * float(np.ptp(x)), 1.0), max(0.5 * float(np.ptp(y)), 1.0)
        terms = polynomial_terms((x - x_center) / x_scale, (y - y_center) / y_scale, order)
        # Two empty samples around the grid keep every B-spline tap of the stamp's edge pixels inside it.
        padded = np.pad(samples, ((0, 0), (2, 2), (2, 2)))
        coefficients = ndimage.spline_filter1d(ndimage.spline_filter1d(padded, axis=1), axis=2)
        components, *_ = np.linalg.lstsq(terms, coefficients.reshape(len(samples), -1))
        return cls(
            components.reshape(-1, *padded.shape[1:]),
            step=step,
            order=order,
            x_center=float(x_center),
            y_center=float(y_center),
            x_scale=x_scale,
            y_scale=y_scale,
            size=size,
        )

    @property
    def size(self) -> int:
        """Side of a stamp [px], odd."""
        return self._size

    @staticmethod
    def n_smooth_terms(order: int) -> int:
        """Return the number of terms of a polynomial in position of a total degree."""
        return (order + 1) * (order + 2) // 2

    def terms(self, *, x: ArrayLike, y: ArrayLike, color: ArrayLike | None = None) -> NDArray[np.float64]:
        """Return what the components are multiplied by.

        Parameters
        ----------
        x, y : array, shape (n,)
            Positions in parent pixels.
        color : array, shape (n,), optional
            Colours of the sources [mag]; NaN, as leaving them out, stands for the PSF's own.

        Returns
        -------
        ndarray, float64, shape (n, n_terms)
            The polynomial, the colour and the fields.
        """
        x, y = np.atleast_1d(np.asarray(x, np.float64)), np.atleast_1d(np.asarray(y, np.float64))
        terms = [polynomial_terms((x - self.x_center) / self.x_scale, (y - self.y_center) / self.y_scale, self.order)]
        if self.color is not None:
            apart = np.nan_to_num(np.asarray(self.color if color is None else color, np.float64) - self.color)
            terms.append(np.broadcast_to(apart, x.shape)[:, None])
        if self.field is not None:
            terms.append(self.field.at(x=np.ascontiguousarray(x), y=np.ascontiguousarray(y)))
        return terms[0] if len(terms) == 1 else np.concatenate(terms, axis=1)

    def stamp(self, *, x: float, y: float) -> NDArray[np.float64]:
        """Return the PSF at a position, unit sum, centred on the middle pixel, shape (size, size)."""
        value = self._centred(x, y)[0]
        return value / value.sum()

    def _centred(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        terms = self.terms(x=x, y=y)
        zero = np.zeros(len(terms))
        return draw_pixel_basis(self.components, terms, self.step, zero, zero, self._size)

    def draw(self, *, x: ArrayLike, y: ArrayLike, size: int | None = None, color: ArrayLike | None = None) -> Stamps:
        """Return stamps at the sub-pixel phase of each position and the parent pixel of their first sample.

        Parameters
        ----------
        x, y : array, shape (n,)
            Source positions in parent pixels.
        size : int, optional
            Side of the stamps, odd; the model's own when not given.
        color : array, shape (n,), optional
            Colours of the sources [mag], NaN where unknown: see `terms`.

        Returns
        -------
        Stamps
            Unit integral; a stamp's sum differs from 1 only by the flux outside it and the noise of the model.
        """
        x, y = np.atleast_1d(np.asarray(x, np.float64)), np.atleast_1d(np.asarray(y, np.float64))
        size = size or self._size
        x0, y0 = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
        value = draw_pixel_basis(self.components, self.terms(x=x, y=y, color=color), self.step, x - x0, y - y0, size)
        return Stamps(value, x0 - size // 2, y0 - size // 2)

    def broadened(self, sigma: float) -> Self:
        """Return this PSF convolved with a round Gaussian of width ``sigma`` [px]."""
        spread = ndimage.gaussian_filter(self.components, (0.0, sigma / self.step, sigma / self.step), mode="constant")
        return self.with_components(spread)

    def with_components(self, components: NDArray[np.float64]) -> Self:
        """Return this model with other coefficients, shape (n_terms, m, m)."""
        _, parameters, arrays = self.to_parts()
        return type(self).from_parts(parameters, arrays | {"components": components})

    def with_field(self, field: MaternField | None, components: NDArray[np.float64]) -> Self:
        """Return this model with other fields and the coefficients that go with them."""
        _, parameters, _ = self.to_parts()
        return type(self)(components, field=field, **parameters)

    def moments(self, *, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], ...]:
        """Return the adaptive moments ixx, iyy, ixy [px**2], each shape (n,)."""
        return stamp_moments(self._centred(x, y))

    def effective_area(self, *, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return ``1 / sum(p**2)`` of the centred stamps [px], shape (n,)."""
        return 1.0 / np.sum(self._centred(x, y) ** 2, axis=(1, 2))

    def fwhm(self, *, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return the full width at half maximum of the matched Gaussian [px], shape (n,)."""
        ixx, iyy, _ = self.moments(x=x, y=y)
        return SIGMA_TO_FWHM * np.sqrt(0.5 * (ixx + iyy))

    def to_parts(self) -> tuple[str, dict[str, Any], dict[str, NDArray[np.float64]]]:
        """Return kind, JSON-able parameters and arrays: all that is needed to rebuild the model."""
        names = ["step", "order", "x_center", "y_center", "x_scale", "y_scale", "size"]
        names += [] if self.color is None else ["color"]
        fields = {} if self.field is None else self.field.to_arrays()
        return "pixel_basis", {name: getattr(self, name) for name in names}, {"components": self.components} | fields

    @classmethod
    def from_parts(cls, parameters: Mapping[str, Any], arrays: Mapping[str, ArrayLike]) -> Self:
        """Rebuild the model from what `to_parts` returned."""
        return cls(arrays["components"], field=MaternField.from_arrays(arrays), **parameters)

    def content_hash(self) -> str:
        """Return the hash of the model."""
        kind, parameters, arrays = self.to_parts()
        return content_digest([kind, parameters, *arrays.values()])
