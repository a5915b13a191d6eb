"""Match the pattern of the brightest stars to a catalog, starting from a rough WCS."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import binom

from etendue.errors import AlgorithmError
from etendue.kernels.match import match_nearest, pair_hypotheses
from etendue.tasks.match.similarity import Similarity
from etendue.tasks.task import Task, TaskConfig

Points = NDArray[np.float64]


class MatchPatternConfig(TaskConfig):
    """What errors of the starting WCS are looked for, and how sure a match must be."""

    n_bright: int = Field(60, ge=5, le=500)
    """Number of the brightest sources whose pairs vote (twice as many reference stars); doubled if they fail."""

    tolerance_arcsec: float = Field(3.0, gt=0.0)
    """Largest distance of matched stars after the transform: distortion that it cannot follow."""

    max_shift_arcsec: float = Field(600.0, gt=0.0)
    """Largest pointing error."""

    max_rotation_deg: float = Field(5.0, ge=0.0, le=180.0)
    """Largest error of the position angle."""

    max_scale_error: float = Field(0.02, ge=0.0, lt=0.5)
    """Largest relative error of the pixel scale."""

    allow_mirror: bool = False
    """Whether the parity of the starting WCS may be wrong."""

    n_candidates: int = Field(30, ge=1)
    """Number of the most voted transforms that are verified; four times as many in the second try."""

    log10_false_alarm: float = Field(-9.0, lt=0.0)
    """Largest accepted probability, for the whole search, that the best match is chance."""


@dataclass(frozen=True, slots=True)
class PatternMatch:
    """A verified transform.

    Parameters
    ----------
    transform : Similarity
        From source to reference plane positions [arcsec].
    source, reference : ndarray, int64, shape (n,)
        Matched indices.
    log10_false_alarm : float
        Logarithm of the probability that so many matches are chance.
    """

    transform: Similarity
    source: NDArray[np.int64]
    reference: NDArray[np.int64]
    log10_false_alarm: float


class MatchPatternTask(Task[MatchPatternConfig]):
    """Find shift, rotation and scale between source and reference positions on one tangent plane.

    Pairs of bright stars of equal length and direction propose transforms (as in the optimistic
    pattern matcher B of Tabur 2007); the most voted are verified by counting stars that fall on
    reference stars, and accepted only if chance would not do that.
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
        best = None
        for effort in (1, 2):
            bright = _brightest(source_flux, effort * self.config.n_bright)
            # More reference stars than sources: the catalog may reach beyond the frame on every side.
            wanted = _brightest(reference_flux, 2 * effort * self.config.n_bright)
            best = self._search(source[bright], reference[wanted], effort**2 * self.config.n_candidates)
            if best is not None and best.log10_false_alarm <= self.config.log10_false_alarm:
                i, j = bright[best.source], wanted[best.reference]
                return PatternMatch(best.transform, i, j, best.log10_false_alarm)
        chance = None if best is None else round(best.log10_false_alarm, 1)
        raise AlgorithmError(
            "no star pattern found", log10_false_alarm=chance, sources=len(source), references=len(reference)
        )

    def _search(self, source: Points, reference: Points, n_candidates: int) -> PatternMatch | None:
        """Return the verified transform that chance explains least."""
        parities = (False, True) if self.config.allow_mirror else (False,)
        verified = [
            self._verify(candidate, source, reference)
            for mirrored in parities
            for candidate in self._candidates(source, reference, mirrored, n_candidates)
        ]
        return min(verified, key=lambda match: match.log10_false_alarm, default=None)

    def _candidates(self, source: Points, reference: Points, mirrored: bool, count: int) -> list[Similarity]:
        """Return the most voted transforms, best first."""
        extent = float(np.ptp(source, axis=0).max())
        seen = source * (1.0, -1.0) if mirrored else source
        hypotheses = self._hypotheses(seen, reference, 0.15 * extent)
        if len(hypotheses) == 0:
            return []
        groups = _most_voted(hypotheses, seen, 2.0 * self.config.tolerance_arcsec, count)
        medians = [np.median(group, axis=0) for group in groups]
        return [Similarity(float(a), float(b), float(dx), float(dy), mirrored) for a, b, dx, dy in medians]

    def _hypotheses(self, source: Points, reference: Points, min_length: float) -> Points:
        i, j = np.triu_indices(len(reference), 1)
        a, b = np.r_[i, j], np.r_[j, i]
        length = np.hypot(*(reference[b] - reference[a]).T)
        order = np.argsort(length, kind="stable")
        found = pair_hypotheses(
            np.ascontiguousarray(source), np.ascontiguousarray(reference), length[order], a[order], b[order],
            min_length, self.config.max_scale_error, self.config.tolerance_arcsec,
            np.radians(self.config.max_rotation_deg),
        )  # fmt: skip
        center = source.mean(axis=0)
        moved_x = found[:, 0] * center[0] - found[:, 1] * center[1] + found[:, 2] - center[0]
        moved_y = found[:, 1] * center[0] + found[:, 0] * center[1] + found[:, 3] - center[1]
        return found[np.hypot(moved_x, moved_y) <= self.config.max_shift_arcsec]

    def _verify(self, candidate: Similarity, source: Points, reference: Points) -> PatternMatch:
        """Refine a transform on its own matches and rate it against chance."""
        transform, radius = candidate, 3.0 * self.config.tolerance_arcsec
        for _ in range(4):
            i, j, _ = match_nearest(transform.apply(source), reference, radius)
            if i.size >= 3:
                transform = Similarity.fit(source[i], reference[j], mirrored=transform.mirrored)
            radius = max(self.config.tolerance_arcsec, 0.6 * radius)
        i, j, _ = match_nearest(transform.apply(source), reference, self.config.tolerance_arcsec)
        return PatternMatch(transform, i, j, self._log10_chance(transform.apply(source), reference, i.size))

    def _log10_chance(self, moved: Points, reference: Points, n_matched: int) -> float:
        """Return the chance of so many matches, times the number of independent transforms searched."""
        low, high = moved.min(axis=0), moved.max(axis=0)
        inside = ((reference >= low) & (reference <= high)).all(axis=1).sum()
        cell = np.pi * self.config.tolerance_arcsec**2
        probability = min(1.0, inside * cell / max(float(np.prod(high - low)), cell))
        # The first two matches are free: the pair that proposed the transform fits by construction.
        log_chance = binom.logsf(n_matched - 3, max(len(moved) - 2, 1), probability) / np.log(10.0)
        trials = (len(moved) * len(reference)) ** 2 / 4.0
        return float(log_chance + np.log10(trials))


def _brightest(flux: Points, count: int) -> NDArray[np.int64]:
    ranked = np.argsort(-np.where(np.isfinite(flux), flux, -np.inf), kind="stable")
    return ranked[:count]


def _most_voted(hypotheses: Points, source: Points, bin_size: float, count: int) -> list[Points]:
    """Group transforms by where they bring the ends of the field; return the largest groups."""
    low, high = source.min(axis=0), source.max(axis=0)
    a, b, dx, dy = hypotheses.T[:, :, None]
    x, y = np.array([low[0], high[0]]), np.array([low[1], high[1]])
    landing = np.hstack([a * x - b * y + dx, b * x + a * y + dy])
    groups = []
    for phase in (0.0, 0.5):  # two grids: a peak on a cell border of one lies inside a cell of the other
        cells = np.floor(landing / bin_size + phase).astype(np.int64)
        _, group, votes = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
        largest = np.argsort(-votes, kind="stable")[:count]
        groups += [hypotheses[group.ravel() == index] for index in largest]
    return groups
