"""Galaxies in a field: counts, redshifts, types, shapes, clustering and lensing."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from etendue.simulate.light.dust import Dust
from etendue.simulate.light.galaxy_spectra import LARGEST_REDSHIFT
from etendue.simulate.population import galaxy_model
from etendue.simulate.population.clustering import scatter_clustered
from etendue.simulate.population.dust_map import DustMap
from etendue.simulate.population.galaxy_layer import GalaxyLayer
from etendue.simulate.population.galaxy_parts import Bodies, GalaxyDetail, assemble, sheared
from etendue.simulate.population.layer import Columns, layer_ids
from etendue.simulate.population.layer import Field as SkyField
from etendue.simulate.population.lensing import ConstantShear, NfwCluster, lens
from etendue.simulate.random_streams import stream

Vector = NDArray[np.float64]

_PURE = 0.02


class GalaxiesSpec(BaseModel):
    """Galaxies."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    brightest_mag: float = Field(14.0, ge=8.0)
    """Brightest i magnitude, free of dust and lensing."""

    faintest_mag: float = Field(27.0, le=29.0)
    """Faintest i magnitude, free of dust and lensing."""

    density: float = Field(1.0, ge=0.0)
    """Factor on all counts."""

    correlation_length_mpc: float = Field(7.1, ge=0.0, le=30.0)
    """Comoving length at which the excess of neighbours is one, at redshift 0; 0 for even positions [Mpc]."""

    detail: GalaxyDetail | None = None
    """Bars, arms, knots, dust lanes and tails of bright galaxies; None for smooth ones."""

    lensing: ConstantShear | NfwCluster | None = None
    """Shear and magnification; None for none."""

    @model_validator(mode="after")
    def _bright_before_faint(self) -> "GalaxiesSpec":
        if self.brightest_mag >= self.faintest_mag:
            raise ValueError(
                f"brightest_mag {self.brightest_mag} is not brighter than faintest_mag {self.faintest_mag}"
            )
        return self


def make_galaxies(
    spec: GalaxiesSpec, field: SkyField, seed: int, dust: Dust | None = None, copy: int = 0
) -> GalaxyLayer:
    """Draw the galaxies of a field.

    Parameters
    ----------
    spec : GalaxiesSpec
        Which galaxies.
    field : Field
        Where.
    seed : int
        Seed of the survey.
    dust : Dust, optional
        The Galaxy's dust; its defaults if not given.
    copy : int
        Number of the layer among those of its kind.

    Returns
    -------
    GalaxyLayer
        Layer ``galaxies``: the columns of `GalaxyLayer`; ``early``, ``bulge_share`` in i, ``half_light`` [arcsec] and
        ``e1``, ``e2`` of the larger body, ``g1``, ``g2`` and ``magnification``.
    """
    rng = stream(seed, "galaxies", copy)
    mag = galaxy_model.draw_magnitudes(rng, field.area_deg2 * spec.density, spec.brightest_mag, spec.faintest_mag)
    redshift = np.minimum(galaxy_model.draw_redshifts(rng, mag), LARGEST_REDSHIFT)
    early = galaxy_model.draw_early(rng, mag, redshift)
    columns: Columns = {
        "redshift": redshift,
        "i_mag_0": mag,
        "early": early,
        "bulge_type": np.clip(np.abs(rng.normal(0.0, 0.06, mag.size)), 0.0, 0.3),
        "disk_type": np.where(early, 0.1, galaxy_model.draw_late_types(rng, mag)),
    }
    bodies = _draw_bodies(rng, mag, early)
    # Bulges of late galaxies are younger the bluer their disks are.
    columns["bulge_type"] = np.where(early, columns["bulge_type"], 0.5 * columns["disk_type"] + columns["bulge_type"])
    parts = assemble(bodies, mag, spec.detail, seed)
    ra, dec = scatter_clustered(
        stream(seed, "clustering of galaxies", copy), field, redshift, spec.correlation_length_mpc
    )
    unlensed = np.zeros(mag.size)
    columns |= _largest_body(bodies) | {"bulge_share": bodies.bulge_share}
    columns |= {"g1": unlensed, "g2": unlensed, "magnification": unlensed + 1.0}
    if spec.lensing is not None:
        seen = lens(spec.lensing, field, ra, dec, redshift)
        ra, dec = seen.ra_deg, seen.dec_deg
        columns |= {"g1": seen.g1, "g2": seen.g2, "magnification": seen.magnification}
        columns["i_mag_0"] = mag - 2.5 * np.log10(seen.magnification)
        parts = sheared(parts, seen.g1, seen.g2).scaled(np.sqrt(seen.magnification))
    excess = DustMap(dust or Dust(), field, seed).excess(ra, dec, np.inf)
    place: Columns = {"object_id": layer_ids("galaxies", mag.size, copy), "ra": ra, "dec": dec, "excess": excess}
    return GalaxyLayer("galaxies", place | columns, parts)


def _draw_bodies(rng: np.random.Generator, mag: Vector, early: NDArray[np.bool_]) -> Bodies:
    """Draw bulges and disks of the sizes that galaxies of a magnitude have."""
    share = np.where(early, rng.beta(6.0, 1.5, mag.size), rng.beta(0.8, 4.0, mag.size))
    share = np.where(share < _PURE, 0.0, np.where(share > 1.0 - _PURE, 1.0, share))
    size = galaxy_model.draw_sizes(rng, mag)
    bulge_ratio, disk_ratio = galaxy_model.draw_axis_ratios(rng, early)
    return Bodies(
        bulge_share=share,
        bulge_radius=size * (0.3 + 0.6 * share),
        bulge_sersic=np.clip(rng.normal(np.where(early, 3.6, 2.2), 0.8), 0.8, 6.0),
        bulge_ratio=bulge_ratio,
        disk_radius=size * (1.0 + 0.6 * share),
        disk_ratio=disk_ratio,
        position_angle=rng.uniform(0.0, np.pi, mag.size),
    )


def _largest_body(bodies: Bodies) -> Columns:
    """Size and ellipticity of whichever of bulge and disk has more light."""
    round_body = bodies.bulge_share > 0.5
    ratio = np.where(round_body, bodies.bulge_ratio, bodies.disk_ratio)
    size = (1.0 - ratio**2) / (1.0 + ratio**2)
    return {
        "half_light": np.where(round_body, bodies.bulge_radius, bodies.disk_radius) * np.sqrt(ratio),
        "e1": size * np.cos(2.0 * bodies.position_angle),
        "e2": size * np.sin(2.0 * bodies.position_angle),
    }
