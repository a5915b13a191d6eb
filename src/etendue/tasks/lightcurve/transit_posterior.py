"""What is known of a trapezoid in a light curve: its posterior on a grid, whatever the baseline and the noise."""

from dataclasses import dataclass
from itertools import chain, combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp, ndtr

from etendue.kernels.lightcurve import whiten_red

Real = NDArray[np.float64]

SIGMAS = (0.15865525, 0.5, 0.84134475)
_LEAST_DEPTH_PRIOR_MAG = 0.02
_RED_RATIOS, _RED_SPANS = (0.3, 0.6, 1.2), (0.02, 0.05, 0.12)
_INGRESSES = (0.05, 0.2, 0.45)
_STEPS_PER_SHORTEST, _MOST_MIDDLES = 2.5, 600
_FINE = (30, 20, 7)
_WIDE, _NARROW, _UNLIKELY = 14.0, 9.0, 7.0  # fall of the log posterior at which places and noises are let go


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A light curve and the terms that its baseline may have.

    Parameters
    ----------
    time, mag, sigma : ndarray, float64, shape (n,)
        Rising times [d], magnitudes about zero and the errors, white noise only, up to a common factor [mag].
    terms : dict of str to ndarray, float64, shape (n,)
        Terms of the baseline besides the constant, of size about one.
    """

    time: Real
    mag: Real
    sigma: Real
    terms: dict[str, Real]


@dataclass(frozen=True, slots=True)
class Noise:
    """White noise as given plus an Ornstein-Uhlenbeck process.

    Parameters
    ----------
    red_sigma : float
        Standard deviation of the process [mag].
    memory : float
        Its correlation time [d].
    prior : float
        Probability beforehand.
    """

    red_sigma: float
    memory: float
    prior: float


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """Trapezoids.

    Parameters
    ----------
    middle, width, ingress : ndarray, float64, shape (m,)
        Middle [d], full width at half depth [d], and ingress as a fraction of first to last contact.
    """

    middle: Real
    width: Real
    ingress: Real

    @property
    def duration(self) -> Real:
        """First to last contact [d]."""
        return self.width / (1.0 - self.ingress)

    def values(self, time: Real) -> Real:
        """Return all trapezoids of unit depth at some times, shape (n, m)."""
        return trapezoids(time, self.middle, self.duration, self.ingress)


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Weights of trapezoids, baselines and noises.

    Parameters
    ----------
    shapes : Shapes
        Trapezoids, m of them.
    models : list of (tuple of str, Noise)
        Terms of the baseline, and noise; k of them.
    weight : ndarray, float64, shape (k, m)
        Posterior probability.
    depth, depth_err : ndarray, float64, shape (k, m)
        Best depth and its error of each [mag].
    log_odds : float
        Natural logarithm of the Bayes factor against no transit.
    """

    shapes: Shapes
    models: list[tuple[tuple[str, ...], Noise]]
    weight: Real
    depth: Real
    depth_err: Real
    log_odds: float

    def of_shape(self, value: Real) -> Real:
        """Return the quantiles `SIGMAS` of a property of the shapes."""
        at, inverse = np.unique(value, return_inverse=True)
        total = np.cumsum(np.bincount(inverse, self.weight.sum(axis=0)))
        edges = np.concatenate([at[:1], 0.5 * (at[1:] + at[:-1]), at[-1:]])
        return np.asarray(np.interp(SIGMAS, np.concatenate([[0.0], total / total[-1]]), edges))

    def of_depth(self) -> Real:
        """Return the quantiles `SIGMAS` of the depth [mag]."""
        some = self.weight > 1e-7
        weight, mean, error = self.weight[some], self.depth[some], self.depth_err[some]
        at = np.linspace((mean - 4.0 * error).min(), (mean + 4.0 * error).max(), 300)
        below = np.array([(weight * ndtr((x - mean) / error)).sum() for x in at]) / weight.sum()
        return np.asarray(np.interp(SIGMAS, below, at))

    def share(self, terms: tuple[str, ...]) -> float:
        """Return the probability of a baseline."""
        return float(sum(w.sum() for w, (t, _) in zip(self.weight, self.models, strict=True) if t == terms))

    def best_baseline(self) -> tuple[str, ...]:
        """Return the most probable baseline."""
        return max(dict.fromkeys(t for t, _ in self.models), key=self.share)

    def best_noise(self, terms: tuple[str, ...]) -> Noise:
        """Return the most probable noise with a baseline."""
        mine = [k for k, (t, _) in enumerate(self.models) if t == terms]
        return self.models[max(mine, key=lambda k: float(self.weight[k].sum()))][1]

    @property
    def red_sigma(self) -> float:
        """Mean standard deviation of the red noise [mag]."""
        return float(sum(w.sum() * noise.red_sigma for w, (_, noise) in zip(self.weight, self.models, strict=True)))


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    middle: Real
    width: Real
    ingress: Real

    def shapes(self) -> Shapes:
        return Shapes(*(axis.ravel() for axis in np.meshgrid(self.middle, self.width, self.ingress, indexing="ij")))


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """Where transits are looked for, and what is believed beforehand.

    Parameters
    ----------
    shortest, longest : float
        First to last contact [d].
    min_inside, min_outside : int
        Fewest measurements inside and outside.
    baseline_prior_mag : float
        Expected size of each term of the baseline [mag].
    red_noise_prior : float
        Probability beforehand that there is red noise.
    """

    shortest: float
    longest: float
    min_inside: int
    min_outside: int
    baseline_prior_mag: float
    red_noise_prior: float

    def posterior(self, curve: Curve) -> Posterior | None:
        """Return the posterior of one transit; None where no trapezoid fits into the series.

        The grid is refined twice: from all places with white noise only to those that are likely whatever the noise.
        """
        noises = self._noises(curve)
        found, grid = self._weigh(curve, self._coarse(curve), noises[:1]), self._coarse(curve)
        if found is None:
            return None
        for fall in (_WIDE, _NARROW):
            grid = _narrowed(grid, found, fall)
            found = self._weigh(curve, grid, noises)
            assert found is not None
            best = {id(noise): -np.inf for noise in noises}
            for weight, (_, noise) in zip(found.weight, found.models, strict=True):
                best[id(noise)] = max(best[id(noise)], float(np.log(max(weight.max() / found.weight.max(), 1e-300))))
            noises = [noise for noise in noises if best[id(noise)] > -_UNLIKELY]
        return found

    def _noises(self, curve: Curve) -> list[Noise]:
        typical, span = float(np.median(curve.sigma)), float(np.ptp(curve.time))
        kinds = list(product(_RED_RATIOS, _RED_SPANS))
        red = [Noise(ratio * typical, part * span, self.red_noise_prior / len(kinds)) for ratio, part in kinds]
        return [Noise(0.0, span, 1.0 - self.red_noise_prior), *red]

    def _coarse(self, curve: Curve) -> _Grid:
        number = int(np.ptp(curve.time) / self.shortest * _STEPS_PER_SHORTEST)
        middle = np.linspace(curve.time[0], curve.time[-1], min(max(number, 20), _MOST_MIDDLES))
        return _Grid(middle, np.geomspace(0.9 * self.shortest, 0.9 * self.longest, 14), np.array(_INGRESSES))

    def _weigh(self, curve: Curve, grid: _Grid, noises: list[Noise]) -> Posterior | None:
        shapes = grid.shapes()
        away = np.abs(curve.time[:, None] - shapes.middle)
        inside, outside = (away < 0.45 * shapes.width).sum(axis=0), (away > 0.5 * shapes.duration).sum(axis=0)
        rows = np.flatnonzero((inside >= self.min_inside) & (outside >= self.min_outside))
        if not rows.size:
            return None
        shapes = Shapes(shapes.middle[rows], shapes.width[rows], shapes.ingress[rows])
        columns = np.column_stack([np.ones(curve.time.size), *curve.terms.values(), curve.mag])
        names = list(curve.terms)
        options = list(chain.from_iterable(combinations(range(len(names)), k) for k in range(len(names) + 1)))
        box = np.ascontiguousarray(shapes.values(curve.time))
        low, high = np.percentile(curve.mag, [2.0, 98.0])
        depth_prior = max(float(high - low), _LEAST_DEPTH_PRIOR_MAG)  # wide enough for the deepest eclipse
        parts, models = [], []
        for noise in noises:
            flat, log_determinant = whiten_red(columns, curve.time, curve.sigma**2, noise.red_sigma, noise.memory)
            event, _ = whiten_red(box, curve.time, curve.sigma**2, noise.red_sigma, noise.memory)
            sums = flat.T @ flat, flat.T @ event, (event * event).sum(axis=0)
            constant = np.log(noise.prior) - 0.5 * log_determinant
            for option in options:
                parts.append(self._solve(*sums, [0, *(k + 1 for k in option)], constant, curve.time.size, depth_prior))
                models.append((tuple(names[k] for k in option), noise))
        log_weight, depth, error, nothing = (np.array(part) for part in zip(*parts, strict=True))
        odds = float(logsumexp(log_weight) - np.log(rows.size) - logsumexp(nothing))
        weight = np.exp(log_weight - log_weight.max())
        return Posterior(shapes, models, weight / weight.sum(), depth, error, odds)

    def _solve(
        self, normal: Real, mixed: Real, squares: Real, which: list[int], constant: float, n: int, depth_prior: float
    ) -> tuple[Real, Real, Real, float]:
        """Marginalise baseline, depth and the size of the noise: log weights, depths, errors; log weight of nothing.

        Gaussian priors of baseline and depth; the common factor of all errors has Jeffreys' prior, so the sum of
        squares enters with the power of half the degrees of freedom.
        """
        prior = np.diag([1e-12, *[self.baseline_prior_mag**-2] * (len(which) - 1)])
        root = np.linalg.cholesky(normal[np.ix_(which, which)] + prior)
        inverse = np.linalg.inv(root)
        data, event = inverse @ normal[which, -1], inverse @ mixed[which]
        left = normal[-1, -1] - data @ data
        curvature = squares - (event**2).sum(axis=0) + depth_prior**-2
        slope = mixed[-1] - event.T @ data
        depth, squares_left = slope / curvature, left - slope**2 / curvature
        error = np.sqrt(squares_left / (n - 3) / curvature)
        alone = constant - np.log(np.diag(root)).sum() - (len(which) - 1) * np.log(self.baseline_prior_mag)
        size = -0.5 * np.log(curvature) - np.log(depth_prior) - 0.5 * (n - 1) * np.log(squares_left)
        return (
            alone + size + log_ndtr(depth / error), depth, error, float(alone - 0.5 * (n - 1) * np.log(left)),
        )  # fmt: skip


def _narrowed(grid: _Grid, found: Posterior, fall: float) -> _Grid:
    """Return a finer grid over the places that are likely."""
    most = found.weight.max(axis=0)
    likely = most > most.max() * np.exp(-fall)

    def limits(axis: Real, value: Real) -> tuple[float, float]:
        first, last = np.searchsorted(axis, [value[likely].min(), value[likely].max()])
        return float(axis[max(first - 1, 0)]), float(axis[min(last + 1, axis.size - 1)])

    middle, width = limits(grid.middle, found.shapes.middle), limits(grid.width, found.shapes.width)
    return _Grid(np.linspace(*middle, _FINE[0]), np.geomspace(*width, _FINE[1]), np.linspace(0.02, 0.48, _FINE[2]))


def trapezoids(time: Real, middle: Real, duration: Real, ingress: Real) -> Real:
    """Return trapezoids of unit depth.

    Parameters
    ----------
    time : ndarray, float64, shape (n,)
        Times.
    middle, duration, ingress : ndarray, float64, shape (m,)
        Middle, duration from first to last contact, and ingress as a fraction of the duration (0 to 0.5).

    Returns
    -------
    ndarray, float64, shape (n, m)
        From 0 outside to 1 at the bottom.
    """
    slope = np.maximum(ingress, 1e-3) * duration
    return np.asarray(np.clip((0.5 * duration - np.abs(time[:, None] - middle)) / slope, 0.0, 1.0))
