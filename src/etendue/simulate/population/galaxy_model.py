"""How many galaxies there are, how far, of which type, how large and how round: fits to published surveys."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

# log10 of galaxies per square degree and magnitude in i (AB). 19.25 to 26.75: COSMOS2020, The Farmer (Weaver et al.
# 2022, ApJS 258, 11, table 2); brighter: slope of the SDSS counts (Yasuda et al. 2001, AJ 122, 1104), 0.6 below i =
# 16; fainter: slope 0.2.
_COUNTS = np.array(
    [
        (12.25, -0.88), (13.25, -0.28), (14.25, 0.32), (15.25, 0.92), (16.25, 1.49), (17.25, 2.02),
        (18.25, 2.52), (19.25, 3.01), (19.75, 3.23), (20.25, 3.44), (20.75, 3.64), (21.25, 3.85),
        (21.75, 4.03), (22.25, 4.21), (22.75, 4.38), (23.25, 4.54), (23.75, 4.71), (24.25, 4.86),
        (24.75, 4.97), (25.25, 5.08), (25.75, 5.2), (26.25, 5.29), (26.75, 5.35), (29.25, 5.85),
    ]
).T  # fmt: skip

# Median half-light radius [arcsec] over i: SDSS (Shen et al. 2003, MNRAS 343, 978) to HST (Leauthaud et al. 2007, ApJS
# 172, 219; Mandelbaum et al. 2014, ApJS 212, 5; van der Wel et al. 2014, ApJ 788, 28).
_SIZE_MAG = np.array([13.0, 17.0, 20.0, 22.0, 24.0, 25.5, 27.0, 29.0])
_LOG_SIZE = np.array([0.90, 0.36, -0.10, -0.33, -0.54, -0.68, -0.82, -0.95])
_SIZE_SCATTER = 0.19

_EARLY_MAG = np.array([16.0, 19.0, 22.0, 25.0, 28.0])
_EARLY_SHARE = np.array([0.42, 0.38, 0.22, 0.10, 0.06])
_LATEST_EARLY_REDSHIFT = 2.0
_STEP_MAG = 0.01


def galaxy_counts(mag: Vector) -> Vector:
    """Return the number of galaxies per magnitude.

    Parameters
    ----------
    mag : ndarray, float64, shape (n,)
        i magnitudes, free of the Galaxy's dust.

    Returns
    -------
    ndarray, float64, shape (n,)
        Galaxies per square degree and magnitude.
    """
    bright = np.minimum(mag - _COUNTS[0, 0], 0.0) * 0.6
    return 10.0 ** (np.interp(mag, *_COUNTS) + bright)


def draw_magnitudes(rng: np.random.Generator, area_deg2: float, brightest: float, faintest: float) -> Vector:
    """Draw the magnitudes of the galaxies of an area.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    area_deg2 : float
        Area [deg**2].
    brightest, faintest : float
        Limits in i.

    Returns
    -------
    ndarray, float64, shape (n,)
        Magnitudes; their number is Poissonian.
    """
    edges = np.linspace(brightest, faintest, max(int((faintest - brightest) / _STEP_MAG), 1) + 1)
    rate = galaxy_counts(0.5 * (edges[1:] + edges[:-1])) * np.diff(edges)
    steps = np.concatenate([[0.0], np.cumsum(rate)])
    return np.interp(rng.random(int(rng.poisson(steps[-1] * area_deg2))) * steps[-1], steps, edges)


def redshift_scale(mag: Vector) -> Vector:
    """Return ``z0`` of the distribution of redshifts ``z**2 exp(-z / z0)``, a third of the mean.

    Parameters
    ----------
    mag : ndarray, float64, shape (n,)
        i magnitudes.

    Returns
    -------
    ndarray, float64, shape (n,)
        ``0.0417 i - 0.744`` (LSST Science Book, eq. 3.8) for i > 20.5; brighter it falls as the distance of a galaxy of
        the same luminosity does.
    """
    return np.where(mag > 20.5, 0.0417 * mag - 0.744, 0.1109 * 10.0 ** (0.14 * (mag - 20.5)))


def draw_redshifts(rng: np.random.Generator, mag: Vector) -> Vector:
    """Draw redshifts.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    mag : ndarray, float64, shape (n,)
        i magnitudes.

    Returns
    -------
    ndarray, float64, shape (n,)
        Redshifts.
    """
    return rng.gamma(3.0, redshift_scale(mag))


def draw_early(rng: np.random.Generator, mag: Vector, redshift: Vector) -> NDArray[np.bool_]:
    """Draw which galaxies are of early type.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    mag, redshift : ndarray, float64, shape (n,)
        i magnitudes and redshifts.

    Returns
    -------
    ndarray, bool, shape (n,)
        True for ellipticals and S0: 40% of bright galaxies (Strateva et al. 2001, AJ 122, 1861), 10% of faint ones.
    """
    share = np.interp(mag, _EARLY_MAG, _EARLY_SHARE) * np.clip(1.5 - redshift / _LATEST_EARLY_REDSHIFT * 1.5, 0.0, 1.0)
    return rng.random(mag.size) < share


def draw_late_types(rng: np.random.Generator, mag: Vector) -> Vector:
    """Draw the spectral types of disks.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    mag : ndarray, float64, shape (n,)
        i magnitudes.

    Returns
    -------
    ndarray, float64, shape (n,)
        Types of `galaxy_spectra`; faint galaxies are bluer.
    """
    mean = np.interp(mag, [16.0, 20.0, 25.0, 28.0], [0.42, 0.48, 0.68, 0.74])
    return np.clip(rng.normal(mean, 0.17), 0.15, 1.0)


def draw_sizes(rng: np.random.Generator, mag: Vector) -> Vector:
    """Draw half-light radii.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    mag : ndarray, float64, shape (n,)
        i magnitudes.

    Returns
    -------
    ndarray, float64, shape (n,)
        Half-light radius along the major axis [arcsec].
    """
    return 10.0 ** (np.interp(mag, _SIZE_MAG, _LOG_SIZE) + rng.normal(0.0, _SIZE_SCATTER, mag.size))


def draw_axis_ratios(rng: np.random.Generator, early: NDArray[np.bool_]) -> tuple[Vector, Vector]:
    """Draw the apparent axis ratios of bulges and disks.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    early : ndarray, bool, shape (n,)
        Galaxies of early type.

    Returns
    -------
    bulge, disk : ndarray, float64, shape (n,)
        Axis ratios: oblate bodies seen from any side, thick bulges (0.65 +- 0.1) in thin disks (0.22 +- 0.06; Lambas et
        al. 1992, MNRAS 258, 404).
    """
    cos2 = rng.random(early.size) ** 2
    thickness = np.clip(rng.normal(np.where(early, 0.6, 0.65), 0.1), 0.3, 1.0)
    bulge = np.sqrt(thickness**2 + (1.0 - thickness**2) * cos2)
    thin = np.clip(rng.normal(np.where(early, 0.35, 0.22), 0.06), 0.1, 0.6)
    return bulge, np.sqrt(thin**2 + (1.0 - thin**2) * cos2)
