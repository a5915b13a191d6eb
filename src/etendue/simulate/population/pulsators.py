"""RR Lyrae stars and Cepheids: Fourier series whose coefficients follow amplitude, period and wavelength."""

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.population.layer import Columns
from etendue.simulate.population.variable_kind import Look

Vector = NDArray[np.float64]

_WAVE_NM = np.array([354.0, 468.0, 616.0, 748.0, 887.0, 970.0])

# Means of Fourier fits to the 182 RRab and 44 RRc light curves in ugriz of Sesar et al. (2010, ApJ 708, 717), our own
# fits: amplitude relative to g; delay of the first harmonic relative to g [rad]; phases of the harmonics 2, 3, ...
# relative to the first [rad], each a row over the wavelengths above; y continues z.
_AB_AMPLITUDE = np.array([0.966, 1.0, 0.719, 0.576, 0.520, 0.505])
_AB_DELAY = np.array([-0.060, 0.0, 0.110, 0.230, 0.312, 0.340])
_AB_PHASES = np.array(
    [
        [2.384, 2.390, 2.177, 1.970, 1.852, 1.810],
        [-1.821, -1.854, -2.184, -2.559, -2.776, -2.860],
        [0.101, 0.116, -0.379, -0.804, -1.086, -1.200],
        [2.127, 2.107, 1.531, 0.996, 0.582, 0.430],
        [-2.364, -2.179, -2.979, -3.503, -3.887, -4.030],
    ]
)
_AB_RATIOS = np.array([0.446, 0.308, 0.182, 0.110, 0.071])
_AB_RATIO_SLOPES = np.array([0.20, 0.20, 0.26, 0.14, 0.09])  # per mag of g amplitude beyond 1.01
_AB_PHASE_SLOPES = np.array([0.29, 0.74, 1.09, 1.51, 1.60])
_AB_FIRST = 0.358  # first harmonic over peak to peak
_C_AMPLITUDE = np.array([0.898, 1.0, 0.711, 0.554, 0.484, 0.465])
_C_DELAY = np.array([-0.058, 0.0, 0.028, 0.057, 0.121, 0.140])
_C_PHASES = np.array([[1.756, 1.559, 1.511, 1.450, 1.424, 1.410], [-3.012, -3.189, -3.245, -3.344, -3.377, -3.390]])
_C_RATIOS = np.array([0.126, 0.071])
_C_FIRST = 0.497

# Classical Cepheids: ratios and phases of harmonics 2 to 4 for a saw-tooth, and the amplitude relative to V.
_CEPHEID_AMPLITUDE = np.array([2.0, 1.35, 0.85, 0.62, 0.52, 0.48])
_CEPHEID_DELAY = np.array([-0.10, 0.0, 0.15, 0.28, 0.38, 0.42])


def draw_rr_lyrae(rng: np.random.Generator, count: int, span: tuple[float, float]) -> Columns:
    """Draw RR Lyrae stars: 80% ab, whose amplitudes fall with the period, and 20% c.

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
        ``first_overtone`` (type c), ``period_day``, ``amplitude_mag`` (peak to peak in g), ``phase`` (turns at MJD 0),
        ``color_gi``, ``metallicity``.
    """
    overtone = rng.random(count) < 0.2
    period = np.where(overtone, rng.normal(0.335, 0.038, count), rng.normal(0.58, 0.073, count))
    period = np.clip(period, np.where(overtone, 0.24, 0.40), np.where(overtone, 0.44, 0.85))
    fundamental = np.clip(1.06 - 2.70 * (period - 0.57) + rng.normal(0.0, 0.27, count), 0.30, 1.70)
    return {
        "first_overtone": overtone,
        "period_day": period,
        "amplitude_mag": np.where(overtone, np.clip(rng.normal(0.52, 0.09, count), 0.25, 0.75), fundamental),
        "phase": rng.random(count),
        "color_gi": np.where(overtone, rng.normal(0.11, 0.07, count), rng.normal(0.31, 0.06, count)),
        "metallicity": rng.normal(-1.5, 0.35, count),
    }


def rr_lyrae_change(star: Columns, look: Look) -> Vector:
    """Return how much fainter than their mean RR Lyrae stars are.

    Parameters
    ----------
    star : dict of ndarray
        As drawn.
    look : Look
        When and in which light.

    Returns
    -------
    ndarray, float64, shape (n,)
        Change [mag].
    """
    out = np.empty(look.times.size)
    overtone = star["first_overtone"]
    for rows, series in ((~overtone, _ab), (overtone, _c)):
        turns = look.times[rows] / star["period_day"][rows] + star["phase"][rows]
        out[rows] = series(turns, star["amplitude_mag"][rows], look.bandpass.pivot_nm)
    return out


def draw_cepheids(rng: np.random.Generator, count: int, span: tuple[float, float]) -> Columns:
    """Draw classical Cepheids.

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
        ``period_day``, ``amplitude_mag`` (peak to peak in V), ``phase``, ``color_gi``, ``metallicity``.
    """
    period = np.exp(rng.normal(np.log(6.0), 0.65, count)).clip(2.0, 60.0)
    return {
        "period_day": period,
        "amplitude_mag": np.clip(0.55 + 0.35 * np.log10(period) + rng.normal(0.0, 0.15, count), 0.2, 1.3),
        "phase": rng.random(count),
        "color_gi": 0.75 + 0.35 * (np.log10(period) - 0.8) + rng.normal(0.0, 0.08, count),
        "metallicity": rng.normal(0.0, 0.1, count),
    }


def cepheid_change(star: Columns, look: Look) -> Vector:
    """Return how much fainter than their mean Cepheids are.

    Parameters
    ----------
    star : dict of ndarray
        As drawn.
    look : Look
        When and in which light.

    Returns
    -------
    ndarray, float64, shape (n,)
        Change [mag]: fast rise, slow fall; the second harmonic goes through the Hertzsprung progression near 10 days.
    """
    wave = look.bandpass.pivot_nm
    log_period = np.log10(star["period_day"])
    resonance = np.tanh((log_period - 1.0) / 0.08)
    second = 0.42 - 0.28 * np.exp(-(((log_period - 1.0) / 0.12) ** 2))
    phase = 2.55 + 0.9 * resonance
    turn = 2.0 * np.pi * (look.times / star["period_day"] + star["phase"]) - np.interp(wave, _WAVE_NM, _CEPHEID_DELAY)
    wiggle = np.cos(turn) + second * np.cos(2.0 * turn - phase) + 0.45 * second * np.cos(3.0 * turn - 2.0 * phase)
    amplitude = star["amplitude_mag"] * np.interp(wave, _WAVE_NM, _CEPHEID_AMPLITUDE) / 1.1
    return 0.4 * amplitude * wiggle


def _ab(turns: Vector, amplitude: Vector, wave_nm: float) -> Vector:
    excess = amplitude - 1.01
    ratios = np.maximum(_AB_RATIOS[:, None] + _AB_RATIO_SLOPES[:, None] * excess, 0.0)
    phases = np.array([np.interp(wave_nm, _WAVE_NM, row) for row in _AB_PHASES])
    phases = phases[:, None] + _AB_PHASE_SLOPES[:, None] * np.clip(excess, -0.4, 0.5)
    delay, scale = np.interp(wave_nm, _WAVE_NM, _AB_DELAY), np.interp(wave_nm, _WAVE_NM, _AB_AMPLITUDE)
    return _series(turns, float(delay), ratios, phases) * (_AB_FIRST * float(scale)) * amplitude


def _c(turns: Vector, amplitude: Vector, wave_nm: float) -> Vector:
    phases = np.array([np.interp(wave_nm, _WAVE_NM, row) for row in _C_PHASES])
    delay, scale = np.interp(wave_nm, _WAVE_NM, _C_DELAY), np.interp(wave_nm, _WAVE_NM, _C_AMPLITUDE)
    return _series(turns, float(delay), _C_RATIOS[:, None], phases[:, None]) * (_C_FIRST * float(scale)) * amplitude


def _series(turns: Vector, delay: float, ratios: NDArray[np.float64], phases: NDArray[np.float64]) -> Vector:
    """Return ``cos(x) + sum(ratio_k cos(k x - phase_k))`` with ``x = 2 pi turns - delay``, by powers of exp(i x)."""
    first = np.exp(1j * (2.0 * np.pi * (turns - np.floor(turns)) - delay))
    total, power = first.real.copy(), first
    for ratio, phase in zip(ratios, phases, strict=True):
        power = power * first
        total += ratio * (power.real * np.cos(phase) + power.imag * np.sin(phase))
    return total
