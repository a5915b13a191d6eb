"""A globular cluster: King's profile, an old population, so many stars that they overlap."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from etendue.errors import InputError
from etendue.geom.sphere import offset
from etendue.simulate.light.dust import Dust
from etendue.simulate.population import milky_way
from etendue.simulate.population.dust_map import DustMap
from etendue.simulate.population.layer import Columns, layer_ids
from etendue.simulate.population.layer import Field as SkyField
from etendue.simulate.population.motion import KM_S_PER_AU_YEAR
from etendue.simulate.population.star_layer import DWARF, GIANT, StarLayer
from etendue.simulate.random_streams import stream

Vector = NDArray[np.float64]

_TURNOFF_MAG = 3.8
_EXTINCTION_R = 2.65
_BRANCH_MAG, _BRANCH_GI = (0.55, 0.12), (-0.4, 0.75)

# Logarithm of the number of stars per absolute r magnitude, up to a constant: giants, a rise at the turn-off and the
# main sequence with its maximum near 0.25 solar masses (Hesser et al. 1987, PASP 99, 739; Paresce & De Marchi 2000,
# ApJ 534, 870).
_LF_MAG = np.array([-2.8, 0.0, 2.0, 3.0, 3.6, 4.2, 5.0, 6.0, 8.0, 9.0, 10.0, 11.0, 12.0, 14.0])
_LF_LOG = np.array([-0.2, 0.65, 1.15, 1.6, 2.2, 2.7, 2.85, 2.95, 3.1, 3.2, 3.2, 3.05, 2.8, 2.0])


class CrowdedSpec(BaseModel):
    """A globular cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    ra_deg: float
    """Centre [deg]."""

    dec_deg: float = Field(ge=-90.0, le=90.0)
    """Centre [deg]."""

    stars: int = Field(100_000, ge=0, le=5_000_000)
    """Number of stars within the limits."""

    distance_kpc: float = Field(7.5, gt=0.0)
    """Distance [kpc]."""

    core_radius_arcmin: float = Field(0.5, gt=0.0)
    """King's core radius [arcmin]."""

    tidal_radius_arcmin: float = Field(25.0, gt=0.0, le=600.0)
    """King's tidal radius [arcmin]."""

    metallicity: float = Field(-1.5, ge=-2.5, le=0.4)
    """[Fe/H]."""

    horizontal_branch: float = Field(0.05, ge=0.0, le=1.0)
    """Share of evolved stars that is on the horizontal branch."""

    brightest_mag: float = 10.0
    """Brightest r magnitude, mean dust in."""

    faintest_mag: float = 26.0
    """Faintest r magnitude, mean dust in."""

    pm_ra: float = -5.0
    """Proper motion of the cluster along the parallel [mas/yr]."""

    pm_dec: float = -3.0
    """Proper motion of the cluster along the meridian [mas/yr]."""

    radial_velocity: float = 0.0
    """Radial velocity of the cluster [km/s]."""

    dispersion: float = Field(8.0, ge=0.0)
    """Velocity dispersion in one dimension [km/s]."""

    @model_validator(mode="after")
    def _radii_and_limits(self) -> "CrowdedSpec":
        if self.core_radius_arcmin >= self.tidal_radius_arcmin:
            raise ValueError(f"core radius {self.core_radius_arcmin} is not below {self.tidal_radius_arcmin}")
        if self.brightest_mag >= self.faintest_mag:
            raise ValueError(
                f"brightest_mag {self.brightest_mag} is not brighter than faintest_mag {self.faintest_mag}"
            )
        return self


def make_crowded(spec: CrowdedSpec, seed: int, dust: Dust | None = None, copy: int = 0) -> StarLayer:
    """Draw the stars of a cluster.

    Parameters
    ----------
    spec : CrowdedSpec
        Which cluster.
    seed : int
        Seed of the survey.
    dust : Dust, optional
        The Galaxy's dust; its defaults if not given.
    copy : int
        Number of the cluster in the survey.

    Returns
    -------
    StarLayer
        Layer ``crowded``, with ``absolute_mag`` in r.
    """
    rng = stream(seed, "crowded", copy)
    radius = king_radii(rng, spec.stars, spec.core_radius_arcmin, spec.tidal_radius_arcmin) / 60.0
    ra, dec = offset(spec.ra_deg, spec.dec_deg, rng.uniform(0.0, 360.0, spec.stars), radius)
    half = spec.tidal_radius_arcmin / 60.0
    here = SkyField(spec.ra_deg, spec.dec_deg, half, half)
    excess = DustMap(dust or Dust(), here, seed).excess(ra, dec, spec.distance_kpc)
    columns: Columns = {"object_id": layer_ids("crowded", spec.stars, copy), "ra": ra, "dec": dec, "excess": excess}
    columns |= _draw_stars(rng, spec, excess)
    return StarLayer("crowded", columns | _draw_motion(rng, spec))


def king_radii(rng: np.random.Generator, count: int, core: float, tidal: float) -> Vector:
    """Draw distances from the centre of a cluster.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    count : int
        How many.
    core, tidal : float
        Core and tidal radius, in any unit.

    Returns
    -------
    ndarray, float64, shape (count,)
        In that unit; surface density of King (1962, AJ 67, 471), eq. 14.
    """
    radius = np.concatenate([[0.0], np.geomspace(1e-3 * core, tidal, 2000)])
    density = (1.0 / np.sqrt(1.0 + (radius / core) ** 2) - 1.0 / np.sqrt(1.0 + (tidal / core) ** 2)) ** 2
    ring = 0.5 * (radius[1:] + radius[:-1]) * np.diff(radius) * 0.5 * (density[1:] + density[:-1])
    steps = np.concatenate([[0.0], np.cumsum(ring)])
    return np.interp(rng.random(count) * steps[-1], steps, radius)


def _draw_stars(rng: np.random.Generator, spec: CrowdedSpec, excess: Vector) -> Columns:
    """Draw magnitudes, colours and evolution; the limits are taken behind the mean dust."""
    modulus = 5.0 * np.log10(spec.distance_kpc) + 10.0
    veil = _EXTINCTION_R * float(excess.mean()) if excess.size else 0.0
    absolute = _draw_absolute(rng, spec, spec.brightest_mag - modulus - veil, spec.faintest_mag - modulus - veil)
    metallicity = np.full(spec.stars, spec.metallicity)
    evolved = absolute < _TURNOFF_MAG
    color = np.where(
        evolved, milky_way.giant_color(absolute, metallicity), milky_way.dwarf_color(absolute, metallicity)
    )
    on_branch = evolved & (rng.random(spec.stars) < spec.horizontal_branch)
    absolute = np.where(on_branch, rng.normal(*_BRANCH_MAG, spec.stars), absolute)
    return {
        "r_mag_0": absolute + modulus,
        "absolute_mag": absolute,
        "g_i": np.where(on_branch, rng.uniform(*_BRANCH_GI, spec.stars), color),
        "metallicity": metallicity,
        "log_temperature": np.full(spec.stars, np.nan),
        "evolution": np.where(evolved, GIANT, DWARF).astype(np.int8),
    }


def _draw_absolute(rng: np.random.Generator, spec: CrowdedSpec, brightest: float, faintest: float) -> Vector:
    """Draw absolute magnitudes from the luminosity function between two limits."""
    low, high = max(brightest, float(_LF_MAG[0])), min(faintest, float(_LF_MAG[-1]))
    if low >= high:
        raise InputError(
            "no star of the cluster is within the limits",
            source="crowded",
            value=(spec.brightest_mag, spec.faintest_mag),
            remedy=f"absolute magnitudes {brightest:.1f} to {faintest:.1f} must overlap -2.8 to 14",
        )
    edges = np.linspace(low, high, 2000)
    rate = 10.0 ** np.interp(0.5 * (edges[1:] + edges[:-1]), _LF_MAG, _LF_LOG)
    steps = np.concatenate([[0.0], np.cumsum(rate)])
    return np.interp(rng.random(spec.stars) * steps[-1], steps, edges)


def _draw_motion(rng: np.random.Generator, spec: CrowdedSpec) -> Columns:
    """Draw velocities around the cluster's own."""
    own = rng.normal(0.0, spec.dispersion, (3, spec.stars))
    per_km_s = 1.0 / (KM_S_PER_AU_YEAR * spec.distance_kpc)
    return {
        "parallax": np.full(spec.stars, 1.0 / spec.distance_kpc),
        "pm_ra": spec.pm_ra + own[0] * per_km_s,
        "pm_dec": spec.pm_dec + own[1] * per_km_s,
        "radial_velocity": spec.radial_velocity + own[2],
    }
