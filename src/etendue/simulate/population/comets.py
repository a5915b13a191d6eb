"""Layer of comets: periodic and long-period ones, with coma and tail."""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from etendue.simulate.population.coma import comae
from etendue.simulate.population.layer import Columns, layer_ids
from etendue.simulate.population.layer import Field as SkyField
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.observer import tdb_of_tai
from etendue.simulate.population.orbit_search import OrbitSearch, draw_in_field, longest_trail_deg
from etendue.simulate.population.orbits import Ephemerides, Ephemeris, Orbits
from etendue.simulate.population.phase_function import phase_mag
from etendue.simulate.population.reflectance import TYPES, reflected_colour, sunlight_wavelength_nm
from etendue.simulate.random_streams import stream

Vector = NDArray[np.float64]

_AU_KM = 149597870.7
_D_TYPE = TYPES.index("D")
_G12 = 0.6


class CometSpec(BaseModel):
    """Comets of the survey."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    epoch_mjd_tai: float
    """Time at which comets are placed, near the middle of the survey [day]."""

    count: int = Field(0, ge=0, le=1_000_000)
    """Comets on the whole sky with a perihelion within five years of the epoch."""

    in_field: int = Field(0, ge=0, le=10_000)
    """Comets that are in the field, of ``brightest_mag`` to ``mag_limit``, at the epoch."""

    brightest_mag: float = 0.0
    """Total V magnitude from which on comets are too bright to count as being in the field [mag]."""

    mag_limit: float = 23.0
    """Total V magnitude down to which comets count as being in the field [mag]."""

    long_period_share: float = Field(0.3, ge=0.0, le=1.0)
    """Share of comets on nearly parabolic orbits of any inclination; some are hyperbolic."""


@dataclass(frozen=True, slots=True, eq=False)
class Comets:
    """Comets; all columns have shape (n,).

    Parameters
    ----------
    orbits : Orbits
        Their orbits.
    total_mag : ndarray, float64
        M1: total V magnitude at 1 au from Sun and Earth [mag].
    activity : ndarray, float64
        Total brightness falls as the distance from the Sun to minus this power; 4 is usual.
    nucleus_mag : ndarray, float64
        Absolute magnitude of the bare nucleus [mag].
    coma_km : ndarray, float64
        Half-light radius of the coma's outermost part [km].
    tail_share : ndarray, float64
        Share of the dust's light that is in the tail at 1 au from the Sun.
    """

    orbits: Orbits
    total_mag: Vector
    activity: Vector
    nucleus_mag: Vector
    coma_km: Vector
    tail_share: Vector

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "Comets":
        """Return some comets.

        Parameters
        ----------
        rows : ndarray
            Row numbers or a mask.

        Returns
        -------
        Comets
        """
        return Comets(self.orbits.take(rows), *(getattr(self, name)[rows] for name in _COLUMNS))

    @classmethod
    def concat(cls, parts: "list[Comets]") -> "Comets":
        """Join comets.

        Parameters
        ----------
        parts : list of Comets
            At least one.

        Returns
        -------
        Comets
        """
        rest = [np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS]
        return cls(Orbits.concat([part.orbits for part in parts]), *rest)


_COLUMNS = tuple(field.name for field in fields(Comets))[1:]


def draw_comets(rng: np.random.Generator, count: int, epoch_mjd_tdb: float, long_period_share: float) -> Comets:
    """Draw comets near their perihelia, in the shares of known ones.

    Periodic comets have aphelia at 4.8 to 7 au and inclinations of about 12 degrees (Jupiter's family); the others
    come from all directions with eccentricities of 0.995 to 1.002.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    count : int
        How many.
    epoch_mjd_tdb : float
        Perihelia lie within five years of it [day].
    long_period_share : float
        Share of nearly parabolic ones.

    Returns
    -------
    Comets
    """
    far = rng.random(count) < long_period_share
    q = np.where(far, 0.3 + 6.0 * rng.random(count), 0.8 + 3.2 * rng.beta(2.0, 2.5, count))
    aphelion = rng.uniform(4.8, 7.0, count)
    e = np.where(far, rng.uniform(0.995, 1.002, count), (aphelion - q) / (aphelion + q))
    isotropic = np.degrees(np.arccos(rng.uniform(-1.0, 1.0, count)))
    orbits = Orbits(
        q_au=q,
        e=e,
        inclination_deg=np.where(far, isotropic, np.minimum(rng.rayleigh(10.0, count), 60.0)),
        node_deg=rng.uniform(0.0, 360.0, count),
        peri_deg=rng.uniform(0.0, 360.0, count),
        t_peri_mjd_tdb=epoch_mjd_tdb + rng.uniform(-5.0, 5.0, count) * 365.25,
    )
    total = np.where(far, rng.normal(7.5, 1.8, count), rng.normal(11.5, 1.8, count))
    return Comets(
        orbits=orbits,
        total_mag=total,
        activity=np.clip(rng.normal(4.0, 0.7, count), 2.5, 6.0),
        nucleus_mag=total + rng.uniform(4.5, 8.0, count),
        coma_km=usual_coma_km(total) * np.exp(rng.normal(0.0, 0.3, count)),
        tail_share=np.clip(rng.normal(0.4, 0.15, count), 0.0, 0.8),
    )


def usual_coma_km(total_mag: Vector) -> Vector:
    """Return how large comae usually are.

    Parameters
    ----------
    total_mag : ndarray, float64, shape (n,)
        M1 [mag].

    Returns
    -------
    ndarray, float64, shape (n,)
        Half-light radius of the outermost part: 25,000 km at M1 = 9, as the fourth root of the
        brightness [km].
    """
    return np.asarray(2.5e4 * 10.0 ** (-0.1 * (total_mag - 9.0)))


def comet_mags(comets: Comets, seen: Ephemeris) -> tuple[Vector, Vector]:
    """Return V magnitudes of dust and of nuclei.

    Parameters
    ----------
    comets : Comets
        The comets.
    seen : Ephemeris
        Where they are.

    Returns
    -------
    dust, nucleus : ndarray, float64, shape (n,)
        ``M1 + 5 log10(delta) + 2.5 activity log10(r)``, fading out beyond 5 au where ice no longer sublimes; nuclei
        like asteroids [mag].
    """
    near = comets.total_mag + 5.0 * np.log10(seen.delta_au) + 2.5 * comets.activity * np.log10(seen.r_au)
    asleep = 1.5 * np.maximum(seen.r_au - 5.0, 0.0)
    bare = comets.nucleus_mag + 5.0 * np.log10(seen.delta_au * seen.r_au)
    return near + asleep, bare + phase_mag(seen.phase_deg, np.full(bare.size, _G12))


def _total_mag(comets: Comets, seen: Ephemeris) -> Vector:
    dust, nucleus = comet_mags(comets, seen)
    return -2.5 * np.log10(10.0 ** (-0.4 * dust) + 10.0 ** (-0.4 * nucleus))


class CometLayer:
    """Comets at a moment.

    Parameters
    ----------
    comets : Comets
        The comets.
    copy : int
        Number of the layer among those of its kind.
    """

    name = "comets"

    def __init__(self, comets: Comets, copy: int = 0):
        self.comets = comets
        self._id = layer_ids("comets", len(comets.orbits), copy)
        self._ephemerides = Ephemerides(comets.orbits)
        self._search = OrbitSearch(self._ephemerides)

    @classmethod
    def make(cls, spec: CometSpec, field: SkyField, seed: int, copy: int = 0) -> "CometLayer":
        """Draw the comets of a survey.

        Parameters
        ----------
        spec : CometSpec
            How many.
        field : Field
            Sky that is filled with those ``in_field``.
        seed : int
            Seed of the survey.
        copy : int
            Number of the layer among those of its kind.

        Returns
        -------
        CometLayer

        Raises
        ------
        InputError
            If a field never holds as many as wanted.
        """
        rng = stream(seed, "comets", copy)
        epoch = float(tdb_of_tai(spec.epoch_mjd_tai))

        def draw(count: int) -> Comets:
            return draw_comets(rng, count, epoch, spec.long_period_share)

        def mags(comets: Comets, seen: Ephemeris) -> Vector:
            total = _total_mag(comets, seen)
            return np.where(total < spec.brightest_mag, np.inf, total)

        parts = [draw(spec.count)]
        if spec.in_field:
            parts += draw_in_field(draw, mags, spec.in_field, field, (spec.epoch_mjd_tai, spec.mag_limit))
        return cls(Comets.concat(parts), copy)

    @cached_property
    def objects(self) -> Columns:
        """Truth: orbits on the ecliptic of J2000 and what makes them bright."""
        orbits = {field.name: getattr(self.comets.orbits, field.name) for field in fields(Orbits)}
        return {"object_id": self._id} | orbits | {name: getattr(self.comets, name) for name in _COLUMNS}

    def lights(self, moment: Moment) -> Lights:
        """Return the comets inside the moment's circle.

        Parameters
        ----------
        moment : Moment
            When, where and in which light.

        Returns
        -------
        Lights
        """
        largest = float(self.comets.coma_km.max(initial=0.0)) / _AU_KM
        rows = self._search.inside(moment, longest_trail_deg(moment) + min(np.degrees(largest), 1.0))
        seen = self._ephemerides.at(moment.mjd_tai, moment.site, rows)
        comets = self.comets.take(rows)
        dust, nucleus = comet_mags(comets, seen)
        share = 1.0 / (1.0 + 10.0 ** (-0.4 * (dust - nucleus)))
        total = -2.5 * np.log10(10.0 ** (-0.4 * dust) + 10.0 ** (-0.4 * nucleus))
        kind, none = np.full(rows.size, _D_TYPE, np.int64), np.zeros(rows.size)
        radius = np.degrees(comets.coma_km / _AU_KM / seen.delta_au) * 3600.0
        return Lights(
            object_id=self._id[rows],
            ra_deg=seen.ra_deg,
            dec_deg=seen.dec_deg,
            mag=total + reflected_colour(moment.bandpass, kind, none),
            wavelength_nm=np.full(rows.size, sunlight_wavelength_nm(moment.bandpass)),
            rate_ra=seen.rate_ra,
            rate_dec=seen.rate_dec,
            shape=np.arange(rows.size),
            shapes=comae(radius, share, comets.tail_share / np.maximum(seen.r_au, 1.0), seen.anti_sun_deg),
        )
