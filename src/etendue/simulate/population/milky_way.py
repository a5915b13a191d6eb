"""The Milky Way: where its stars are, how bright, how metal-rich and how fast."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

SUN_RADIUS_KPC = 8.2
"""Distance of the Sun from the centre (GRAVITY Collaboration 2019, A&A 625, L10) [kpc]."""

_SUN_HEIGHT_KPC = 0.025
_CIRCULAR_SPEED = 233.0
_SUN_MOTION = np.array([11.1, 12.24, 7.25])  # towards the centre, along rotation, north (Schoenrich et al. 2010) [km/s]
_SOFTENING_KPC = 0.5
_HALO_BREAK_KPC = 27.0  # beyond, the halo's slope steepens by two (Deason et al. 2011, MNRAS 416, 2903)


@dataclass(frozen=True, slots=True)
class StellarPopulation:
    """One of the Galaxy's populations.

    Parameters
    ----------
    name : str
        Name.
    local_share : float
        Density at the Sun in units of the thin disk's.
    length_kpc, height_kpc : float
        Exponential scales of a disk; for a halo its flattening and the exponent of its power law.
    metallicity, metallicity_scatter : float
        Mean and standard deviation of [Fe/H].
    drift : float
        How much slower than the circular speed it rotates [km/s].
    dispersion : tuple of float
        Velocity dispersion outwards, along rotation, upwards [km/s].
    oldest_turnoff : float
        Absolute r magnitude of the brightest main-sequence stars.
    halo : bool
        A flattened power law instead of a disk.
    """

    name: str
    local_share: float
    length_kpc: float
    height_kpc: float
    metallicity: float
    metallicity_scatter: float
    drift: float
    dispersion: tuple[float, float, float]
    oldest_turnoff: float
    halo: bool = False

    def density(self, radius_kpc: Vector, height_kpc: Vector) -> Vector:
        """Return densities relative to the thin disk's at the Sun.

        Parameters
        ----------
        radius_kpc, height_kpc : ndarray, float64, shape (...)
            Distance from the Galaxy's axis and height above its plane [kpc].

        Returns
        -------
        ndarray, float64, shape (...)
        """
        if self.halo:
            flattening, slope = self.length_kpc, self.height_kpc
            distance2 = radius_kpc**2 + (height_kpc / flattening) ** 2 + _SOFTENING_KPC**2
            steeper = ((1.0 + distance2 / _HALO_BREAK_KPC**2) / (1.0 + (SUN_RADIUS_KPC / _HALO_BREAK_KPC) ** 2)) ** -1.0
            return self.local_share * (SUN_RADIUS_KPC**2 / distance2) ** (0.5 * slope) * steeper
        depth = (SUN_RADIUS_KPC - radius_kpc) / self.length_kpc - np.abs(height_kpc) / self.height_kpc
        return self.local_share * np.exp(depth + _SUN_HEIGHT_KPC / self.height_kpc)


# Forms: Juric et al. (2008, ApJ 673, 864), the halo Deason et al. (2011). Shares, heights and flattening lie where star
# counts put them (Juric et al., table 10; Robin et al. 2003, A&A 409, 523), and within that where the counts of Allen's
# Astrophysical Quantities (4th ed., 16 <= V <= 24, b = 20 to 90) come out best. Kinematics: Robin et al. (2003),
# table 4, means over ages for the thin disk; metallicities: Ivezic et al. (2008, ApJ 684, 287).
THIN_DISK = StellarPopulation("thin disk", 1.0, 2.9, 0.28, -0.12, 0.2, 12.0, (34.0, 22.0, 17.0), -3.0)
THICK_DISK = StellarPopulation("thick disk", 0.10, 3.0, 0.8, -0.6, 0.25, 46.0, (67.0, 51.0, 42.0), 3.9)
HALO = StellarPopulation("halo", 0.0042, 0.5, 2.3, -1.46, 0.3, 226.0, (131.0, 106.0, 85.0), 3.7, halo=True)
POPULATIONS = (THIN_DISK, THICK_DISK, HALO)
"""The populations of the model; the place is the number in the truth."""

# Stars per 1e5 cubic parsecs and magnitude over absolute r magnitude.
_LUMINOSITY = np.array(
    [
        (-3, 0.755), (-1, 3.45), (1, 15.8), (3, 72.1), (4, 154.2), (4.5, 225.5),
        (5, 300), (5.5, 253), (6, 221), (6.5, 233), (7, 213), (7.5, 197),
        (8, 225), (8.5, 290), (9, 390), (9.5, 516), (10, 646), (10.5, 750),
        (11, 802), (11.5, 779), (12, 668), (12.5, 562), (13, 499), (13.5, 453),
        (14, 406), (14.5, 349), (15, 279), (15.5, 200), (16, 129), (17, 85),
        (18, 76), (19, 73), (20, 44),
    ]
).T  # fmt: skip

_OLD_GIANTS = 0.6

# Temperatures [K] of white dwarfs over absolute r magnitude.
_WHITE_DWARF = np.array(
    [
        (9.5, 45000), (10.5, 25000), (11.5, 15500), (12.5, 10800), (13.5, 8100), (14.5, 6200),
        (15.2, 5200), (15.8, 4600), (16.5, 4000),
    ]
).T  # fmt: skip
_WHITE_DWARFS_PER_PC3 = 4.5e-3  # Gentile Fusillo et al. (2021, MNRAS 508, 3877)
_WHITE_DWARF_SLOPE = 0.30
_WHITE_DWARF_EDGE = (15.6, 0.25)

# Absolute r magnitude over g-i on the main sequence at [Fe/H] = -0.5 (Ivezic et al. 2008, eq. A7, in LSST bands; blue
# end Pecaut & Mamajek 2013; red end Green et al. 2015).
_DWARF = np.array(
    [
        (-0.93, -3.6), (-0.67, -0.8), (-0.47, 1.2), (-0.16, 2), (0.15, 2.7), (0.3, 3.4),
        (0.407, 4), (0.59, 5), (0.84, 5.95), (1.1, 6.5), (1.3, 6.85), (1.527, 7.3),
        (1.813, 8), (2.138, 9), (2.382, 9.9), (2.584, 10.74), (2.774, 11.5), (2.915, 12),
        (3.216, 13), (3.8, 16), (4.25, 18), (4.5, 20),
    ]
).T  # fmt: skip

_SUBGIANT_MAG = 0.7

# g-i of giants over absolute r magnitude at [Fe/H] = -0.5 and -2.5 (isochrones of 10 Gyr of Dotter et al. 2008 on the
# SDSS locus, in LSST bands; Palaversa et al. 2025).
_GIANT = np.array(
    [
        (-3, 2.9, 1.41), (-2, 2, 1.13), (-1.5, 1.64, 1.02), (-1, 1.41, 0.95),
        (0, 1.14, 0.83), (1, 0.96, 0.75), (2, 0.85, 0.68), (2.7, 0.81, 0.3),
        (3.3, 0.75, 0.24), (3.6, 0.43, 0.24), (4, 0.41, 0.25),
    ]
).T  # fmt: skip


def luminosity_function(absolute_mag: Vector, population: StellarPopulation) -> Vector:
    """Return the number of stars near the Sun, white dwarfs apart, had a population the thin disk's density there.

    Parameters
    ----------
    absolute_mag : ndarray, float64, shape (n,)
        Absolute r magnitudes.
    population : StellarPopulation
        Old populations have 0.6 as many stars above their turn-off: giants, and no young stars.

    Returns
    -------
    ndarray, float64, shape (n,)
        Stars (systems) per cubic parsec and magnitude: Juric et al. (2008) for 5 < M_r < 12, a slope of 0.33 brighter
        than that, Covey et al. (2008, AJ 136, 1778) fainter; 0 beyond the table.
    """
    log = np.interp(absolute_mag, _LUMINOSITY[0], np.log(_LUMINOSITY[1]), left=-np.inf, right=-np.inf)
    evolved = (population.oldest_turnoff > 0.0) & (absolute_mag < population.oldest_turnoff)
    return np.exp(log) * np.where(evolved, _OLD_GIANTS, 1.0) * 1e-5


def white_dwarf_luminosity_function(absolute_mag: Vector) -> Vector:
    """Return the number of white dwarfs near the Sun.

    Parameters
    ----------
    absolute_mag : ndarray, float64, shape (n,)
        Absolute r magnitudes.

    Returns
    -------
    ndarray, float64, shape (n,)
        White dwarfs per cubic parsec and magnitude: a cooling slope of 0.3 and an edge where the oldest are.
    """

    def shape(mag: Vector) -> Vector:
        edge, width = _WHITE_DWARF_EDGE
        bright = np.where(mag < _WHITE_DWARF[0, 0], 0.0, 10.0 ** (_WHITE_DWARF_SLOPE * (mag - 15.0)))
        return bright / (1.0 + np.exp((mag - edge) / width))

    whole = np.arange(9.0, 18.0, 0.01)
    return _WHITE_DWARFS_PER_PC3 * shape(absolute_mag) / (shape(whole).sum() * 0.01)


def white_dwarf_log_temperature(absolute_mag: Vector) -> Vector:
    """Return the logarithms of the temperatures of white dwarfs of 0.6 solar masses.

    Parameters
    ----------
    absolute_mag : ndarray, float64, shape (n,)
        Absolute r magnitudes.

    Returns
    -------
    ndarray, float64, shape (n,)
        ``log10(temperature / K)``.
    """
    return np.interp(absolute_mag, _WHITE_DWARF[0], np.log10(_WHITE_DWARF[1]))


def dwarf_color(absolute_mag: Vector, metallicity: Vector) -> Vector:
    """Return g-i on the main sequence.

    Parameters
    ----------
    absolute_mag, metallicity : ndarray, float64, shape (n,)
        Absolute r magnitudes and [Fe/H].

    Returns
    -------
    ndarray, float64, shape (n,)
        g-i [mag].
    """
    # Metal-poor dwarfs are fainter at a colour (Ivezic et al. 2008, eq. A2); hot ones do not care.
    shift = -1.11 * (metallicity + 0.5) - 0.18 * (metallicity**2 - 0.25)
    return np.interp(absolute_mag - shift * np.clip(absolute_mag - 2.5, 0.0, 1.0), _DWARF[1], _DWARF[0])


def giant_color(absolute_mag: Vector, metallicity: Vector) -> Vector:
    """Return g-i of subgiants and red giants.

    Parameters
    ----------
    absolute_mag, metallicity : ndarray, float64, shape (n,)
        Absolute r magnitudes and [Fe/H].

    Returns
    -------
    ndarray, float64, shape (n,)
        g-i [mag].
    """
    rich, poor = (np.interp(absolute_mag, _GIANT[0], color) for color in _GIANT[1:])
    giant = poor + (rich - poor) * np.clip((metallicity + 2.5) / 2.0, 0.0, 1.3)
    # Subgiants begin where the main sequence ends.
    start = dwarf_color(absolute_mag, metallicity)
    return start + (giant - start) * np.clip((_GIANT[0, -1] - absolute_mag) / _SUBGIANT_MAG, 0.0, 1.0)


def giant_share(absolute_mag: Vector, population: StellarPopulation) -> Vector:
    """Return which share of stars of a magnitude has left the main sequence.

    Parameters
    ----------
    absolute_mag : ndarray, float64, shape (n,)
        Absolute r magnitudes.
    population : StellarPopulation
        Old populations have giants only above their turn-off.

    Returns
    -------
    ndarray, float64, shape (n,)
        0 to 1; Bahcall & Soneira (1980, ApJS 44, 73), eq. 12, for the thin disk.
    """
    dwarfs = 0.44 * np.exp(1.5e-4 * np.maximum(absolute_mag + 8.0, 0.0) ** 3.5)
    young = np.where(absolute_mag < 3.7, 1.0 - np.minimum(dwarfs, 1.0), 0.0)
    return np.where(absolute_mag < population.oldest_turnoff, 1.0, young if population.oldest_turnoff < 0.0 else 0.0)


def place(l_deg: Vector, b_deg: Vector, distance_kpc: Vector) -> tuple[Vector, Vector, Vector]:
    """Return where stars are in the Galaxy.

    Parameters
    ----------
    l_deg, b_deg : ndarray, float64, shape (...)
        Galactic coordinates [deg].
    distance_kpc : ndarray, float64, shape (...)
        Distances from the Sun [kpc].

    Returns
    -------
    radius_kpc, azimuth, height_kpc : ndarray, float64, shape (...)
        Distance from the axis [kpc], angle from the Sun along rotation [rad] and height above the plane [kpc].
    """
    flat = distance_kpc * np.cos(np.radians(b_deg))
    inwards = SUN_RADIUS_KPC - flat * np.cos(np.radians(l_deg))
    along = flat * np.sin(np.radians(l_deg))
    height = distance_kpc * np.sin(np.radians(b_deg)) + _SUN_HEIGHT_KPC
    return np.hypot(inwards, along), np.arctan2(along, inwards), height


def draw_velocities(rng: np.random.Generator, population: StellarPopulation, azimuth: Vector) -> NDArray[np.float64]:
    """Draw space velocities relative to the Sun.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    population : StellarPopulation
        Whose velocity ellipsoid.
    azimuth : ndarray, float64, shape (n,)
        Angle from the Sun along rotation [rad].

    Returns
    -------
    ndarray, float64, shape (n, 3)
        Towards the centre as seen from the Sun, along rotation at the Sun, to the north [km/s].
    """
    outwards, along, up = rng.normal(size=(3, azimuth.size)) * np.array(population.dispersion)[:, None]
    along += _CIRCULAR_SPEED - population.drift
    cos, sin = np.cos(azimuth), np.sin(azimuth)
    velocity = np.stack([along * sin - outwards * cos, along * cos + outwards * sin, up], axis=1)
    return velocity - _SUN_MOTION - np.array([0.0, _CIRCULAR_SPEED, 0.0])
