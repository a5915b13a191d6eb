"""Microlensing: a point lens crosses near a point source, with blended light."""

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.population.layer import Columns
from etendue.simulate.population.variable_kind import Look

Vector = NDArray[np.float64]


def draw_microlensing(rng: np.random.Generator, count: int, span: tuple[float, float]) -> Columns:
    """Draw events that peak during the survey.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    count : int
        How many.
    span : tuple of float
        First and last time of the survey [day].

    Returns
    -------
    dict of ndarray
        ``peak_mjd_tai``, ``crossing_day`` (Einstein time, log-normal about 22 days), ``impact`` (in Einstein radii, up
        to 1), ``source_share`` (of the light in r that is lensed), ``blend_redder`` (mag per 100 nm by which the
        rest is redder than the source), ``color_gi``, ``metallicity``.
    """
    return {
        "peak_mjd_tai": rng.uniform(*span, count),
        "crossing_day": np.exp(rng.normal(np.log(22.0), 0.8, count)).clip(1.0, 300.0),
        "impact": rng.uniform(0.005, 1.0, count),
        "source_share": np.where(rng.random(count) < 0.5, 1.0, rng.uniform(0.1, 1.0, count)),
        "blend_redder": rng.normal(0.0, 0.1, count),
        "color_gi": rng.uniform(0.5, 2.2, count),
        "metallicity": rng.normal(-0.3, 0.4, count),
    }


def magnification(separation: Vector) -> Vector:
    """Return the magnification of a point source (Paczynski 1986, ApJ 304, 1, eq. 2).

    Parameters
    ----------
    separation : ndarray, float64, shape (n,)
        Between lens and source, in Einstein radii.

    Returns
    -------
    ndarray, float64, shape (n,)
    """
    square = separation**2
    return (square + 2.0) / (separation * np.sqrt(square + 4.0))


def microlensing_change(star: Columns, look: Look) -> Vector:
    """Return how much fainter than at rest lensed stars are; negative.

    Parameters
    ----------
    star : dict of ndarray
        As drawn.
    look : Look
        When and in which light.

    Returns
    -------
    ndarray, float64, shape (n,)
        Change of source and blend together [mag].
    """
    along = (look.times - star["peak_mjd_tai"]) / star["crossing_day"]
    rest = (1.0 - star["source_share"]) / star["source_share"]
    tilt = star["blend_redder"] * (look.bandpass.pivot_nm - 620.0) / 100.0
    share = 1.0 / (1.0 + rest * 10.0 ** (0.4 * tilt))
    return -2.5 * np.log10(1.0 + share * (magnification(np.hypot(along, star["impact"])) - 1.0))
