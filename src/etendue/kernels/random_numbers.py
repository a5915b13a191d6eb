"""Random numbers inside kernels: counted bits, normal and Poisson deviates.

A row of an image has a state of its own (one random 64-bit word), so that rows do not depend on each other.
"""

import numpy as np
from numba import njit, types, void
from numpy.typing import NDArray
from scipy.special import pdtr

from etendue.kernels.types import F32_2D_OUT, F64

U64_1D = types.Array(types.uint64, 1, "C", readonly=True)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)
_S8, _S11 = np.uint64(8), np.uint64(11)
_LOW_BYTE, _BIT8 = np.uint64(255), np.uint64(256)
_UNIT = 2.0**-53
_FEW = 16.0  # Poisson means below this are drawn by inversion
_LEVELS = 8  # ... from tables of this many means per electron
_MOST = 64  # ... and never exceed this (probability below 1e-17)
_S56 = np.uint64(56)


def _ziggurat() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the edges of 256 layers of equal area under the normal curve, and its height there."""
    start, area = 3.6541528853610088, 0.00492867323399
    edge = np.zeros(257)
    edge[0], edge[1] = area / np.exp(-0.5 * start * start), start
    for i in range(1, 255):
        edge[i + 1] = np.sqrt(-2.0 * np.log(area / edge[i] + np.exp(-0.5 * edge[i] * edge[i])))
    return edge, np.exp(-0.5 * edge * edge)


def _poisson_tables() -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return cumulative probabilities at even means, and where to begin the search for each 256th of probability."""
    means = np.arange(int(_FEW) * _LEVELS) / _LEVELS
    cumulative = pdtr(np.arange(_MOST)[None, :], means[:, None])
    cumulative[:, -1] = 2.0  # ends every search
    guide = np.array([np.searchsorted(row, np.arange(256) / 256.0, side="right") for row in cumulative])
    return cumulative, guide.astype(np.uint8)


_EDGE, _HEIGHT = _ziggurat()
_CUMULATIVE, _GUIDE = _poisson_tables()


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def bits_of(state):
    """Return 64 random bits of a counter; add `next_state` steps between calls.

    SplitMix64 (Steele, Lea and Flood 2014, OOPSLA): a Weyl sequence through a mixing function.

    Parameters
    ----------
    state : uint64
        The counter.

    Returns
    -------
    uint64
    """
    z = (state ^ (state >> _S30)) * _MIX_A
    z = (z ^ (z >> _S27)) * _MIX_B
    return z ^ (z >> _S31)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def next_state(state):
    """Return the counter after this one.

    Parameters
    ----------
    state : uint64
        The counter.

    Returns
    -------
    uint64
    """
    return state + _STEP


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def uniform_of(state):
    """Return a uniform deviate in [0, 1).

    Parameters
    ----------
    state : uint64
        The counter.

    Returns
    -------
    float
    """
    return float(bits_of(state) >> _S11) * _UNIT


@njit(cache=True, nogil=True, error_model="numpy")
def _normal_outside(state, value, layer):
    """Finish the few normal deviates that fall outside a layer's rectangle."""
    while True:
        if layer == 0:
            tail = 1.0
            beyond = 0.0
            while 2.0 * tail < beyond * beyond or beyond == 0.0:
                state = next_state(state)
                beyond = -np.log(1.0 - uniform_of(state)) / _EDGE[1]
                state = next_state(state)
                tail = -np.log(1.0 - uniform_of(state))
            return (_EDGE[1] + beyond if value > 0.0 else -_EDGE[1] - beyond), state
        state = next_state(state)
        height = _HEIGHT[layer] + uniform_of(state) * (_HEIGHT[layer + 1] - _HEIGHT[layer])
        if height < np.exp(-0.5 * value * value):
            return value, state
        state = next_state(state)
        bits = bits_of(state)
        layer = np.int64(bits & _LOW_BYTE)
        value = float(bits >> _S11) * _UNIT * _EDGE[layer]
        if bits & _BIT8:
            value = -value
        if abs(value) < _EDGE[layer + 1]:
            return value, state


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def normal(state):
    """Return a normal deviate of zero mean and unit variance, and the state to go on with.

    The ziggurat of Marsaglia and Tsang (2000, J. Stat. Software 5, 8) with 256 layers and 53-bit abscissae.

    Parameters
    ----------
    state : uint64
        The counter.

    Returns
    -------
    value : float
        The deviate.
    state : uint64
        The counter, moved on.
    """
    state = next_state(state)
    bits = bits_of(state)
    layer = np.int64(bits & _LOW_BYTE)
    value = float(bits >> _S11) * _UNIT * _EDGE[layer]
    if bits & _BIT8:
        value = -value
    if not abs(value) < _EDGE[layer + 1]:
        value, state = _normal_outside(state, value, layer)
    return value, state


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _poisson_few(state, mean):
    """Draw a Poisson deviate as the sum of one of an even mean, by table, and one of the rest, mostly 0."""
    level = int(mean * _LEVELS)
    state = next_state(state)
    u = uniform_of(state)
    count = np.int64(_GUIDE[level, bits_of(state) >> _S56])
    while u >= _CUMULATIVE[level, count]:
        count += 1
    rest = mean - level / _LEVELS
    state = next_state(state)
    u = uniform_of(state)
    term = 1.0 - rest * (1.0 - rest / 2.0 * (1.0 - rest / 3.0 * (1.0 - rest / 4.0 * (1.0 - rest / 5.0))))  # exp(-rest)
    total, extra = term, 0
    while u > total and extra < _MOST:
        extra += 1
        term *= rest / extra
        total += term
    return float(count + extra), state


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def poisson(state, mean):
    """Return a Poisson deviate and the state to go on with.

    Below a mean of 16 by inversion, exact to 1e-8; above, a normal deviate with Cornish and Fisher's third-order terms,
    rounded, with Sheppard's 1/12 taken off the variance: the distribution is within 3e-4 (total variation) of the
    exact one, mean and variance within 2e-5.

    Parameters
    ----------
    state : uint64
        The counter.
    mean : float
        Mean; 0 is returned if it is not positive.

    Returns
    -------
    count : float
        The deviate.
    state : uint64
        The counter, moved on.
    """
    if mean >= _FEW:
        z, state = normal(state)
        sigma = np.sqrt(mean - 1.0 / 12.0)
        value = mean + sigma * z + (z * z - 1.0) / 6.0 + (z - z * z * z) / (72.0 * sigma)
        return max(0.0, np.floor(value + 0.5)), state
    if mean > 0.0:
        return _poisson_few(state, mean)
    return 0.0, state


@njit([void(F32_2D_OUT, F64, U64_1D)], cache=True, nogil=True, error_model="numpy")
def fill_normal(out, sigma, states):
    """Fill an image with normal deviates.

    Parameters
    ----------
    out : ndarray, float32, shape (ny, nx)
        Filled.
    sigma : float
        Standard deviation.
    states : ndarray, uint64, shape (ny,)
        One random word for each row.
    """
    for row in range(out.shape[0]):
        state = states[row]
        for col in range(out.shape[1]):
            value, state = normal(state)
            out[row, col] = sigma * value


@njit([void(F32_2D_OUT, U64_1D)], cache=True, nogil=True, error_model="numpy")
def draw_poisson(image, states):
    """Replace means by Poisson deviates.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Means, changed in place; what is not positive (or NaN) becomes 0.
    states : ndarray, uint64, shape (ny,)
        One random word for each row.
    """
    for row in range(image.shape[0]):
        state = states[row]
        for col in range(image.shape[1]):
            value, state = poisson(state, float(image[row, col]))
            image[row, col] = value
