"""Shear and magnification of what lies behind mass: constant, or by a cluster with an NFW profile."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from etendue.simulate.population.cosmology import HUBBLE_KM_S_MPC, MATTER, comoving_mpc
from etendue.simulate.population.layer import Field as SkyField

Vector = NDArray[np.float64]

_NEWTON_MPC = 4.30091e-9  # G [Mpc (km/s)**2 / solar mass]
_LIGHT_KM_S = 299792.458
_ARCSEC = np.pi / 180.0 / 3600.0
_STEPS = 60
_RELAXATION = 0.6
_LARGEST_SHEAR = 0.9


class ConstantShear(BaseModel):
    """The same reduced shear for every galaxy, without convergence."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    g1: float = Field(0.0, gt=-0.5, lt=0.5)
    """Stretch along the meridian (positive) or the parallel (negative)."""

    g2: float = Field(0.0, gt=-0.5, lt=0.5)
    """Stretch towards north-east (positive) or north-west (negative)."""


class NfwCluster(BaseModel):
    """A cluster of galaxies as a lens (Wright & Brainerd 2000, ApJ 534, 34)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    ra_deg: float
    """Centre [deg]."""

    dec_deg: float = Field(ge=-90.0, le=90.0)
    """Centre [deg]."""

    redshift: float = Field(0.3, gt=0.0, lt=5.0)
    """Redshift of the cluster; galaxies in front are not lensed."""

    mass_200: float = Field(1e15, gt=0.0, le=1e16)
    """Mass within 200 times the critical density [solar masses]."""

    concentration: float = Field(4.0, gt=0.5, le=30.0)
    """Concentration."""


@dataclass(frozen=True, slots=True, eq=False)
class Lensed:
    """What lensing does to galaxies; all columns have shape (n,).

    Parameters
    ----------
    ra_deg, dec_deg : ndarray, float64
        Positions of the images [deg].
    g1, g2 : ndarray, float64
        Reduced shear, along the meridian and towards north-east.
    magnification : ndarray, float64
        Ratio of fluxes, positive.
    """

    ra_deg: Vector
    dec_deg: Vector
    g1: Vector
    g2: Vector
    magnification: Vector


def lens(
    model: ConstantShear | NfwCluster, field: SkyField, ra_deg: Vector, dec_deg: Vector, redshift: Vector
) -> Lensed:
    """Return the primary images of galaxies.

    Parameters
    ----------
    model : ConstantShear or NfwCluster
        What lenses.
    field : Field
        Its centre stays in place under constant shear.
    ra_deg, dec_deg : ndarray, float64, shape (n,)
        Positions of the sources [deg].
    redshift : ndarray, float64, shape (n,)
        Redshifts of the sources.

    Returns
    -------
    Lensed
    """
    if isinstance(model, ConstantShear):
        return _constant(model, field, ra_deg, dec_deg)
    return _cluster(model, ra_deg, dec_deg, redshift)


def _constant(model: ConstantShear, field: SkyField, ra_deg: Vector, dec_deg: Vector) -> Lensed:
    east, north = field.from_sky(ra_deg, dec_deg)
    size = 1.0 - model.g1**2 - model.g2**2
    moved_north = ((1.0 + model.g1) * north + model.g2 * east) / size
    moved_east = (model.g2 * north + (1.0 - model.g1) * east) / size
    ra, dec = field.to_sky(moved_east, np.clip(moved_north, -90.0, 90.0))
    full = np.ones(ra.size)
    return Lensed(ra, dec, full * model.g1, full * model.g2, full / size)


def _cluster(model: NfwCluster, ra_deg: Vector, dec_deg: Vector, redshift: Vector) -> Lensed:
    frame = SkyField(model.ra_deg, model.dec_deg, 180.0, 90.0)
    east, north = frame.from_sky(ra_deg, dec_deg)
    source = np.maximum(np.hypot(east, north) * 3600.0, 1e-3)
    angle = np.arctan2(east, north)
    scale_arcsec, strength = _scales(model, redshift)
    # The lens equation for the image on the source's own side, by relaxation: source = image - deflection(image).
    image = source + strength * _deflection(source / scale_arcsec) * scale_arcsec
    for _ in range(_STEPS):
        wanted = source + strength * _deflection(image / scale_arcsec) * scale_arcsec
        image += _RELAXATION * (wanted - image)
    convergence = strength * _surface_density(image / scale_arcsec)
    mean = strength * _deflection(image / scale_arcsec) * scale_arcsec / image
    radial, tangential = 1.0 - 2.0 * convergence + mean, 1.0 - mean
    shear = np.clip((mean - convergence) / np.maximum(1.0 - convergence, 0.05), 0.0, _LARGEST_SHEAR)
    ra, dec = frame.to_sky(image / 3600.0 * np.sin(angle), image / 3600.0 * np.cos(angle))
    magnification = 1.0 / np.maximum(np.abs(radial * tangential), 0.02)
    # Images are stretched along the circle around the centre: at right angles to the direction to it.
    return Lensed(ra, dec, -shear * np.cos(2.0 * angle), -shear * np.sin(2.0 * angle), magnification)


def _scales(model: NfwCluster, redshift: Vector) -> tuple[float, Vector]:
    """Scale radius [arcsec], and ``2 rs rho_s / critical surface density`` of each source."""
    expansion2 = MATTER * (1.0 + model.redshift) ** 3 + 1.0 - MATTER
    critical = 3.0 * HUBBLE_KM_S_MPC**2 * expansion2 / (8.0 * np.pi * _NEWTON_MPC)
    radius = (3.0 * model.mass_200 / (800.0 * np.pi * critical)) ** (1.0 / 3.0) / model.concentration
    c = model.concentration
    density = 200.0 / 3.0 * critical * c**3 / (np.log1p(c) - c / (1.0 + c))
    lens_mpc = float(comoving_mpc(np.array([model.redshift]))[0])
    distance = lens_mpc / (1.0 + model.redshift)
    # D_ls / D_s; comoving distances add up in a flat universe.
    behind = np.clip(1.0 - lens_mpc / np.maximum(comoving_mpc(redshift), 1e-6), 0.0, 1.0)
    per_critical = 4.0 * np.pi * _NEWTON_MPC / _LIGHT_KM_S**2 * distance * behind
    return radius / distance / _ARCSEC, 2.0 * radius * density * per_critical


def _surface_density(x: Vector) -> Vector:
    """Convergence over strength at a radius in scale radii."""
    return _smooth(x, lambda at, arc: (1.0 - arc) / (at**2 - 1.0), 1.0 / 3.0)


def _deflection(x: Vector) -> Vector:
    """Deflection over strength and scale radius."""
    return 2.0 / x * _smooth(x, lambda at, arc: arc + np.log(0.5 * at), 1.0 - np.log(2.0))


def _smooth(x: Vector, form: Callable[[Vector, Vector], Vector], at_one: float) -> Vector:
    """Evaluate a form of x and of ``arccosh(1/x) / sqrt(1 - x**2)`` or its other branch."""
    near = np.abs(x - 1.0) < 1e-4
    safe = np.where(near, 2.0, x)
    inner, outer = np.minimum(safe, 0.999999), np.maximum(safe, 1.000001)
    arc = np.where(
        safe < 1.0,
        np.arccosh(1.0 / inner) / np.sqrt(1.0 - inner**2),
        np.arccos(1.0 / outer) / np.sqrt(outer**2 - 1.0),
    )
    return np.where(near, at_one, form(safe, arc))
