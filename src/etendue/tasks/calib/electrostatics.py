"""Boundaries of pixels in the field of a charge, fitted to the changes of areas that flats show."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from etendue.image.brighter_fatter import PixelBoundaries

Vector = NDArray[np.float64]
_ALONG = (np.arange(12) - 5.5) / 12.0  # places along a boundary [px]
_IMAGES = np.arange(-6, 7)
_STARTS = (0.05, 0.3)  # depths of the charge [px]
_WIDTHS = np.array([1.0, 1.0, 1.0, 0.15, 0.3])  # of the logarithms, a priori
_THICKNESS = 5.5  # a priori; fits the Poisson solutions of LSST's sensors that GalSim tabulates [px]
_NEAREST = 3  # px
_BETTER = 6.0  # drop of chi2 / 2 that makes a field end early: 3.5 sigma


@dataclass(frozen=True, slots=True)
class Electrostatics:
    """A point charge between two conducting planes, and how it deflects charge that drifts to the pixels.

    The transverse field of the charge and of its images, summed along the drift, moves the line that parts the charge
    of two pixels: the ansatz of Astier and Regnault (2023, A&A 670, A118).

    Parameters
    ----------
    strength : float
        Deflection over the sum of the field along the drift [px/e].
    depth : float
        Height of the charge over the plane of the gates [px].
    serial_height, parallel_height : float
        Height below which charge cannot change the pixel any more, between columns and between rows [px].
    ratio : float
        Strength between rows over that between columns.
    thickness : float
        Distance of the planes [px].
    """

    strength: float
    depth: float
    serial_height: float
    parallel_height: float
    ratio: float
    thickness: float

    def boundaries(self, reach: int) -> PixelBoundaries:
        """Return the shifts of boundaries.

        Parameters
        ----------
        reach : int
            Boundaries on each side.

        Returns
        -------
        PixelBoundaries
        """
        serial, parallel = (self._deflection(height, reach) for height in (self.serial_height, self.parallel_height))
        return PixelBoundaries(self.strength * serial, self.strength * self.ratio * parallel.T)

    def _deflection(self, height: float, reach: int) -> Vector:
        """Return the sum of the field across a boundary, averaged along it, ``[along, across]``."""
        across = (np.arange(reach) + 0.5)[None, :, None]
        square = across**2 + (np.arange(reach)[:, None, None] + _ALONG) ** 2
        total = np.zeros(square.shape)
        for image in 2.0 * self.thickness * _IMAGES:
            for sign in (1.0, -1.0):
                place = image + sign * self.depth
                top, bottom = ((z - place) / np.sqrt(square + (z - place) ** 2) for z in (self.thickness, height))
                total += sign * (top - bottom)
        return np.asarray(np.mean(across / square * total, axis=2))


def fit_electrostatics(area: Vector, area_err: Vector) -> tuple[Electrostatics, int]:
    """Fit the changes of areas.

    The field falls off forever, unless areas say by 3.5 sigma that all boundaries beyond some distance stay where they
    are: then the ring of pixels at that distance grows by what would have been handed on.

    Parameters
    ----------
    area, area_err : ndarray, float64, shape (lag + 1, lag + 1)
        ``a`` and its errors [1/e].

    Returns
    -------
    model : Electrostatics
        Where the charge is, and how strong it is.
    reach : int
        Boundaries on each side that move; lag + 1 if no end was seen.
    """
    whole = area.shape[0]
    guess = np.log(np.array([0.3 * max(-float(area[0, 0]), 1e-9), 0.1, 0.25, 0.1, 1.0, _THICKNESS]))
    starts = []
    for depth in _STARTS:
        start = guess.copy()
        start[1], start[2:4] = np.log(depth), np.log(2.0 * depth)
        starts.append(_fit(area, area_err, guess, start, whole))
    best, found = min(starts, key=lambda fit: fit[1]), whole
    need = best[1] - _BETTER
    for reach in range(_NEAREST, whole - 1):
        fit = _fit(area, area_err, guess, best[0], reach)
        if fit[1] < need:
            best, found, need = fit, reach, fit[1]
    return Electrostatics(*np.exp(best[0]).tolist()), found


def _fit(area: Vector, area_err: Vector, guess: Vector, start: Vector, reach: int) -> tuple[Vector, float]:
    """Return the logarithms of the parameters of a field that ends at ``reach``, and half of chi2."""
    size = area.shape[0]

    def residual(logs: Vector) -> Vector:
        found = Electrostatics(*np.exp(logs)).boundaries(reach).area()[:size, :size]
        off = -area
        off[: found.shape[0], : found.shape[1]] += found
        return np.append((off / area_err).ravel(), (logs[1:] - guess[1:]) / _WIDTHS)

    fit = least_squares(residual, start, bounds=(guess - 6.0, guess + 6.0), x_scale=0.3)
    return fit.x, float(fit.cost)


def refine_boundaries(model: PixelBoundaries, area: Vector, area_err: Vector, *, freedom: float) -> PixelBoundaries:
    """Let single boundaries depart from a model where the areas are known better than it.

    The most probable shifts, if each is normal about the model's with a relative width: linear, as areas are.

    Parameters
    ----------
    model : PixelBoundaries
        Shifts expected.
    area, area_err : ndarray, float64, shape (n, n)
        ``a`` and its errors, n the reach of the model or less [1/e].
    freedom : float
        Relative width; 0 returns the model.

    Returns
    -------
    PixelBoundaries
    """
    if freedom <= 0.0:
        return model
    n, lags = model.reach, area.shape[0]
    shifts = np.concatenate([model.serial.ravel(), model.parallel.ravel()])
    design = np.empty((lags * lags, shifts.size))
    for k in range(shifts.size):
        one = np.zeros(shifts.size)
        one[k] = abs(shifts[k])  # below the bound of a product, whose area is linear
        parts = one.reshape(2, n, n)
        design[:, k] = PixelBoundaries(parts[0], parts[1]).area()[:lags, :lags].ravel() / area_err.ravel()
    left = ((area - model.area()[:lags, :lags]) / area_err).ravel()
    normal = design.T @ design + np.eye(shifts.size) / freedom**2
    serial, parallel = (shifts + np.abs(shifts) * np.linalg.solve(normal, design.T @ left)).reshape(2, n, n)
    return PixelBoundaries(serial, parallel)
