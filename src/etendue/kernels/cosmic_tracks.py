"""Kernels of ionising particles in silicon: straight muons and scattered electrons."""

import numpy as np
from numba import njit, void

from etendue.kernels.random_numbers import U64_1D, next_state, normal, uniform_of
from etendue.kernels.types import F32_2D_OUT, F64, F64_1D, F64_1D_OUT

_EV_PER_PAIR = 3.65
_RANGE_UM, _RANGE_POWER = 0.0171, 1.75  # Everhart and Hoff (1971): range in silicon = 0.0171 um (E / keV)**1.75
_REST_KEV = 511.0
_SCATTER_KEV = 35.5  # rms angle in space of multiple scattering over 1 um of silicon, times momentum and speed
_CLOUDS = 4  # a step's charge diffuses in this many parts


@njit(cache=True, nogil=True, error_model="numpy")
def _deposit(image, x, y, charge, sigma, state):
    """Add a small charge at a point, spread by diffusion [px]."""
    ny, nx = image.shape
    for _ in range(_CLOUDS):
        dx, state = normal(state)
        dy, state = normal(state)
        col, row = int(np.floor(x + sigma * dx + 0.5)), int(np.floor(y + sigma * dy + 0.5))
        if 0 <= col < nx and 0 <= row < ny:
            image[row, col] += charge / _CLOUDS
    return state


@njit(
    [void(F32_2D_OUT, F64_1D, F64_1D, F64_1D, F64_1D, F64_1D, F64, F64, U64_1D)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def deposit_muons(image, x, y, reach_x, reach_y, electrons, thickness, diffusion, states):
    """Deposit straight tracks from the illuminated surface to the gates.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Changed in place [e].
    x, y : ndarray, float64, shape (n,)
        Where the tracks enter [px]; may lie outside.
    reach_x, reach_y : ndarray, float64, shape (n,)
        How far along x and y they go until they leave [px].
    electrons : ndarray, float64, shape (n,)
        Charge of the whole track [e].
    thickness : float
        Of the silicon [px].
    diffusion : float
        Spread of charge from the illuminated surface; from a depth it goes as the root of the way left [px].
    states : ndarray, uint64, shape (n,)
        Random words.
    """
    for i in range(x.size):
        state = states[i]
        length = np.sqrt(reach_x[i] ** 2 + reach_y[i] ** 2 + thickness**2)
        steps = int(np.ceil(8.0 * length))
        for step in range(steps):
            part = (step + 0.5) / steps
            clump, state = normal(state)
            share = electrons[i] / steps
            charge = max(0.0, share + clump * np.sqrt(30.0 * share))  # ionisation comes in clumps
            sigma = diffusion * np.sqrt(1.0 - part)
            state = _deposit(image, x[i] + part * reach_x[i], y[i] + part * reach_y[i], charge, sigma, state)


@njit(cache=True, nogil=True, error_model="numpy")
def _scatter(ux, uy, uz, angle, state):
    """Turn a direction by an angle about a random azimuth."""
    state = next_state(state)
    azimuth = 2.0 * np.pi * uniform_of(state)
    px, py, pz = (0.0, uz, -uy) if abs(uy) > 0.9 else (-uz, 0.0, ux)  # at right angles to the direction
    norm = np.sqrt(px * px + py * py + pz * pz)
    px, py, pz = px / norm, py / norm, pz / norm
    qx, qy, qz = uy * pz - uz * py, uz * px - ux * pz, ux * py - uy * px
    c, s = np.cos(angle), np.sin(angle)
    ca, sa = np.cos(azimuth) * s, np.sin(azimuth) * s
    return c * ux + ca * px + sa * qx, c * uy + ca * py + sa * qy, c * uz + ca * pz + sa * qz, state


@njit(
    [void(F32_2D_OUT, F64_1D, F64_1D, F64_1D, F64_1D, F64_1D, F64_1D, F64, F64, F64, U64_1D, F64_1D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def deposit_electrons(image, x, y, depth, cosine, azimuth, energy, pixel, thickness, diffusion, states, deposited):
    """Deposit electrons that scatter and slow down: spots at low energy, worms at high energy.

    The energy left follows the range of Everhart and Hoff (1971, J. Appl. Phys. 42, 5837); each step of 1 um turns by a
    normal angle of Highland's width (Particle Data Group, passage of particles through matter). An electron that leaves
    the silicon takes the rest of its energy with it.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Changed in place [e].
    x, y : ndarray, float64, shape (n,)
        Where the electrons begin [px].
    depth : ndarray, float64, shape (n,)
        Below the illuminated surface, 0 to ``thickness`` [um].
    cosine, azimuth : ndarray, float64, shape (n,)
        Direction: cosine of the angle to the depth, and angle about it [rad].
    energy : ndarray, float64, shape (n,)
        Kinetic energy [keV].
    pixel : float
        Side of a pixel [um].
    thickness : float
        Of the silicon [um].
    diffusion : float
        As in `deposit_muons` [px].
    states : ndarray, uint64, shape (n,)
        Random words.
    deposited : ndarray, float64, shape (n,)
        Filled with the charge set free in the silicon, whether it falls on the image or not [e].
    """
    for i in range(x.size):
        state = states[i]
        here_x, here_y, z = x[i] * pixel, y[i] * pixel, depth[i]
        sine = np.sqrt(max(0.0, 1.0 - cosine[i] ** 2))
        ux, uy, uz = sine * np.cos(azimuth[i]), sine * np.sin(azimuth[i]), cosine[i]
        left = energy[i]
        ahead = _RANGE_UM * left**_RANGE_POWER
        deposited[i] = 0.0
        while left > 0.0 and 0.0 <= z <= thickness:
            step = min(ahead, 1.0)
            ahead -= step
            after = (ahead / _RANGE_UM) ** (1.0 / _RANGE_POWER) if ahead > 0.0 else 0.0
            charge = (left - after) * 1000.0 / _EV_PER_PAIR
            deposited[i] += charge
            sigma = diffusion * np.sqrt(1.0 - z / thickness)
            state = _deposit(image, here_x / pixel, here_y / pixel, charge, sigma, state)
            here_x, here_y, z = here_x + step * ux, here_y + step * uy, z + step * uz
            bend = _SCATTER_KEV * (left + _REST_KEV) / (left * (left + 2.0 * _REST_KEV))
            kick, state = normal(state)
            ux, uy, uz, state = _scatter(ux, uy, uz, kick * bend * np.sqrt(step), state)
            left = after
