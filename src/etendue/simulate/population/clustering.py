"""Clustered positions of galaxies: log-normal fields in slices of redshift, and companions below the grid's scale."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, irfft2, rfft2

from etendue.simulate.population.cosmology import HUBBLE_KM_S_MPC, comoving_mpc
from etendue.simulate.population.layer import Field

Vector = NDArray[np.float64]

SLOPE = 1.8
"""Exponent of the spatial correlation function ``(r / r0)**-SLOPE``; on the sky it is one less."""

_SLICES = 12
_FEWEST_CELLS, _MOST_CELLS = 64, 512
_SMALLEST_CELL_ARCSEC = 4.0
_LARGEST_FIELD_DEG = 10.0
_GEOMETRY = 3.679  # Gamma(1/2) Gamma((SLOPE - 1)/2) / Gamma(SLOPE/2), Limber's equation for a power law
_MOST_COMPANIONS = 0.5
_FADING = 0.4  # exponent of 1 + z: the far galaxies of a deep field are the less clustered faint ones
_ARCMIN = np.pi / 10800.0


def slice_amplitude(low: float, high: float, length_mpc: float) -> float:
    """Return the angular correlation at one arcminute of galaxies in a slice of redshift.

    Parameters
    ----------
    low, high : float
        Redshifts of the slice.
    length_mpc : float
        Comoving correlation length [Mpc].

    Returns
    -------
    float
        Limber's equation for a power law (Peebles 1980, section 52) and a slice of even density.
    """
    near, far = comoving_mpc(np.array([low, high]))
    middle = 0.5 * (near + far)
    depth = max(float(far - near), 2.0 * length_mpc)
    return float(_GEOMETRY * length_mpc**SLOPE / depth * (middle * _ARCMIN) ** (1.0 - SLOPE))


def scatter_clustered(
    rng: np.random.Generator, field: Field, redshift: Vector, length_mpc: float = 5.0 * 100.0 / HUBBLE_KM_S_MPC
) -> tuple[Vector, Vector]:
    """Draw positions of galaxies that cluster as a power law within slices of redshift.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    field : Field
        Where; fields of more than 10 deg half size are filled evenly.
    redshift : ndarray, float64, shape (n,)
        Redshifts.
    length_mpc : float
        Comoving correlation length at redshift 0, shorter farther away; 0 for none [Mpc].

    Returns
    -------
    ra_deg, dec_deg : ndarray, float64, shape (n,)
        Positions [deg].
    """
    wide = max(field.half_width_deg, field.half_height_deg) > _LARGEST_FIELD_DEG
    if length_mpc == 0.0 or wide or redshift.size < _SLICES:
        return field.scatter(rng, redshift.size)
    order = np.argsort(redshift, kind="stable")
    grid = _Grid.over(field)
    east, north = np.empty((2, redshift.size))
    for rows in np.array_split(order, _SLICES):
        low, high = float(redshift[rows[0]]), float(redshift[rows[-1]])
        length = length_mpc * (1.0 + 0.5 * (low + high)) ** -_FADING
        amplitude = slice_amplitude(low, high, length)
        east[rows], north[rows] = _slice(rng, grid, field, rows.size, amplitude)
    return field.to_sky(east, north)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Square cells of a field, and the power law at their separations.

    Parameters
    ----------
    cells : int
        Cells along each side.
    step_deg : ndarray, float64, shape (2,)
        Their width and height [deg].
    falloff : ndarray, float64, shape (cells + 1, cells + 1)
        ``(separation / arcmin)**(1 - SLOPE)`` for lags along y and x.
    """

    cells: int
    step_deg: Vector
    falloff: NDArray[np.float64]

    @classmethod
    def over(cls, field: Field) -> "_Grid":
        size = np.array([field.half_width_deg, field.half_height_deg]) * 2.0
        cells = int(np.clip(size.max() * 3600.0 / _SMALLEST_CELL_ARCSEC, _FEWEST_CELLS, _MOST_CELLS))
        step = size / cells
        lag = np.arange(cells + 1) * 60.0
        separation = np.hypot(lag[:, None] * step[1], lag[None, :] * step[0])
        separation[0, 0] = 0.38 * 60.0 * float(np.sqrt(step[0] * step[1]))  # mean of the power law over a cell
        return cls(cells, step, separation ** (1.0 - SLOPE))


def _slice(rng: np.random.Generator, grid: _Grid, field: Field, count: int, amplitude: float) -> tuple[Vector, Vector]:
    """Draw the positions of one slice in the field's frame."""
    cells, step = grid.cells, grid.step_deg
    weight = np.exp(_gaussian_field(rng, grid, amplitude))
    weight *= np.cos(np.radians((np.arange(cells) + 0.5) * step[1] - field.half_height_deg))[:, None]
    steps = np.cumsum(weight.ravel())
    row, column = np.divmod(np.searchsorted(steps, rng.random(count) * steps[-1], side="right"), cells)
    east = (np.minimum(column, cells - 1) + rng.random(count)) * step[0] - field.half_width_deg
    north = (np.minimum(row, cells - 1) + rng.random(count)) * step[1] - field.half_height_deg
    _add_companions(rng, field, east, north, amplitude, float(np.sqrt(step[0] * step[1])) * 60.0)
    return east, north


def _gaussian_field(rng: np.random.Generator, grid: _Grid, amplitude: float) -> NDArray[np.float64]:
    """Return a field whose exponential correlates as ``amplitude (separation / arcmin)**(1 - SLOPE)``."""
    cells, size = grid.cells, 2 * grid.cells
    # The correlation is even: its Fourier transform over both signs of the lags is a cosine transform.
    power = np.maximum(dctn(np.log1p(amplitude * grid.falloff), type=1), 0.0)
    power[0, 0] = 0.0
    waves = rfft2(rng.normal(size=(size, size)))
    wave = np.sqrt(power)
    waves[: cells + 1] *= wave
    waves[cells + 1 :] *= wave[cells - 1 : 0 : -1]
    return np.asarray(irfft2(waves, s=(size, size))[:cells, :cells])


def _add_companions(
    rng: np.random.Generator, field: Field, east: Vector, north: Vector, amplitude: float, reach_arcmin: float
) -> None:
    """Move some galaxies next to others, so that the power law goes on where the grid's cells are flat."""
    density = east.size / (field.area_deg2 * 3600.0)
    pairs = 2.0 * np.pi * density * amplitude * reach_arcmin ** (3.0 - SLOPE)
    # Excess neighbours within the reach: of the power law, less of its mean that the grid has already.
    wanted = pairs * (1.0 / (3.0 - SLOPE) - 0.5)
    chosen = rng.random(east.size) < min(0.5 * wanted, _MOST_COMPANIONS)
    host = rng.choice(np.flatnonzero(~chosen), int(chosen.sum())) if chosen.any() else np.zeros(0, np.int64)
    angle = rng.uniform(0.0, 2.0 * np.pi, host.size)
    offset = reach_arcmin / 60.0 * rng.random(host.size) ** (1.0 / (3.0 - SLOPE))
    stretch = np.cos(np.radians(north[host]))
    east[chosen] = _reflected(east[host] + offset * np.sin(angle) / stretch, field.half_width_deg)
    north[chosen] = _reflected(north[host] + offset * np.cos(angle), field.half_height_deg)


def _reflected(place: Vector, half: float) -> Vector:
    """Turn back at the rim what would leave the field."""
    return np.where(np.abs(place) > half, np.sign(place) * 2.0 * half - place, place)
