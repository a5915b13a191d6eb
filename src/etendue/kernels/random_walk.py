"""Random functions of time whose value at any moment needs no other: damped random walks, cycles and flares.

Every number is drawn from a counter that is made of an object's own 64-bit word and of its place on a fixed grid of
times, so values do not depend on the order or the number of the moments asked for.
"""

import numpy as np
from numba import njit, types, void

from etendue.kernels.random_numbers import bits_of, next_state, normal, poisson, uniform_of
from etendue.kernels.types import F64, F64_1D, F64_1D_OUT, I64_1D

U64_1D = types.Array(types.uint64, 1, "C", readonly=True)

_STEP_DAYS = 2.0**-10
_TOP_TAUS = 16.0
_ODD_A = np.uint64(0xD6E8FEB86659FD93)
_ODD_B = np.uint64(0xA0761D6478BD642F)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def place_state(word, level, index):
    """Return the counter of one place on an object's grid.

    Parameters
    ----------
    word : uint64
        The object's own.
    level, index : int
        Which grid, and which of its places.

    Returns
    -------
    uint64
    """
    state = bits_of(word + np.uint64(level) * _ODD_A)
    return bits_of(state ^ (np.uint64(index) * _ODD_B))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _node(word, level, index):
    value, _ = normal(place_state(word, level, index))
    return value


@njit([void(F64_1D_OUT, U64_1D, F64_1D, F64_1D)], cache=True, nogil=True, error_model="numpy")
def damped_walk(out, words, tau, times):
    """Evaluate damped random walks (Ornstein-Uhlenbeck processes) of zero mean and unit variance.

    The slow definition: on a grid of 2**-10 day the values are jointly normal with correlation ``exp(-|dt| / tau)``;
    between neighbours of the grid they lie on a straight line (which leaves out ``sqrt(dt / tau)``, 2e-3 for 200
    days). Intervals of at least 16 tau have independent ends (correlation 1e-7 left out); they are halved down to the
    grid, and each midpoint is drawn from its exact distribution given the ends, which by the Markov property is that
    given everything outside.

    Parameters
    ----------
    out : ndarray, float64, shape (n,)
        Filled with the values.
    words : ndarray, uint64, shape (n,)
        Random word of each object.
    tau : ndarray, float64, shape (n,)
        Damping times [day].
    times : ndarray, float64, shape (n,)
        Times, within 2**40 grid steps of 0 [day].
    """
    for i in range(out.size):
        level = 0
        length = _STEP_DAYS
        while length < _TOP_TAUS * tau[i]:
            length *= 2.0
            level += 1
        index = np.int64(np.floor(times[i] / length))
        left, right = _node(words[i], 63, index), _node(words[i], 63, index + 1)
        start = index * length
        drop = -np.expm1(-0.5 * length / tau[i])  # 1 - correlation over half the interval
        while level > 0:
            length *= 0.5
            level -= 1
            keep = 1.0 - drop
            together = 1.0 + keep * keep
            # Midpoints are odd multiples of their level's step, so each place has one level.
            index = 2 * index + 1
            spread = np.sqrt(drop * (1.0 + keep) / together)
            middle = keep * (left + right) / together + spread * _node(words[i], level, index)
            if times[i] < start + length:
                right = middle
                index -= 1
            else:
                left = middle
                start += length
            drop /= 1.0 + np.sqrt(keep)
        out[i] = left + (right - left) * (times[i] - start) / length


@njit([void(F64_1D_OUT, U64_1D, I64_1D)], cache=True, nogil=True, error_model="numpy")
def cycle_normals(out, words, cycles):
    """Draw the normal deviate that belongs to a cycle of an object.

    Parameters
    ----------
    out : ndarray, float64, shape (n,)
        Filled.
    words : ndarray, uint64, shape (n,)
        Random word of each object.
    cycles : ndarray, int64, shape (n,)
        Which cycle.
    """
    for i in range(out.size):
        out[i] = _node(words[i], 62, cycles[i])


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _flare_integral(x):
    """Integrate the flare template of Davenport et al. (2014, ApJ 797, 122), eqs. 1 and 4, from its start to x."""
    if x <= -1.0:
        return 0.0
    rise = 1.0 / 5.0 * -1.125 - 1.0 / 4.0 * -2.246 + 1.0 / 3.0 * -0.175 - 0.5 * 1.941 + 1.0
    if x <= 0.0:
        return rise + x * (1.0 + x * (1.941 / 2.0 + x * (-0.175 / 3.0 + x * (-2.246 / 4.0 + x * -1.125 / 5.0))))
    fast, slow = -np.expm1(-1.600 * x), -np.expm1(-0.2783 * x)
    return rise + 0.6890 / 1.600 * fast + 0.3030 / 0.2783 * slow


_FLARES = void(F64_1D_OUT, U64_1D, F64_1D, F64_1D, F64_1D, F64_1D, F64)


@njit([_FLARES], cache=True, nogil=True, error_model="numpy")
def flare_flux(out, words, rate, smallest, width, times, exposure):
    """Sum the flares of stars, averaged over an exposure.

    Cells of half a day hold Poisson numbers of flares at uniform times. Peaks follow ``dN/dpeak ~ peak**-2`` from the
    smallest to 1000 times it; widths grow as ``peak**0.3``.

    Parameters
    ----------
    out : ndarray, float64, shape (n,)
        Filled with flux, in the unit of ``smallest``.
    words : ndarray, uint64, shape (n,)
        Random word of each star.
    rate : ndarray, float64, shape (n,)
        Flares per day.
    smallest : ndarray, float64, shape (n,)
        Peak flux of the smallest flares.
    width : ndarray, float64, shape (n,)
        Full width at half maximum of the smallest flares [day].
    times : ndarray, float64, shape (n,)
        Mid-exposure [day].
    exposure : float
        Exposure time, positive [day].
    """
    cell = 0.5
    for i in range(out.size):
        total = 0.0
        here = np.int64(np.floor((times[i] + 0.5 * exposure) / cell))
        for index in range(here - 1, here + 1):
            state = place_state(words[i], 61, index)
            count, state = poisson(state, rate[i] * cell)
            for _ in range(int(count)):
                state = next_state(state)
                peak_time = (index + uniform_of(state)) * cell
                state = next_state(state)
                peak = 1.0 / (1.0 - 0.999 * uniform_of(state))
                wide = width[i] * peak**0.3
                before = (times[i] - 0.5 * exposure - peak_time) / wide
                after = (times[i] + 0.5 * exposure - peak_time) / wide
                if after > -1.0:
                    total += peak * (_flare_integral(after) - _flare_integral(before)) * wide / exposure
        out[i] = smallest[i] * total
