"""One sky for all detectors of a visit, so that no object is taken for sky of its detector."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError, InputError
from etendue.geom.sphere import sky_position, tangent_plane, unit_vector
from etendue.image.background import Background
from etendue.image.exposure import Exposure
from etendue.tasks.background.background import (
    MeasuredSky,
    SubtractBackgroundConfig,
    SubtractBackgroundTask,
    subtract_background,
)
from etendue.tasks.task import Task, TaskConfig

_ROUNDS = 10


class VisitSkyConfig(TaskConfig):
    """Choices of the sky of a visit."""

    cells: SubtractBackgroundConfig = SubtractBackgroundConfig()
    """How the sky of cells is measured on each detector."""

    order: int = Field(3, ge=0, le=8)
    """Total degree of the polynomial over the field of view."""

    object_clip: float = Field(3.0, gt=0.0)
    """Cells that rise above the sky by this many times what others sink below it hold objects and do not count."""

    least_share: float = Field(0.2, gt=0.0, le=1.0)
    """Smallest share of the cells that must be left."""


@dataclass(frozen=True, slots=True)
class VisitSkyResult:
    """Exposures without the sky of their visit, in the order given."""

    exposures: tuple[Exposure, ...]  # their ``background`` is the sky of the visit, nothing else
    scatter: float  # rms of the cells that count about the sky [image units]
    share: float  # of the cells that count
    offsets: NDArray[np.float64]  # (n,) mean residual of each detector's cells that count [image units]; NaN for none


@dataclass(frozen=True, slots=True, eq=False)
class DetectorCells:
    """The sky of a detector's cells, and where they are."""

    sky: MeasuredSky
    ra: NDArray[np.float64]  # (n_cells,) [deg]
    dec: NDArray[np.float64]  # (n_cells,) [deg]


@dataclass(frozen=True, slots=True)
class VisitSky:
    """The sky of a visit on each of its detectors, in the order given; the rest as in `VisitSkyResult`."""

    backgrounds: tuple[Background, ...]
    scatter: float
    share: float
    offsets: NDArray[np.float64]


class VisitSkyTask(Task[VisitSkyConfig]):
    """Fit a polynomial of low order over the field of view to the cells of all detectors (as LSST's skyCorr)."""

    def run(self, *, exposures: Sequence[Exposure]) -> VisitSkyResult:
        """Replace the sky of every detector by that of the visit.

        Parameters
        ----------
        exposures : sequence of Exposure
            Of one visit and in one unit that is flat over the field of view; with WCS. What was subtracted from them
            is put back first; their detection planes count as light.

        Returns
        -------
        VisitSkyResult

        Raises
        ------
        InputError
            If there is no exposure, or one has no WCS.
        AlgorithmError
            If too few cells hold sky.
        """
        if not exposures:
            raise InputError("the sky of a visit needs its exposures", remedy="give at least one")
        restored = [_restored(exposure) for exposure in exposures]
        found = self.fit([self.cells(exposure) for exposure in restored])
        subtracted = [subtract_background(*pair) for pair in zip(restored, found.backgrounds, strict=True)]
        return VisitSkyResult(tuple(subtracted), found.scatter, found.share, found.offsets)

    def cells(self, exposure: Exposure) -> DetectorCells:
        """Measure the cells of one detector.

        Parameters
        ----------
        exposure : Exposure
            With its sky in it, and with WCS.

        Returns
        -------
        DetectorCells

        Raises
        ------
        InputError
            If there is no WCS.
        AlgorithmError
            If no cell has usable pixels.
        """
        sky = SubtractBackgroundTask(self.config.cells).measure(exposure=exposure)
        return DetectorCells(sky, *_positions(exposure, sky))

    def fit(self, detectors: Sequence[DetectorCells]) -> VisitSky:
        """Fit the sky to the cells of all detectors.

        Parameters
        ----------
        detectors : sequence of DetectorCells
            Of one visit.

        Returns
        -------
        VisitSky

        Raises
        ------
        AlgorithmError
            If too few cells hold sky.
        """
        skies = [detector.sky for detector in detectors]
        level = np.concatenate([sky.level.ravel() for sky in skies])
        pixels = np.concatenate([np.where(np.isfinite(sky.level), sky.pixels, 0.0).ravel() for sky in skies])
        surface, use = self._fit(np.nan_to_num(level), pixels, _terms(_places(detectors), self.config.order))
        residual = np.where(use, level - surface, np.nan)
        parts = np.split(np.arange(level.size), np.cumsum([sky.level.size for sky in skies])[:-1])
        backgrounds = [_on_grid(surface[part], sky.background) for part, sky in zip(parts, skies, strict=True)]
        offsets = [float(np.mean(residual[part][use[part]])) if use[part].any() else np.nan for part in parts]
        scatter = float(np.sqrt(np.mean(residual[use] ** 2)))
        return VisitSky(tuple(backgrounds), scatter, float(use.sum() / np.sum(pixels > 0.0)), np.array(offsets))

    def _fit(
        self, level: NDArray[np.float64], pixels: NDArray[np.float64], terms: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the fit, and the cells that count: those above it by more than others are below do not."""
        known = pixels > 0.0
        use = known
        for _ in range(_ROUNDS):
            if use.sum() < max(2 * terms.shape[1], self.config.least_share * known.sum()):
                raise AlgorithmError(
                    "too few cells hold sky for the visit: lower its order or mask less", used=int(use.sum())
                )
            root = np.sqrt(pixels[use])[:, None]
            solution = np.linalg.lstsq(terms[use] * root, level[use] * root[:, 0], rcond=None)[0]
            surface = terms @ solution
            residual = level - surface
            below = residual[use & (residual < 0.0)]
            depth = float(np.sqrt(np.mean(below**2))) if below.size else 0.0
            before, use = use, known & (residual <= self.config.object_clip * max(depth, 1e-6 * np.abs(surface).max()))
            if (use == before).all():
                break
        return surface, use


def _restored(exposure: Exposure) -> Exposure:
    """Put back what was subtracted."""
    if exposure.background is None:
        return exposure
    before = exposure.background
    added = Background(-before.values, before.bbox, before.bin_size, before.interpolation)
    return subtract_background(exposure, added).replace(background=None)


def _positions(exposure: Exposure, sky: MeasuredSky) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the positions of the cell centres [deg]."""
    if exposure.wcs is None:
        raise InputError("the sky of a visit needs the WCS of every exposure", remedy="solve them first")
    edges = [
        np.append(np.arange(interval.start, interval.stop, sky.background.bin_size), interval.stop)
        for interval in (exposure.bbox.y, exposure.bbox.x)
    ]
    grid_y, grid_x = np.meshgrid(*(0.5 * (edge[:-1] + edge[1:] - 1.0) for edge in edges), indexing="ij")
    return exposure.wcs.pixel_to_sky(x=grid_x.ravel(), y=grid_y.ravel())


def _places(detectors: Sequence[DetectorCells]) -> NDArray[np.float64]:
    """Return the cell centres on a plane tangent to the middle of the field, as shares of its half width; (2, n)."""
    everywhere = np.concatenate([one.ra for one in detectors]), np.concatenate([one.dec for one in detectors])
    ra0, dec0 = sky_position(unit_vector(*everywhere).mean(axis=0))
    plane = np.stack(tangent_plane(*everywhere, ra0, dec0))
    return np.asarray(plane / max(float(np.abs(plane).max()), 1e-12))


def _terms(places: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """Return products of Legendre polynomials of total degree up to ``order``, shape (n, n_terms)."""
    along = [np.polynomial.legendre.legvander(axis, order) for axis in places]
    pairs = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    return np.stack([along[0][:, i] * along[1][:, j] for i, j in pairs], axis=1)


def _on_grid(values: NDArray[np.float64], like: Background) -> Background:
    """Return the values as a background on another's grid."""
    return Background(values.reshape(like.values.shape).astype(np.float32), like.bbox, like.bin_size)
