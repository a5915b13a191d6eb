"""Two-body motion about the Sun in universal variables: ellipses, parabolas and hyperbolas alike."""

import numpy as np
from numba import njit, types, void

from etendue.kernels.types import BOOL_1D_OUT, F64, F64_1D, F64_2D, F64_2D_OUT

_LIGHT_DAYS_PER_AU = 499.00478383615643 / 86400.0
_SMALL = 0.1


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def stumpff(x):
    """Return Stumpff's functions c0 to c3 of ``x`` (Danby 1988, eq. 6.9.14).

    Parameters
    ----------
    x : float
        Positive on ellipses, 0 on a parabola, negative on hyperbolas.

    Returns
    -------
    c0, c1, c2, c3 : float
        ``c_k = sum((-x)**j / (2 j + k)!)``.
    """
    if abs(x) < _SMALL:
        c3 = (1.0 - x / 20.0 * (1.0 - x / 42.0 * (1.0 - x / 72.0 * (1.0 - x / 110.0 * (1.0 - x / 156.0))))) / 6.0
        c2 = (1.0 - x / 12.0 * (1.0 - x / 30.0 * (1.0 - x / 56.0 * (1.0 - x / 90.0 * (1.0 - x / 132.0))))) / 2.0
        return 1.0 - x * c2, 1.0 - x * c3, c2, c3
    if x > 0.0:
        root = np.sqrt(x)
        c0, c1 = np.cos(root), np.sin(root) / root
    else:
        root = np.sqrt(-x)
        c0, c1 = np.cosh(root), np.sinh(root) / root
    return c0, c1, (1.0 - c0) / x, (1.0 - c1) / x


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _start(q, e, beta, gm, since):
    """Guess the universal anomaly: the third-order eccentric anomaly of a small eccentricity, or a parabola's."""
    if beta > 0.0 and e < 0.8:
        mean = since * beta * np.sqrt(beta) / gm
        anomaly = mean + 0.85 * e * np.sign(np.sin(mean))
        return anomaly / np.sqrt(beta)
    # Barker's equation q s + gm s**3 / 6 = t bounds |s| from above on hyperbolas and is near it elsewhere.
    half = 3.0 * since / gm
    spread = np.sqrt(half * half + (2.0 * q / gm) ** 3)
    guess = np.cbrt(half + spread) + np.cbrt(half - spread)
    if beta > 0.0:
        edge = np.pi / np.sqrt(beta)
        guess = min(max(guess, -edge), edge)
    return guess


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def solve_kepler(q, e, gm, since):
    """Return the universal anomaly of a time after perihelion.

    Solves ``q s + gm e s**3 c3(beta s**2) = since`` with ``beta = gm (1 - e) / q`` by the Laguerre method of order 5
    (Conway 1986, Celest. Mech. 39, 199), which converges from any start.

    Parameters
    ----------
    q : float
        Perihelion distance [au].
    e : float
        Eccentricity, 0 or more.
    gm : float
        Gravitational parameter [au**3 / day**2].
    since : float
        Time since perihelion [day].

    Returns
    -------
    float
        Universal anomaly ``s`` [day / au].
    """
    beta = gm * (1.0 - e) / q
    if beta > 0.0:
        period = 2.0 * np.pi * gm / (beta * np.sqrt(beta))
        since = since - period * np.round(since / period)
    s = _start(q, e, beta, gm, since)
    for _ in range(40):
        _, c1, c2, c3 = stumpff(beta * s * s)
        miss = s * (q + gm * e * s * s * c3) - since
        radius = q + gm * e * s * s * c2
        bend = gm * e * s * c1
        root = np.sqrt(abs(16.0 * radius * radius - 20.0 * miss * bend))
        step = 5.0 * miss / (radius + root)
        s -= step
        if abs(step) < 1e-13 * (abs(s) + 1e-3):
            break
    return s


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _in_plane(q, e, gm, since):
    """Return position and velocity along the axes towards perihelion and 90 degrees ahead of it."""
    s = solve_kepler(q, e, gm, since)
    c0, c1, c2, _ = stumpff(gm * (1.0 - e) / q * s * s)
    radius = q + gm * e * s * s * c2
    swing = np.sqrt(gm * q * (1.0 + e))
    return q - gm * s * s * c2, swing * s * c1, -gm * s * c1 / radius, swing * c0 / radius


_STATES = void(F64_2D_OUT, F64_1D, F64_1D, F64_1D, F64_2D, F64_2D, F64, F64_1D)


@njit([_STATES], cache=True, nogil=True, error_model="numpy")
def two_body_states(out, q, e, t_peri, to_peri, ahead, gm, times):
    """Propagate orbits to one time each.

    Parameters
    ----------
    out : ndarray, float64, shape (n, 6)
        Filled with position [au] and velocity [au/day].
    q, e, t_peri : ndarray, float64, shape (n,)
        Perihelion distances [au], eccentricities, times of perihelion [day].
    to_peri, ahead : ndarray, float64, shape (n, 3)
        Unit vectors towards perihelion and 90 degrees ahead of it in the orbit.
    gm : float
        Gravitational parameter [au**3 / day**2].
    times : ndarray, float64, shape (n,)
        Times [day].
    """
    for i in range(q.size):
        x, y, vx, vy = _in_plane(q[i], e[i], gm, times[i] - t_peri[i])
        for k in range(3):
            out[i, k] = x * to_peri[i, k] + y * ahead[i, k]
            out[i, 3 + k] = vx * to_peri[i, k] + vy * ahead[i, k]


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _to_rate(row, observer, sun):
    """Turn the object's barycentric velocity into the rate of the line of sight: light time shortens or stretches."""
    distance2 = 0.0
    object_along = 0.0
    observer_along = 0.0
    for k in range(3):
        distance2 += row[k] * row[k]
        object_along += row[k] * row[3 + k]
        observer_along += row[k] * (observer[3 + k] + sun[k])
    distance = np.sqrt(distance2)
    object_along *= _LIGHT_DAYS_PER_AU / distance
    observer_along *= _LIGHT_DAYS_PER_AU / distance
    pace = (1.0 + observer_along) / (1.0 + object_along)
    for k in range(3):
        row[3 + k] = row[3 + k] * pace - observer[3 + k] - sun[k]


_SEEN = void(F64_2D_OUT, F64_1D, F64_1D, F64_1D, F64_2D, F64_2D, F64, F64, F64_1D, F64_1D, types.int64[::1])


@njit([_SEEN], cache=True, nogil=True, error_model="numpy")
def seen_from(out, q, e, t_peri, to_peri, ahead, gm, time, observer, sun, rows):
    """Say where orbits are seen at one time, light time included.

    The slow definition: ``line = r(t - delay) + sun_velocity * -delay - observer`` with ``delay = |line| / c`` solved
    for; ``velocity = (v(t - delay) - sun_velocity ...)`` relative to the observer, times ``1 - d(delay)/dt``.

    Parameters
    ----------
    out : ndarray, float64, shape (m, 7)
        Filled with the line of sight [au], its rate [au/day] and the distance from the Sun [au].
    q, e, t_peri, to_peri, ahead, gm
        Orbits, as in `two_body_states`.
    time : float
        Time of observation, on the scale of ``t_peri`` [day].
    observer : ndarray, float64, shape (6,)
        Heliocentric position and velocity of the observer [au, au/day].
    sun : ndarray, float64, shape (3,)
        Barycentric velocity of the Sun [au/day]; the Sun that the object went round was there a light time ago.
    rows : ndarray, int64, shape (m,)
        Orbits wanted.
    """
    for j in range(rows.size):
        i = rows[j]
        delay = 0.0
        radius2 = 0.0
        for repeat in range(3):
            x, y, vx, vy = _in_plane(q[i], e[i], gm, time - delay - t_peri[i])
            radius2 = x * x + y * y
            distance2 = 0.0
            along = 0.0
            for k in range(3):
                v = vx * to_peri[i, k] + vy * ahead[i, k] + sun[k]
                line = x * to_peri[i, k] + y * ahead[i, k] - delay * sun[k] - observer[k]
                out[j, k] = line
                out[j, 3 + k] = v
                distance2 += line * line
                along += line * v
            distance = np.sqrt(distance2)
            late = (distance * _LIGHT_DAYS_PER_AU - delay) / (1.0 + along / distance * _LIGHT_DAYS_PER_AU)
            delay += late
            if repeat > 0 and abs(late) < 1e-5:  # the path is straight enough over the last second
                break
        for k in range(3):
            out[j, k] -= late * out[j, 3 + k]
        _to_rate(out[j], observer, sun)
        out[j, 6] = np.sqrt(radius2)


_NEAR = void(BOOL_1D_OUT, F64_1D, F64_1D, F64_1D, F64_1D, F64_1D, F64_1D, F64, F64, F64_1D, F64_1D, F64)


@njit([_NEAR], cache=True, nogil=True, error_model="numpy")
def near_direction(near, q, e, t_peri, inclination, node, peri, gm, time, observer, towards, least_cosine):
    """Tell which orbits stand near a direction at one time, light time left out.

    The slow definition: the angle between ``towards`` and ``r(time) - observer`` of `two_body_states` has at least the
    cosine ``least_cosine``.

    Parameters
    ----------
    near : ndarray, bool, shape (n,)
        Filled.
    q, e, t_peri : ndarray, float64, shape (n,)
        Perihelion distances [au], eccentricities, times of perihelion [day].
    inclination, node, peri : ndarray, float64, shape (n,)
        Inclinations, longitudes of the ascending nodes, arguments of perihelion [rad].
    gm : float
        Gravitational parameter [au**3 / day**2].
    time : float
        Time, on the scale of ``t_peri`` [day].
    observer : ndarray, float64, shape (3,)
        Heliocentric position of the observer on the axes of the elements [au].
    towards : ndarray, float64, shape (3,)
        Unit vector on these axes.
    least_cosine : float
        Cosine of the largest angle.
    """
    for i in range(q.size):
        x, y, _, _ = _in_plane(q[i], e[i], gm, time - t_peri[i])
        cos_peri, sin_peri = np.cos(peri[i]), np.sin(peri[i])
        along_node = x * cos_peri - y * sin_peri
        across = x * sin_peri + y * cos_peri
        cos_node, sin_node = np.cos(node[i]), np.sin(node[i])
        flat = across * np.cos(inclination[i])
        line_x = along_node * cos_node - flat * sin_node - observer[0]
        line_y = along_node * sin_node + flat * cos_node - observer[1]
        line_z = across * np.sin(inclination[i]) - observer[2]
        distance = np.sqrt(line_x * line_x + line_y * line_y + line_z * line_z)
        along = line_x * towards[0] + line_y * towards[1] + line_z * towards[2]
        near[i] = along >= least_cosine * distance
