"""Match the pattern of the brightest stars to a catalog, starting from a rough WCS."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import binom

from etendue.errors import AlgorithmError
from etendue.kernels.pattern import (
    count_landings,
    directed_pairs,
    matches_and_chance,
    nearest_raster,
    pair_hypotheses,
    refine_transforms,
)
from etendue.tasks.match.similarity import Similarity
from etendue.tasks.task import Task, TaskConfig

Points = NDArray[np.float64]
Rows = NDArray[np.int64]

_PAIRS_PER_BLOCK = 200
_MOST_PAIRS = 2000
_DIRECTIONS = 180
_ANGLES = np.arange(8) * np.pi / 4.0
_SHIFTS = np.concatenate([
    distance * np.stack([np.cos(_ANGLES + turn), np.sin(_ANGLES + turn)], axis=1)
    for distance, turn in ((4.0, 0.0), (7.0, 0.4))
])  # fmt: skip


class MatchPatternConfig(TaskConfig):
    """What errors of the starting WCS are looked for, and how sure a match must be."""

    n_bright: int = Field(60, ge=5, le=500)
    """The unit in which the brightest stars are counted."""

    efforts: tuple[tuple[float, float], ...] = ((1.0, 2.0), (1.0, 8.0), (2.0, 16.0), (4.0, 16.0))
    """Numbers of sources whose pairs are tried, and of reference stars, in that unit: one after the other until a
    match is found. The catalog reaches beyond the frame, and its brightest stars may be saturated on it."""

    max_saturated: float = Field(0.05, ge=0.0, lt=1.0)
    """Fraction of the reference stars, the brightest, that may all be missing on the frame: if no effort succeeds, the
    stars below the brightest are tried too, step by step down to this fraction."""

    tolerance_arcsec: float = Field(3.0, gt=0.0)
    """Largest distance of matched stars after the transform: distortion that it cannot follow."""

    shrink: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125)
    """Fractions of the tolerance at which matches are counted too: the fewest chances win."""

    max_shift_arcsec: float = Field(600.0, gt=0.0)
    """Largest pointing error."""

    max_rotation_deg: float = Field(5.0, ge=0.0, le=180.0)
    """Largest error of the position angle."""

    max_scale_error: float = Field(0.02, ge=0.0, lt=0.5)
    """Largest relative error of the pixel scale."""

    allow_flips: bool = True
    """Whether the axes of the starting WCS may have the wrong sign: one of them (a mirror image), or both."""

    n_candidates: int = Field(20, ge=1)
    """Number of the transforms of each block of pairs that are refined: those on which most stars land."""

    log10_false_alarm: float = Field(-7.0, lt=0.0)
    """Largest accepted logarithm of the expected number of equally good matches by chance, in the whole search."""

    def at_least(self, pixel_arcsec: float) -> "MatchPatternConfig":
        """Return these choices for pixels that are larger than they are meant for.

        Parameters
        ----------
        pixel_arcsec : float
            Side of a pixel [arcsec].

        Returns
        -------
        MatchPatternConfig
            With a tolerance of a pixel and a shift of 100 px, where those are more.
        """
        limits = {
            "tolerance_arcsec": max(self.tolerance_arcsec, pixel_arcsec),
            "max_shift_arcsec": max(self.max_shift_arcsec, 100.0 * pixel_arcsec),
        }
        return self.model_copy(update=limits)


@dataclass(frozen=True, slots=True)
class PatternMatch:
    """A verified transform.

    Parameters
    ----------
    transform : Similarity
        From source to reference plane positions [arcsec].
    source, reference : ndarray, int64, shape (n,)
        Matched indices, of all stars given.
    log10_false_alarm : float
        Logarithm of the number of such matches that chance is expected to give.
    radius_arcsec : float
        Largest distance of these matches: the one that chance explains least.
    n_hypotheses : int
        Transforms that were tried.
    """

    transform: Similarity
    source: Rows
    reference: Rows
    log10_false_alarm: float
    radius_arcsec: float
    n_hypotheses: int


@dataclass(frozen=True, slots=True)
class _Field:
    """The reference stars of one effort, ready to be searched, and the middle and size of the sources."""

    target: Points
    order: Rows
    raster: NDArray[np.int32]
    x0: float
    y0: float
    cell: float
    pairs: tuple[Rows, Rows, Points, Rows]
    center: Points
    extent: float


@dataclass(frozen=True, slots=True)
class _Rated:
    transform: Points
    radius: float
    log10_chance: float


class MatchPatternTask(Task[MatchPatternConfig]):
    """Find shift, rotation, scale and parity between source and reference positions on one tangent plane.

    Pairs of bright stars of equal length and direction propose transforms (as in the pattern matcher B of Tabur
    2007); each is judged by how many of the other stars land on reference stars, the best are refined on their
    matches, and one is accepted only if chance would not do that (as Morrison 2018, DMTN-031, asks of the
    pessimistic variant). Chance counts all transforms tried, and the local density of stars beside the matches.
    """

    def run(self, *, source: Points, source_flux: Points, reference: Points, reference_flux: Points) -> PatternMatch:
        """Match two sets of plane positions.

        Parameters
        ----------
        source, reference : ndarray, float64, shape (n, 2) and (m, 2)
            Finite positions on one tangent plane [arcsec].
        source_flux, reference_flux : ndarray, float64, shape (n,) and (m,)
            Brightness, used to rank only; NaN ranks last.

        Returns
        -------
        PatternMatch

        Raises
        ------
        AlgorithmError
            If no transform beats chance.
        """
        if min(len(source), len(reference)) < 3:
            raise AlgorithmError("too few stars for a pattern", sources=len(source), references=len(reference))
        source, reference = np.ascontiguousarray(source), np.ascontiguousarray(reference)
        tried, best = 0, 0.0
        for sources, first, last in self._efforts(len(source), len(reference)):
            bright = _brightest(source_flux, sources)
            field = self._field(reference[_brightest(reference_flux, last)[first:]], source[bright])
            for flip in self._flips():
                turned = np.ascontiguousarray(field.center + (source - field.center) * flip)
                for rated, count in self._search(turned[bright], field, flip):
                    tried += count
                    chance = rated.log10_chance + float(np.log10(tried + 1.0))
                    best = min(best, chance)
                    if chance <= self.config.log10_false_alarm:
                        mirrored = flip[0] != flip[1]
                        return _result(replace(rated, log10_chance=chance), source, turned, reference, mirrored, tried)
        raise AlgorithmError(
            "no star pattern found", log10_false_alarm=round(float(best), 1), sources=len(source),
            references=len(reference),
        )  # fmt: skip

    def _efforts(self, n_source: int, n_reference: int) -> list[tuple[int, int, int]]:
        """Return the different numbers of sources and ranks of reference stars, from the first to the last."""
        unit = self.config.n_bright
        wanted = [(int(a * unit), 0, int(b * unit)) for a, b in self.config.efforts]
        below = range(8 * unit, int(self.config.max_saturated * n_reference), 8 * unit)
        wanted += [(int(1.5 * unit), first, first + 12 * unit) for first in below]
        limited = [(min(sources, n_source), first, min(last, n_reference)) for sources, first, last in wanted]
        return list(dict.fromkeys(limited))

    def _flips(self) -> tuple[tuple[float, float], ...]:
        flips = ((1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0))
        return flips if self.config.allow_flips else flips[:1]

    def _field(self, target: Points, source: Points) -> _Field:
        """Prepare the search among some reference stars."""
        low, high = target.min(axis=0), target.max(axis=0)
        radius = 2.0 * self.config.tolerance_arcsec
        cell = max(self.config.tolerance_arcsec, float((high - low).max()) / 1500.0)
        x0, y0 = low - 2.0 * radius
        nx, ny = (((high - low) + 4.0 * radius) / cell).astype(np.int64) + 1
        raster = nearest_raster(target, x0, y0, cell, int(nx), int(ny), max(radius, cell))
        extent = source.max(axis=0) - source.min(axis=0)
        longest = float(np.hypot(*extent)) * (1.0 + self.config.max_scale_error) + radius
        order = np.argsort(target[:, 0], kind="stable")
        center = 0.5 * (source.min(axis=0) + source.max(axis=0))
        pairs = directed_pairs(target, _DIRECTIONS, longest)
        return _Field(target, order, raster, float(x0), float(y0), cell, pairs, center, float(extent.max()))

    def _search(self, source: Points, field: _Field, flip: tuple[float, float]) -> Iterator[tuple[_Rated, int]]:
        """Try the pairs of sources, brightest first; yield the best transform of each block, and their number."""
        # The flip is about the middle of the sources. That of the frame is not known: it is off by less than half of
        # what the catalog reaches beyond them, and the flip moves them by twice as much.
        reach = max(float(np.ptp(field.target, axis=0).max()) - field.extent, 0.5 * field.extent)
        shift = self.config.max_shift_arcsec + (0.0 if flip == (1.0, 1.0) else reach)
        first, second = _pairs(source)
        for start in range(0, first.size, _PAIRS_PER_BLOCK):
            block = slice(start, start + _PAIRS_PER_BLOCK)
            proposed = pair_hypotheses(
                source, first[block], second[block], field.target, *field.pairs, field.center, shift,
                self.config.max_scale_error, self.config.tolerance_arcsec, np.radians(self.config.max_rotation_deg),
            )  # fmt: skip
            if len(proposed) == 0:
                continue
            landed = count_landings(proposed, source, field.raster, field.x0, field.y0, field.cell, len(field.target))
            likely = np.argsort(-landed, kind="stable")[: self.config.n_candidates]
            yield self._best(proposed[likely], source, field, shift), len(proposed)

    def _best(self, transforms: Points, source: Points, field: _Field, max_shift: float) -> _Rated:
        """Refine transforms and return the one that chance explains least."""
        radii = self.config.tolerance_arcsec * np.array(self.config.shrink)
        refined, matched = refine_transforms(transforms, source, field.target, field.order, radii)
        density = _chance_by_density(refined[:, 0], source, field.target, radii[0])
        matched = matched * self._allowed(refined, field, max_shift)
        log_chance = _log10_chance(matched, len(source), density[:, None] * (radii / radii[0]) ** 2)
        row, step = np.unravel_index(np.argmin(log_chance), log_chance.shape)
        _, beside = matches_and_chance(refined[row, 0], source, field.target, field.order, radii[0], radii[0] * _SHIFTS)
        chance = max(beside, float(density[row])) * (radii[step] / radii[0]) ** 2
        log10_chance = float(_log10_chance(matched[row, step], len(source), chance)) + float(np.log10(radii.size))
        return _Rated(refined[row, step], float(radii[step]), log10_chance)

    def _allowed(self, transforms: Points, field: _Field, max_shift: float) -> NDArray[np.bool_]:
        """Tell which transforms are still within the limits after they were refined, with a little slack."""
        a, b, dx, dy = np.moveaxis(transforms, -1, 0)
        x, y = field.center
        slack = self.config.tolerance_arcsec
        turn = 2.0 * slack / max(field.extent, slack)
        shift = np.hypot(a * x - b * y + dx - x, b * x + a * y + dy - y)
        return np.asarray(
            (np.abs(np.hypot(a, b) - 1.0) <= self.config.max_scale_error + turn)
            & (np.abs(np.arctan2(b, a)) <= np.radians(self.config.max_rotation_deg) + turn)
            & (shift <= max_shift + slack)
        )


def _result(
    rated: _Rated, source: Points, turned: Points, reference: Points, mirrored: bool, tried: int
) -> PatternMatch:
    """Match all stars, and tell the transform from the sources as they were given."""
    order = np.argsort(reference[:, 0], kind="stable")
    match, _ = matches_and_chance(rated.transform, turned, reference, order, rated.radius, np.zeros((0, 2)))
    found = np.flatnonzero(match >= 0)
    a, b, dx, dy = (float(number) for number in rated.transform)
    moved = Similarity(a, b, dx, dy).apply(turned)
    transform = Similarity.fit(source, moved, mirrored=mirrored)
    return PatternMatch(transform, found, match[found], rated.log10_chance, rated.radius, tried)


def _brightest(flux: Points, count: int) -> Rows:
    ranked = np.argsort(-np.where(np.isfinite(flux), flux, -np.inf), kind="stable")
    return ranked[:count]


def _pairs(source: Points) -> tuple[Rows, Rows]:
    """Return pairs of sources, the brightest first, without those too short to tell scale and rotation."""
    first, second = np.triu_indices(len(source), 1)
    length = np.hypot(*(source[second] - source[first]).T)
    long = np.flatnonzero((length >= 0.15 * np.ptp(source, axis=0).max()) & (length > 0.0))
    ranked = long[np.argsort((first + second)[long], kind="stable")][:_MOST_PAIRS]
    return first[ranked], second[ranked]


def _chance_by_density(transforms: Points, source: Points, target: Points, radius: float) -> Points:
    """Return the chance that a source lands within the radius of a reference star, were both spread evenly."""
    low, high = source.min(axis=0), source.max(axis=0)
    a, b, dx, dy = transforms.T[:, :, None]
    square = a * a + b * b
    x, y = target[:, 0] - dx, target[:, 1] - dy
    back = np.stack([(a * x + b * y) / square, (a * y - b * x) / square], axis=-1)
    inside = ((back >= low) & (back <= high)).all(axis=-1).sum(axis=1)
    cell = np.pi * radius**2
    return np.minimum(1.0, inside * cell / np.maximum(float(np.prod(high - low)) * square[:, 0], cell))


def _log10_chance(matched: NDArray[np.int64], n_source: int, chance: Points | float) -> Points:
    """Return the logarithm of the chance of so many matches; the two that proposed the transform are free."""
    log = binom.logsf(matched - 3, max(n_source - 2, 1), chance) / np.log(10.0)
    return np.where(matched < 3, 0.0, log)
