"""A smooth additive background, kept as a coarse grid."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.image.image import Image


@dataclass(frozen=True, eq=False)
class Background:
    """Values at the centres of bins that tile a box, interpolated in between.

    Parameters
    ----------
    values : array_like, float32, shape (n_y, n_x)
        Background at the bin centres [image units]; all finite.
    bbox : Box
        Pixels covered.
    bin_size : int
        Bin side [px]; the bins start at the lower left corner, and the last ones may be cut.
    interpolation : {"spline", "linear"}
        Natural cubic spline or linear along each axis. Beyond the outermost bin centres both go on
        as straight lines.

    Raises
    ------
    InputError
        If the grid does not fit the box, or a value is not finite.
    """

    values: NDArray[np.float32]
    bbox: Box
    bin_size: int
    interpolation: str = "spline"

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float32)
        expected = tuple(-(-size // self.bin_size) for size in self.bbox.shape)
        if values.shape != expected:
            raise InputError(f"background grid is {values.shape}, box and bin size need {expected}")
        if not np.isfinite(values).all():
            raise InputError("background grid has values that are not finite", value=int((~np.isfinite(values)).sum()))
        if self.interpolation not in ("spline", "linear"):
            raise InputError("unknown background interpolation", value=self.interpolation)
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    @classmethod
    def constant(cls, bbox: Box, value: float) -> "Background":
        """Return a flat background.

        Parameters
        ----------
        bbox : Box
            Pixels covered.
        value : float
            Level [image units].

        Returns
        -------
        Background
        """
        return cls(np.full((1, 1), value), bbox, max(1, *bbox.shape))

    def image(self, box: Box | None = None) -> Image:
        """Return the background of every pixel.

        Parameters
        ----------
        box : Box, optional
            Pixels wanted, inside ``bbox``; all by default.

        Returns
        -------
        Image
        """
        box = self.bbox if box is None else box
        rows, columns = self.factors(box)
        return Image(rows @ columns, box)

    def factors(self, box: Box | None = None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return two matrices whose product is the background of every pixel, for use in strips.

        Parameters
        ----------
        box : Box, optional
            Pixels wanted, inside ``bbox``; all by default.

        Returns
        -------
        rows, columns : ndarray, float32, shape (ny, n_x) and (n_x, nx)
            ``rows[a:b] @ columns`` are the rows a to b of the box.
        """
        box = self.bbox if box is None else box
        box.slices_in(self.bbox)
        y_weights = self._weights(np.arange(box.y.start, box.y.stop), self.bbox.y.start, self.bbox.y.stop)
        x_weights = self._weights(np.arange(box.x.start, box.x.stop), self.bbox.x.start, self.bbox.x.stop)
        grid = (y_weights @ self.values.astype(np.float64)).astype(np.float32)
        return grid, np.ascontiguousarray(x_weights.T, dtype=np.float32)

    def at(self, *, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return the background at points.

        Parameters
        ----------
        x, y : array_like, shape (n,)
            Pixels, parent coordinates.

        Returns
        -------
        ndarray, float64, shape (n,)
        """
        y_weights = self._weights(np.atleast_1d(np.asarray(y, float)), self.bbox.y.start, self.bbox.y.stop)
        x_weights = self._weights(np.atleast_1d(np.asarray(x, float)), self.bbox.x.start, self.bbox.x.stop)
        return np.asarray(np.einsum("nj,ji,ni->n", y_weights, self.values.astype(np.float64), x_weights))

    def _weights(self, points: NDArray[Any], start: int, stop: int) -> NDArray[np.float64]:
        """Return the linear map from bin values to interpolated ones; shape (n_points, n_bins)."""
        edges = np.append(np.arange(start, stop, self.bin_size), stop)
        centers = 0.5 * (edges[:-1] + edges[1:] - 1)
        identity = np.eye(centers.size)
        if centers.size == 1:
            return np.ones((points.size, 1))
        if self.interpolation == "linear":
            index = np.clip(np.searchsorted(centers, points) - 1, 0, centers.size - 2)
            fraction = ((points - centers[index]) / (centers[index + 1] - centers[index]))[:, None]
            return identity[index] * (1.0 - fraction) + identity[index + 1] * fraction
        spline = CubicSpline(centers, identity, bc_type="natural")
        inside = np.clip(points, centers[0], centers[-1])
        return np.asarray(spline(inside) + (points - inside)[:, None] * spline(inside, 1))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict, values included.

        Returns
        -------
        dict
        """
        return {
            "values": self.values.astype(float).tolist(),
            "bbox": self.bbox.to_list(),
            "bin_size": self.bin_size,
            "interpolation": self.interpolation,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Background":
        """Return the background written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        Background
        """
        bbox = Box.from_list(state["bbox"])
        return cls(np.array(state["values"]), bbox, int(state["bin_size"]), state.get("interpolation", "spline"))
