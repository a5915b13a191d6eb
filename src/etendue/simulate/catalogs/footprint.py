"""Which detector light falls on: the focal plane with its gaps and edges."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from etendue.camera.detector import Detector
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.telescope.field_angle import DetectorPlace
from etendue.simulate.telescope.true_wcs import TrueWcs, true_wcs

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

_NEIGHBOURS = 4  # a detector that holds a point is among the nearest so many


@dataclass(frozen=True, slots=True, eq=False)
class Footprint:
    """All detectors as columns of shape (n,), where they really are.

    Parameters
    ----------
    ids : ndarray, int64
        Detector ids.
    center_x, center_y, field_x, field_y, turn_deg, deg_per_px : ndarray, float64
        As in `DetectorPlace`.
    left, right, bottom, top : ndarray, float64
        Edges of the trimmed pixels, half a pixel beyond the centres of the outermost [px].
    """

    ids: Rows
    center_x: Vector
    center_y: Vector
    field_x: Vector
    field_y: Vector
    turn_deg: Vector
    deg_per_px: Vector
    left: Vector
    right: Vector
    bottom: Vector
    top: Vector
    _tree: cKDTree

    @classmethod
    def of(cls, survey: Survey) -> Self:
        """Return the footprint of a survey's detectors.

        Parameters
        ----------
        survey : Survey
            The survey.

        Returns
        -------
        Footprint
        """
        spec = survey.spec.telescope.distortion
        places = [true_wcs(survey.camera, d, survey.exposures[0], spec, survey.seed).place for d in survey.detectors]
        names = ("center_x", "center_y", "field_x", "field_y", "turn_deg", "deg_per_px")
        columns = {name: np.array([getattr(place, name) for place in places]) for name in names}
        boxes = [detector.bbox for detector in survey.detectors]
        edges = np.array([[b.x.min - 0.5, b.x.max + 0.5, b.y.min - 0.5, b.y.max + 0.5] for b in boxes]).T
        centers = np.stack([columns["field_x"], columns["field_y"]], axis=-1)
        return cls(
            ids=np.array([detector.id for detector in survey.detectors], np.int64), **columns,
            left=edges[0], right=edges[1], bottom=edges[2], top=edges[3], _tree=cKDTree(centers),
        )  # fmt: skip

    @property
    def area_deg2(self) -> float:
        """Area of all detectors at the nominal scale [deg**2]."""
        return float(np.sum(self._areas))

    def find(self, field_x: Vector, field_y: Vector, *, edge_px: float = 0.0) -> tuple[Rows, Vector, Vector]:
        """Return the detectors that field angles fall on.

        Parameters
        ----------
        field_x, field_y : ndarray, float64, shape (n,)
            Field angles [deg].
        edge_px : float
            What is nearer to the edges than this falls on none [px].

        Returns
        -------
        row : ndarray, int64, shape (n,)
            Row of the detector; -1 for none.
        x, y : ndarray, float64, shape (n,)
            Trimmed pixels; NaN on none.
        """
        row = np.full(field_x.size, -1)
        x, y = np.full(field_x.size, np.nan), np.full(field_x.size, np.nan)
        left = np.flatnonzero(np.isfinite(field_x) & np.isfinite(field_y))
        points = np.stack([field_x[left], field_y[left]], axis=-1)
        for rank in range(1, 1 + min(_NEIGHBOURS, self.ids.size)):
            if left.size == 0:
                break
            candidate = self._tree.query(points, k=[rank])[1][:, 0]
            px, py = self.to_pixel(candidate, field_x[left], field_y[left])
            inside = (px >= self.left[candidate] + edge_px) & (px < self.right[candidate] - edge_px)
            inside &= (py >= self.bottom[candidate] + edge_px) & (py < self.top[candidate] - edge_px)
            there = left[inside]
            row[there], x[there], y[there] = candidate[inside], px[inside], py[inside]
            left, points = left[~inside], points[~inside]
        return row, x, y

    def to_pixel(self, row: Rows, field_x: Vector, field_y: Vector) -> tuple[Vector, Vector]:
        """Return trimmed pixels of field angles on known detectors.

        Parameters
        ----------
        row : ndarray, int64, shape (n,)
            Rows of detectors.
        field_x, field_y : ndarray, float64, shape (n,)
            Field angles [deg].

        Returns
        -------
        x, y : ndarray, float64, shape (n,)
            Pixels, also beyond the edges.
        """
        fx, fy = field_x - self.field_x[row], field_y - self.field_y[row]
        cosine, sine = np.cos(np.radians(self.turn_deg[row])), np.sin(np.radians(self.turn_deg[row]))
        scale = self.deg_per_px[row]
        x = self.center_x[row] + (cosine * fx + sine * fy) / scale
        return x, self.center_y[row] + (cosine * fy - sine * fx) / scale

    def to_field(self, row: Rows, x: Vector, y: Vector) -> tuple[Vector, Vector]:
        """Return field angles of pixels.

        Parameters
        ----------
        row : ndarray, int64, shape (n,)
            Rows of detectors.
        x, y : ndarray, float64, shape (n,)
            Trimmed pixels.

        Returns
        -------
        field_x, field_y : ndarray, float64, shape (n,)
            Field angles [deg].
        """
        dx, dy = (x - self.center_x[row]) * self.deg_per_px[row], (y - self.center_y[row]) * self.deg_per_px[row]
        cosine, sine = np.cos(np.radians(self.turn_deg[row])), np.sin(np.radians(self.turn_deg[row]))
        return self.field_x[row] + cosine * dx - sine * dy, self.field_y[row] + sine * dx + cosine * dy

    def scatter(self, rng: np.random.Generator, count: int) -> tuple[Vector, Vector]:
        """Draw places that are uniform over the detectors' pixels.

        Parameters
        ----------
        rng : numpy.random.Generator
            Random numbers.
        count : int
            How many.

        Returns
        -------
        field_x, field_y : ndarray, float64, shape (count,)
            Field angles [deg].
        """
        share = np.cumsum(self._areas)
        row = np.minimum(np.searchsorted(share, rng.uniform(0.0, share[-1], count), side="right"), self.ids.size - 1)
        x = self.left[row] + (self.right[row] - self.left[row]) * rng.random(count)
        y = self.bottom[row] + (self.top[row] - self.bottom[row]) * rng.random(count)
        return self.to_field(row, x, y)

    @property
    def _areas(self) -> Vector:
        return (self.right - self.left) * (self.top - self.bottom) * self.deg_per_px**2


def focal_plane_wcs(survey: Survey, exposure: PlannedExposure, detector: Detector) -> TrueWcs:
    """Return the map from the sky to field angles: a `TrueWcs` whose pixels are degrees about the optical axis.

    Parameters
    ----------
    survey : Survey
        The survey.
    exposure : PlannedExposure
        One of its exposures.
    detector : Detector
        Any of its detectors.

    Returns
    -------
    TrueWcs
    """
    wcs = true_wcs(survey.camera, detector, exposure, survey.spec.telescope.distortion, survey.seed)
    return replace(wcs, place=DetectorPlace(0.0, 0.0, 0.0, 0.0, 0.0, 1.0))
