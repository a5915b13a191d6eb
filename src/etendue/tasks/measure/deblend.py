"""Share the light of footprints that hold extended sources among all their sources."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.image.footprint import FootprintSet
from etendue.kernels.deblend import deblend
from etendue.kernels.refit import refit_alone
from etendue.kernels.source_light import draw_light
from etendue.kernels.spans import paint_grown
from etendue.tasks.measure.extendedness import Extendedness, ExtendednessConfig
from etendue.tasks.measure.light import SourceLight
from etendue.tasks.measure.scene import Scene
from etendue.tasks.task import Task, TaskConfig

Index = NDArray[np.int64]


class DeblendConfig(TaskConfig):
    """Configuration of `DeblendTask`."""

    broad: ExtendednessConfig = ExtendednessConfig(fraction=0.1, sigma=4.0)
    """Which sources need a shape of their own: those with that much light in a profile broader than the PSF."""

    margin: float = Field(1.0, ge=0.0)
    """Footprints are enlarged by this many FWHM, for light below the threshold."""

    halo: float = Field(0.5, ge=0.0)
    """How far the light of an extended source may go beyond its footprint, in radii of that: no sky is taken there."""

    rounds: int = Field(10, ge=1)
    """Updates of the models in each pass."""

    passes: int = Field(2, ge=1)
    """After each the PSF is fitted again, and what looks like a star without its neighbours becomes one."""

    largest_group: float = Field(1e5, gt=0.0)
    """Pixels of all models of a footprint together; where there would be more, fainter sources have smaller models."""

    fit_radius: float = Field(2.5, gt=1.0)
    """Radius of the pixels to which the PSF is fitted again afterwards, in FWHM."""

    max_shift: float = Field(0.3, ge=0.0)
    """How far that may move a source, in FWHM."""

    softening: float = Field(0.01, ge=0.0)
    """Relative PSF error assumed when weighting."""


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """Footprints with extended sources; boxes hold first column, first row, width and height."""

    boxes: Index  # (n_groups, 4)
    first: Index  # (n_groups + 1,)
    members: Index  # (m,)


class DeblendTask(Task[DeblendConfig]):
    """Give every extended source, and the stars beside it, its own part of the pixels.

    Stars alone are left to the joint fit of point sources, which is exact for them. Extended sources are symmetric and
    fall outwards; nothing is lost: image = residual + light of all sources, as before.
    """

    def run(
        self,
        scene: Scene,
        footprints: FootprintSet,
        *,
        point: NDArray[np.bool_] | None = None,
        overwrite: bool = False,
    ) -> Scene:
        """Deblend.

        Parameters
        ----------
        scene : Scene
            All sources as point sources.
        footprints : FootprintSet
            Detected regions, parent pixels; sources outside are left as they are.
        point : ndarray, bool, shape (n,), optional
            Sources that are to keep the shape of the PSF whatever they look like, such as saturated stars.
        overwrite : bool
            Change the scene's residual and weights in place instead of copies: two images less in memory.

        Returns
        -------
        Scene
            With new light, residual and weights, and, for members of blends with extended sources, new PSF fluxes and
            (unless forced) positions.
        """
        is_point = self._is_point(scene) if point is None else self._is_point(scene) | point
        groups = self._groups(scene, footprints, is_point)
        if groups.members.size and not overwrite:
            scene = replace(scene, residual=scene.residual.copy(), weight_variance=scene.weight_variance.copy())
        for k in range(self.config.passes if groups.members.size else 0):
            if k:
                is_point |= self._is_point(_only(scene, groups.members))
            scene = self._refitted(self._shared(scene, groups, is_point), groups.members)
        return scene

    def extended_regions(self, scene: Scene, footprints: FootprintSet) -> NDArray[np.bool_]:
        """Tell where footprints with extended sources lie, and what light they may have beyond.

        Parameters
        ----------
        scene : Scene
            All sources as point sources.
        footprints : FootprintSet
            Detected regions, parent pixels.

        Returns
        -------
        ndarray, bool, shape (ny, nx)
            Footprints grown by ``halo`` of the radius of a circle of their area, or up to twice as far.
        """
        owner = _owners(scene, footprints)
        wanted = np.unique(owner[(owner >= 0) & ~self._is_point(scene)])
        reach = np.ceil(self.config.halo * np.sqrt(footprints.areas()[wanted] / np.pi) + 0.5 * scene.fwhm)
        grown = np.full(footprints.size, -1)
        grown[wanted] = 2 ** np.ceil(np.log2(reach)).astype(int)
        where, spans = np.zeros(scene.residual.shape, bool), footprints.spans
        y, x0, x1 = (edge.astype(np.int64) for edge in (spans.y - scene.y0, spans.x0 - scene.x0, spans.x1 - scene.x0))
        paint_grown(y, x0, x1, grown[footprints.span_owner], where)
        return where

    def _shared(self, scene: Scene, groups: _Groups, is_point: NDArray[np.bool_]) -> Scene:
        """Return the scene with the light of all groups shared anew; its residual and weights change in place."""
        box, old, psf = self._model_boxes(scene, groups, is_point), scene.light, scene.psf
        offset = np.concatenate([[0], np.cumsum(box[:, 2] * box[:, 3])])
        drawn = np.full(len(scene), np.nan)
        points = groups.members[is_point[groups.members]]
        drawn[points] = scene.psf_flux[points]
        value = draw_light(
            psf.components, psf.components, psf.terms(x=scene.x + scene.x0, y=scene.y + scene.y0), psf.step, scene.x,
            scene.y, drawn, np.ascontiguousarray(box[:, 2]), offset, psf.size,
        )  # fmt: skip
        _copy_others(old, value, offset, groups.members)
        deblend(
            scene.residual, scene.weight_variance, scene.variance, scene.slope, groups.boxes, groups.first,
            groups.members, is_point, scene.x, scene.y, old.value, old.offset,
            np.column_stack([old.x0, old.y0, old.width, old.height]), value, offset, box, self.config.rounds,
        )  # fmt: skip
        light = SourceLight(value, offset, *(np.ascontiguousarray(column) for column in box.T))
        return replace(scene, light=light)

    def _is_point(self, scene: Scene) -> NDArray[np.bool_]:
        broad = Extendedness(self.config.broad).run(scene, {})["extendedness"]
        return ~(broad == 1.0)

    def _groups(self, scene: Scene, footprints: FootprintSet, is_point: NDArray[np.bool_]) -> _Groups:
        """Return the footprints with an extended source, the brightest first."""
        owner = _owners(scene, footprints)
        wanted = np.unique(owner[(owner >= 0) & ~is_point])
        members = np.flatnonzero(np.isin(owner, wanted) & np.isfinite(scene.psf_flux))
        brightest = np.full(footprints.size, -np.inf)
        np.maximum.at(brightest, owner[members], scene.psf_flux[members])
        place = np.full(footprints.size, -1, np.int64)
        wanted = wanted[np.argsort(-brightest[wanted], kind="stable")]
        place[wanted] = np.arange(wanted.size)
        members = members[np.lexsort((-scene.psf_flux[members], place[owner[members]]))]
        first = np.searchsorted(place[owner[members]], np.arange(wanted.size + 1))
        return _Groups(self._boxes(scene, footprints, wanted), first.astype(np.int64), members)

    def _boxes(self, scene: Scene, footprints: FootprintSet, wanted: Index) -> Index:
        """Return the bounding boxes of footprints, enlarged and cut at the image's edges."""
        spans, owner, n = footprints.spans, footprints.span_owner, footprints.size
        far = np.iinfo(np.int64).max
        low = np.full((2, n), far)
        high = np.full((2, n), -far)
        for axis, (start, stop) in enumerate(((spans.x0 - scene.x0, spans.x1 - scene.x0), (spans.y - scene.y0,) * 2)):
            np.minimum.at(low[axis], owner, start.astype(np.int64))
            np.maximum.at(high[axis], owner, stop.astype(np.int64) + axis)
        margin = int(np.ceil(self.config.margin * scene.fwhm))
        ny, nx = scene.residual.shape
        low = np.maximum(low[:, wanted] - margin, 0)
        high = np.minimum(high[:, wanted] + margin, np.array([[nx], [ny]]))
        return np.ascontiguousarray(np.stack([low[0], low[1], high[0] - low[0], high[1] - low[1]], axis=1))

    def _model_boxes(self, scene: Scene, groups: _Groups, is_point: NDArray[np.bool_]) -> Index:
        """Return the boxes of the new light: of extended members their group's, of points where they are now."""
        box = np.column_stack([scene.light.x0, scene.light.y0, scene.light.width, scene.light.height])
        points = groups.members[is_point[groups.members]]
        half = scene.psf.size // 2
        box[points, 0] = np.rint(scene.x[points]).astype(np.int64) - half
        box[points, 1] = np.rint(scene.y[points]).astype(np.int64) - half
        box[points, 2:] = scene.psf.size
        for g in range(groups.first.size - 1):
            own = groups.members[groups.first[g] : groups.first[g + 1]]
            own = own[~is_point[own]]
            x0, y0, width, height = groups.boxes[g]
            box[own] = groups.boxes[g]
            if own.size * width * height > self.config.largest_group:
                half = int(0.5 * np.sqrt(self.config.largest_group / own.size))
                box[own[1:]] = _around(scene, own[1:], half, (x0, y0, x0 + width, y0 + height))
        return box

    def _refitted(self, scene: Scene, members: Index) -> Scene:
        """Fit the PSF to the members alone."""
        psf = scene.psf
        radius = self.config.fit_radius * scene.fwhm
        x, y, flux, chi2 = scene.x.copy(), scene.y.copy(), scene.psf_flux.copy(), scene.psf_chi2.copy()
        refit_alone(
            scene.residual, scene.weight_variance, scene.bad, *scene.light.columns, psf.components,
            psf.terms(x=x + scene.x0, y=y + scene.y0), psf.step, members,
            x, y, flux, chi2, not scene.forced, 2 * (int(np.ceil(radius)) + 1) + 1, radius, self.config.softening,
            self.config.max_shift * scene.fwhm, 3,
        )  # fmt: skip
        return replace(scene, x=x, y=y, psf_flux=flux, psf_chi2=chi2)


def _only(scene: Scene, members: Index) -> Scene:
    """Return the scene with sources that are no members without a flux, so that nothing is measured on them."""
    flux = np.full(len(scene), np.nan)
    flux[members] = scene.psf_flux[members]
    return replace(scene, psf_flux=flux)


def _owners(scene: Scene, footprints: FootprintSet) -> Index:
    """Return the footprint on which each source's pixel lies, -1 where there is none."""
    spans = footprints.spans
    if not spans.y.size:
        return np.full(len(scene), -1, np.int64)
    order = np.lexsort((spans.x0, spans.y))
    wide = np.int64(1) << 32
    starts = spans.y[order].astype(np.int64) * wide + spans.x0[order]
    x, y = np.rint(scene.x).astype(np.int64) + scene.x0, np.rint(scene.y).astype(np.int64) + scene.y0
    at = np.searchsorted(starts, y * wide + x, side="right") - 1
    span = order[np.maximum(at, 0)]
    inside = (at >= 0) & (spans.y[span] == y) & (x >= spans.x0[span]) & (x < spans.x1[span])
    return np.where(inside, footprints.span_owner[span], -1).astype(np.int64)


def _around(scene: Scene, rows: Index, half: int, limits: tuple[int, int, int, int]) -> Index:
    """Return squares around sources, cut to (left, low, right, top)."""
    left, low, right, top = limits
    col, row = np.rint(scene.x[rows]).astype(np.int64), np.rint(scene.y[rows]).astype(np.int64)
    x0, y0 = np.clip(col - half, left, right - 1), np.clip(row - half, low, top - 1)
    x1, y1 = np.clip(col + half + 1, left + 1, right), np.clip(row + half + 1, low + 1, top)
    return np.stack([x0, y0, x1 - x0, y1 - y0], axis=1)


def _copy_others(light: SourceLight, value: NDArray[np.float32], offset: Index, members: Index) -> None:
    """Copy the light of all sources that are no members: runs of them at a time."""
    kept = np.ones(len(light), bool)
    kept[members] = False
    edges = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        value[offset[start] : offset[stop]] = light.value[light.offset[start] : light.offset[stop]]
