"""Miras and semi-regular variables: slow, large and a little different every cycle."""

import numpy as np
from numpy.typing import NDArray

from etendue.kernels.random_walk import cycle_normals
from etendue.simulate.population.layer import Columns
from etendue.simulate.population.variable_kind import Look

Vector = NDArray[np.float64]

_WAVE_NM = np.array([354.0, 468.0, 551.0, 616.0, 748.0, 887.0, 970.0])
# Amplitude relative to V: molecular bands amplify it in the blue and hardly exist in the near infrared.
_AMPLITUDE = np.array([0.85, 1.05, 1.0, 0.86, 0.58, 0.40, 0.32])
_CYCLE_SCATTER = 0.12


def draw_miras(rng: np.random.Generator, count: int, span: tuple[float, float]) -> Columns:
    """Draw Miras.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    count : int
        How many.
    span : tuple of float
        First and last time of the survey; not used [day].

    Returns
    -------
    dict of ndarray
        ``period_day`` (100 to 600), ``amplitude_mag`` (peak to peak in V, 2.5 to 8), ``rise`` (share of a cycle),
        ``phase``, ``word``, ``color_gi``, ``metallicity``.
    """
    return {
        "period_day": np.clip(rng.normal(300.0, 85.0, count), 100.0, 600.0),
        "amplitude_mag": np.clip(rng.normal(4.6, 1.1, count), 2.5, 8.0),
        "rise": np.clip(rng.normal(0.42, 0.05, count), 0.25, 0.55),
        "phase": rng.random(count),
        "word": rng.integers(0, 2**63, count, dtype=np.uint64),
        "color_gi": rng.normal(3.1, 0.25, count),
        "metallicity": rng.normal(-0.3, 0.2, count),
    }


def draw_semiregulars(rng: np.random.Generator, count: int, span: tuple[float, float]) -> Columns:
    """Draw semi-regular red giants.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    count : int
        How many.
    span : tuple of float
        First and last time of the survey; not used [day].

    Returns
    -------
    dict of ndarray
        As of `draw_miras`, with amplitudes of 0.1 to 2 mag and symmetric cycles.
    """
    return {
        "period_day": np.exp(rng.normal(np.log(70.0), 0.5, count)).clip(20.0, 300.0),
        "amplitude_mag": np.exp(rng.normal(np.log(0.5), 0.5, count)).clip(0.1, 2.0),
        "rise": np.full(count, 0.5),
        "phase": rng.random(count),
        "word": rng.integers(0, 2**63, count, dtype=np.uint64),
        "color_gi": rng.normal(2.5, 0.25, count),
        "metallicity": rng.normal(-0.3, 0.3, count),
    }


def mira_change(star: Columns, look: Look) -> Vector:
    """Return how much fainter than their mean Miras are.

    Parameters
    ----------
    star : dict of ndarray
        As drawn.
    look : Look
        When and in which light.

    Returns
    -------
    ndarray, float64, shape (n,)
        Change [mag]: half cosines up and down, whose ends scatter from cycle to cycle by 12% of the amplitude.
    """
    return _cycles(star, look, _CYCLE_SCATTER)


def semiregular_change(star: Columns, look: Look) -> Vector:
    """Return how much fainter than their mean semi-regular variables are.

    Parameters
    ----------
    star : dict of ndarray
        As drawn.
    look : Look
        When and in which light.

    Returns
    -------
    ndarray, float64, shape (n,)
        Change [mag]: like Miras, with a scatter of 30% from cycle to cycle.
    """
    return _cycles(star, look, 0.3)


def _cycles(star: Columns, look: Look, scatter: float) -> Vector:
    turns = look.times / star["period_day"] + star["phase"]
    cycle = np.floor(turns).astype(np.int64)
    part, rise = turns - cycle, star["rise"]
    # A cycle starts at minimum, rises to its maximum and falls to the next minimum.
    rising = part < rise
    up = np.where(rising, part / rise, (1.0 - part) / (1.0 - rise))
    bright = -0.5 + scatter * _drawn(star["word"], 2 * cycle)
    faint = 0.5 + scatter * _drawn(star["word"], 2 * (cycle + np.where(rising, 0, 1)) + 1)
    change = faint + (bright - faint) * 0.5 * (1.0 - np.cos(np.pi * up))
    return star["amplitude_mag"] * np.interp(look.bandpass.pivot_nm, _WAVE_NM, _AMPLITUDE) * change


def _drawn(words: NDArray[np.uint64], cycles: NDArray[np.int64]) -> Vector:
    out = np.empty(words.size)
    cycle_normals(out, words, cycles)
    return out
