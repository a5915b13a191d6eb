"""Probability that a source is a star, by its shape, its brightness, and what the other sources are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]

_NODES = np.geomspace(0.02, 6.0, 32)  # broad fractions of galaxies; each stands for those around it
_NODE_WIDTH = 0.12  # of a node, relative to its place
_LOG_NODES = np.log(_NODES)
_USUAL_SIZE, _USUAL_WIDTH = np.log(0.5), 0.7  # of galaxies' broad fractions, where no galaxy is seen
_LEAST_WIDTH = 0.1
_BIN_MAG = 0.25


class StarProbabilityConfig(TaskConfig):
    """Configuration of `StarProbabilityTask`."""

    star_scatter: float = Field(0.02, ge=0.0)
    """Scatter of stars besides their errors: what the PSF model does wrong."""

    order: int = Field(2, ge=0, le=3)
    """Degree of the logarithm of stars over galaxies, as a polynomial of the magnitude."""

    freedom: float = Field(3.0, gt=0.0)
    """Expected size of its coefficients per half the range of magnitudes, where the data say nothing."""

    usual_galaxies: float = Field(5.0, gt=0.0)
    """Galaxies of usual size that are added to those of the image."""

    iterations: int = Field(300, ge=1)
    """Rounds of the fit at most."""


@dataclass(frozen=True, slots=True, eq=False)
class StarProbability:
    """What the sources of an image are.

    Parameters
    ----------
    probability : ndarray, float64, shape (n,)
        That each source is a star; NaN without a measured shape.
    mag : ndarray, float64, shape (n_bins,)
        Middles of bins of instrumental magnitude.
    star_share : ndarray, float64, shape (n_bins,)
        Share of stars there.
    """

    probability: Real
    mag: Real
    star_share: Real


class StarProbabilityTask(Task[StarProbabilityConfig]):
    """Mixture of stars and galaxies in shape and magnitude, fitted to the image itself (Slater et al. 2020).

    The broad fraction e of a star is 0 but for its error; that of galaxies is log-normal, with a mean that is linear in
    the magnitude. Both are deconvolved from the errors together with the share of stars, a smooth function of the
    magnitude. A distribution of e that is free near 0 could take the stars for galaxies.
    """

    def run(self, *, broad: Real, broad_err: Real, flux: Real) -> StarProbability:
        """Compute probabilities.

        Parameters
        ----------
        broad, broad_err : ndarray, float64, shape (n,)
            Part of the light in a profile broader than the PSF, and its error.
        flux : ndarray, float64, shape (n,)
            PSF fluxes, any unit.

        Returns
        -------
        StarProbability
        """
        probability = np.full(broad.size, np.nan)
        with np.errstate(invalid="ignore"):
            usable = np.isfinite(broad) & (broad_err > 0.0) & (flux > 0.0)
        if not usable.any():
            return StarProbability(probability, np.zeros(0), np.zeros(0))
        mag = -2.5 * np.log10(flux[usable])
        middle, half = 0.5 * (mag.max() + mag.min()), max(0.5 * float(np.ptp(mag)), 0.5)
        powers = np.arange(self.config.order + 1)
        design = ((mag - middle) / half)[:, None] ** powers
        star, galaxy = self._likelihoods(broad[usable], broad_err[usable])
        odds, sizes = np.zeros(powers.size), _log_normal(np.full(mag.size, _USUAL_SIZE), _USUAL_WIDTH)
        for _ in range(self.config.iterations):
            is_star, before = self._probability(star, galaxy, _share(design, odds), sizes), odds
            sizes = self._sizes(galaxy, sizes, 1.0 - is_star, (mag - middle) / half)
            odds = self._odds(design, odds, is_star)
            if np.abs(odds - before).max() < 1e-4:
                break
        probability[usable] = self._probability(star, galaxy, _share(design, odds), sizes)
        bins = np.arange(np.floor(mag.min() / _BIN_MAG), np.floor(mag.max() / _BIN_MAG) + 1.0)
        centre = (bins + 0.5) * _BIN_MAG
        return StarProbability(probability, centre, _share(((centre - middle) / half)[:, None] ** powers, odds))

    def _likelihoods(self, broad: Real, err: Real) -> tuple[Real, Real]:
        """Return the likelihoods as a star, shape (n,), and as a galaxy of each node, shape (n, n_nodes)."""
        width = np.hypot(err, self.config.star_scatter)
        wide = np.hypot(err[:, None], _NODE_WIDTH * _NODES)
        # Far tails are not Gaussian: no shape is impossible.
        star = _gaussian(broad, width) + 1e-6
        return star, _gaussian(broad[:, None] - _NODES, wide) + 1e-6

    def _probability(self, star: Real, galaxy: Real, share: Real, sizes: Real) -> Real:
        of_star = share * star
        return np.asarray(of_star / (of_star + (1.0 - share) * np.einsum("nk,nk->n", galaxy, sizes)))

    def _sizes(self, galaxy: Real, sizes: Real, is_galaxy: Real, mag: Real) -> Real:
        """Return the distribution of each source over nodes, were it a galaxy, that explains the galaxies better."""
        part = galaxy * sizes
        part *= (is_galaxy / part.sum(axis=1))[:, None]
        design, known = np.stack([np.ones(mag.size), mag], axis=1), self.config.usual_galaxies
        normal = (design * is_galaxy[:, None]).T @ design + known * np.eye(2)
        mean = np.linalg.solve(normal, design.T @ (part @ _LOG_NODES) + known * np.array([_USUAL_SIZE, 0.0]))
        off = _LOG_NODES - (design @ mean)[:, None]
        square = np.sum(part * off**2) + known * _USUAL_WIDTH**2
        width = max(float(np.sqrt(square / (is_galaxy.sum() + known))), _LEAST_WIDTH)
        return _log_normal(design @ mean, width)

    def _odds(self, design: Real, odds: Real, is_star: Real) -> Real:
        """Return better coefficients of the logarithm of stars over galaxies, by a Newton step."""
        share = _share(design, odds)
        stiffness = np.eye(odds.size) / self.config.freedom**2
        normal = (design * (share * (1.0 - share))[:, None]).T @ design + stiffness
        slope = design.T @ (is_star - share) - stiffness @ odds
        return np.asarray(odds + np.clip(np.linalg.solve(normal, slope), -1.0, 1.0))


def _share(design: Real, odds: Real) -> Real:
    """Return the share of stars for powers of the magnitude, shape (n, order + 1)."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(design @ odds, -30.0, 30.0))))


def selection_curve(probability: Real) -> tuple[Real, Real, Real]:
    """Return what samples of stars above each threshold are worth, as far as the probabilities are right.

    Parameters
    ----------
    probability : ndarray, float64, shape (n,)
        Of being a star; NaN is left out.

    Returns
    -------
    threshold, purity, completeness : ndarray, float64, shape (m,)
        Falling thresholds; expected share of stars among the sources at or above each, and of all stars that are there.
    """
    ranked = np.sort(probability[np.isfinite(probability)])[::-1]
    stars = np.cumsum(ranked)
    if not ranked.size:
        return ranked, ranked, ranked
    return ranked, stars / np.arange(1, ranked.size + 1), stars / max(stars[-1], 1e-300)


def roc_curve(probability: Real) -> tuple[Real, Real, Real]:
    """Return what part of the stars and of the galaxies is above each threshold, as far as the probabilities are right.

    Parameters
    ----------
    probability : ndarray, float64, shape (n,)
        Of being a star; NaN is left out.

    Returns
    -------
    threshold, stars, galaxies : ndarray, float64, shape (m,)
        Falling thresholds; expected share of all stars, and of all galaxies, at or above each.
    """
    threshold, _, stars = selection_curve(probability)
    galaxies = np.cumsum(1.0 - threshold)
    return threshold, stars, galaxies / max(float(galaxies[-1]), 1e-300) if galaxies.size else galaxies


def _gaussian(offset: Real, width: Real | float) -> Real:
    return np.asarray(np.exp(-0.5 * (offset / width) ** 2) / (np.sqrt(2.0 * np.pi) * width))


def _log_normal(mean: Real, width: float) -> Real:
    """Return shares of the nodes of log-normal distributions, shape (n, n_nodes)."""
    shares = _gaussian(_LOG_NODES - mean[:, None], width) + 1e-12
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
