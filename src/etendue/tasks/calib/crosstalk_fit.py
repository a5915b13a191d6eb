"""Crosstalk coefficients from the pixels of victims."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
UNIT = 1e4
"""Quadratic coefficients are solved for in parts of this signal [ADU]."""
_VARIED, _STRANGE = 0.15, 2.5


@dataclass(frozen=True, slots=True, eq=False)
class VictimFit:
    """Coefficients of all aggressors on one victim.

    Parameters
    ----------
    linear, quadratic : ndarray, float64, shape (m,)
        [1, 1/ADU]; 0 where not fitted.
    linear_err, quadratic_err : ndarray, float64, shape (m,)
        Errors; NaN where no light told.
    """

    linear: Matrix
    quadratic: Matrix
    linear_err: Matrix
    quadratic_err: Matrix

    def significant(self, least: float) -> "VictimFit":
        """Return the fit with coefficients of 0 where neither is significant.

        Parameters
        ----------
        least : float
            [sigma].

        Returns
        -------
        VictimFit
        """
        linear = np.abs(self.linear) >= least * np.nan_to_num(self.linear_err)
        quadratic = np.abs(self.quadratic) >= least * np.nan_to_num(self.quadratic_err, nan=np.inf)
        real = linear | quadratic
        return replace(self, linear=np.where(real, self.linear, 0.0), quadratic=np.where(real, self.quadratic, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class VictimPixels:
    """Pixels of one victim where aggressors are bright.

    Parameters
    ----------
    design : ndarray, float64, shape (2 m, k)
        Signals of the aggressors above their surroundings, and by how much their squares exceed those of the
        surroundings, over `UNIT` [ADU].
    value : ndarray, float32, shape (k,)
        The victim above its surroundings [ADU].
    weight : ndarray, float64, shape (k,)
        1 over its noise [1/ADU].
    told : ndarray, bool, shape (m,)
        Aggressors with enough bright pixels.
    varied : ndarray, bool, shape (m,)
        Aggressors of different brightness, which tell a quadratic coefficient from a linear one.
    offset : float
        Error that the mean of an aggressor's pixels has in all frames alike: that of the bias [ADU].
    """

    design: Matrix
    value: NDArray[np.float32]
    weight: Matrix
    told: NDArray[np.bool_]
    varied: NDArray[np.bool_]
    offset: float = 0.0

    @classmethod
    def of(
        cls,
        design: Matrix,
        value: NDArray[np.float32],
        weight: Matrix,
        told: NDArray[np.bool_],
        bright: float,
        offset: float = 0.0,
    ) -> "VictimPixels":
        """Find out which aggressors vary.

        Parameters
        ----------
        design, value, weight, told
            As of the class.
        bright : float
            Pixels of an aggressor above this tell [ADU].
        offset
            As of the class.

        Returns
        -------
        VictimPixels
        """
        varied = np.zeros(told.size, np.bool_)
        for j in np.flatnonzero(told):
            signal = design[j, design[j] > bright]
            varied[j] = np.std(signal) > _VARIED * np.mean(signal)
        return cls(design, value, weight, told, varied, offset)

    def fit(
        self,
        clip: float,
        iterations: int,
        *,
        bent: NDArray[np.bool_] | None = None,
        expected: tuple[Matrix, Matrix] | None = None,
    ) -> VictimFit:
        """Fit by least squares and clip in turn.

        Parameters
        ----------
        clip : float
            Pixels further from the fit are left out [sigma].
        iterations : int
            Fits.
        bent : ndarray, bool, shape (m,), optional
            Aggressors with a quadratic coefficient; by default all that vary.
        expected : tuple of ndarray, float64, shape (m,), optional
            What the quadratic coefficients are expected to be, and how well that is known [1/ADU].

        Returns
        -------
        VictimFit
        """
        m = self.told.size
        used = np.concatenate([self.told, self.varied if bent is None else bent & self.varied])
        solution, error = np.zeros(2 * m), np.full(2 * m, np.nan)
        if used.any():
            solution[used], error[used] = self._solve(used, clip, iterations, expected)
        return VictimFit(solution[:m], solution[m:] / UNIT, error[:m], error[m:] / UNIT)

    def _solve(
        self, used: NDArray[np.bool_], clip: float, iterations: int, expected: tuple[Matrix, Matrix] | None
    ) -> tuple[Matrix, Matrix]:
        matrix, target = self.design[used] * self.weight, self.value * self.weight
        known, wanted = np.zeros(used.size), np.zeros(used.size)
        if expected is not None:
            known[self.told.size :] = (expected[1] * UNIT) ** -2.0
            wanted[self.told.size :] = expected[0] * UNIT
        known, wanted = known[used], wanted[used]
        kept = np.abs(target) < clip + self._typical() * self.weight
        scatter = 1.0
        for _ in range(iterations):
            some, weight = matrix[:, kept], self.weight[kept]
            covariance = np.linalg.pinv(some @ some.T / scatter**2 + np.diag(known), hermitian=True)
            found = covariance @ (some @ target[kept] / scatter**2 + known * wanted)
            left = target - found @ matrix
            scatter = max(1.4826 * float(np.median(np.abs(left[kept]))), 1.0)
            kept = np.abs(left) < clip * scatter
        common = self.offset * covariance @ (some @ weight) / scatter**2
        return found, np.sqrt(np.diag(covariance) + common**2)

    def _typical(self) -> Matrix:
        """Return twice what the median ratio to the strongest aggressor predicts: where a fit may begin to look."""
        above = self.design[: self.told.size]
        strongest = above.argmax(axis=0)
        expected = np.zeros(self.value.size)
        for j in np.flatnonzero(self.told):
            mine = strongest == j
            if mine.any():
                expected[mine] = 2.0 * abs(np.median(self.value[mine] / above[j, mine])) * above[j, mine]
        return expected


def quadratic_scale(linear: Matrix, quadratic: Matrix, error: Matrix) -> tuple[float, float]:
    """Return how quadratic coefficients scale with linear ones over all pairs, and how well single pairs follow.

    Both come from the same path between two amplifiers, and a single pair's quadratic coefficient is often lost in the
    noise, but then pulls the linear one. The ratio is taken as normally distributed; its mean and width are where the
    likelihood of all pairs is highest, once more without pairs that lie 2.5 sigma off, the width at least half of
    the mean. If pairs have nothing in common it comes out wide and pulls nothing.

    Parameters
    ----------
    linear, quadratic, error : ndarray, float64, shape (n,)
        Coefficients of pairs [1, 1/ADU], and error of the quadratic ones.

    Returns
    -------
    ratio, width : float
        [1/ADU].
    """
    scale = _most_likely(linear, quadratic, error)
    near = np.abs(quadratic - scale[0] * linear) < _STRANGE * np.hypot(error, scale[1] * linear)
    return _most_likely(linear[near], quadratic[near], error[near]) if near.sum() > linear.size // 2 else scale


def _most_likely(linear: Matrix, quadratic: Matrix, error: Matrix) -> tuple[float, float]:
    best = (-np.inf, 0.0, 0.0)
    typical = float(np.median(np.abs(quadratic) + error) / max(float(np.median(np.abs(linear))), 1e-12))
    for width in typical * np.geomspace(0.02, 50.0, 80):
        variance = error**2 + (width * linear) ** 2
        ratio = float(np.sum(quadratic * linear / variance) / np.sum(linear**2 / variance))
        likelihood = -0.5 * float(np.sum((quadratic - ratio * linear) ** 2 / variance + np.log(variance)))
        if likelihood > best[0]:
            best = (likelihood, ratio, width)
    _, ratio, width = best
    width = max(width, 0.5 * abs(ratio), 1e-16)
    ratio_err = np.sum(linear**2 / (error**2 + (width * linear) ** 2)) ** -0.5
    return ratio, float(np.hypot(width, ratio_err))
