"""Layer of asteroids from the near-Earth space to the trans-Neptunian belt."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from etendue.simulate.population.layer import Columns, layer_ids
from etendue.simulate.population.layer import Field as SkyField
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.observer import LIGHT_DAYS_PER_AU, tdb_of_tai
from etendue.simulate.population.orbit_search import OrbitSearch, draw_in_field, longest_trail_deg, trails_inside
from etendue.simulate.population.orbits import Ephemerides, Ephemeris
from etendue.simulate.population.phase_function import phase_mag
from etendue.simulate.population.reflectance import TYPES, reflected_colour, sunlight_wavelength_nm
from etendue.simulate.population.shapes import Shapes
from etendue.simulate.population.small_bodies import CLASSES, SmallBodies, draw_small_bodies, rotation_mag
from etendue.simulate.random_streams import stream

Vector = NDArray[np.float64]


class BodyClass(BaseModel):
    """How many bodies of one dynamical class."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    dynamical_class: str
    """One of ``neo``, ``pha``, ``main_belt``, ``hilda``, ``trojan``, ``tno``."""

    count: int = Field(0, ge=0, le=5_000_000)
    """Bodies on the whole sky."""

    in_field: int = Field(0, ge=0, le=200_000)
    """Bodies that are in the field and brighter than ``mag_limit`` at the epoch, drawn until there are so many."""

    h_min: float = 3.0
    """Brightest absolute magnitude [mag]."""

    h_max: float = 22.0
    """Faintest absolute magnitude [mag]."""

    @field_validator("dynamical_class")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in CLASSES:
            raise ValueError(f"unknown dynamical class {value!r}; known are {', '.join(CLASSES)}")
        return value


class MovingSpec(BaseModel):
    """Asteroids of the survey."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    epoch_mjd_tai: float
    """Time at which bodies are placed, near the middle of the survey [day]."""

    classes: tuple[BodyClass, ...]
    """Bodies by dynamical class."""

    mag_limit: float = 26.0
    """V magnitude down to which bodies count as being in the field [mag]."""

    rotation: bool = True
    """Whether bodies have rotation light curves."""


class MovingLayer:
    """Asteroids at a moment: positions by two-body motion, rates, magnitudes by H, G12, rotation and colour.

    Parameters
    ----------
    bodies : SmallBodies
        The bodies.
    classes : ndarray, str, shape (n,)
        Dynamical class of each.
    rotation : bool
        Whether they have rotation light curves.
    copy : int
        Number of the layer among those of its kind.
    """

    name = "moving"

    def __init__(self, bodies: SmallBodies, classes: NDArray[np.str_], *, rotation: bool = True, copy: int = 0):
        self.bodies = bodies
        self._classes = classes
        self._rotation = rotation
        self._id = layer_ids("moving", len(bodies.orbits), copy)
        self._ephemerides = Ephemerides(bodies.orbits)
        self._search = OrbitSearch(self._ephemerides)

    @classmethod
    def make(cls, spec: MovingSpec, field: SkyField, seed: int, copy: int = 0) -> "MovingLayer":
        """Draw the bodies of a survey.

        Parameters
        ----------
        spec : MovingSpec
            How many of which.
        field : Field
            Sky that is filled with those ``in_field``.
        seed : int
            Seed of the survey.
        copy : int
            Number of the layer among those of its kind.

        Returns
        -------
        MovingLayer

        Raises
        ------
        InputError
            If a field never holds as many bodies of a class as wanted.
        """
        parts: list[SmallBodies] = []
        classes: list[str] = []
        for number, one in enumerate(spec.classes):
            rng = stream(seed, "moving", copy, number)
            drawn = [_draw(rng, one, one.count, spec)] if one.count else []
            drawn += _in_field(rng, one, spec, field) if one.in_field else []
            parts += drawn
            classes += [one.dynamical_class] * sum(len(part.orbits) for part in drawn)
        if not parts:
            parts = [_draw(stream(seed, "moving"), BodyClass(dynamical_class="neo"), 0, spec)]
        return cls(SmallBodies.concat(parts), np.array(classes, np.str_), rotation=spec.rotation, copy=copy)

    @cached_property
    def objects(self) -> Columns:
        """Truth: orbits on the ecliptic of J2000, sizes, colours and spins."""
        orbits, bodies = self.bodies.orbits, self.bodies
        return {
            "object_id": self._id,
            "dynamical_class": self._classes,
            "q_au": orbits.q_au,
            "e": orbits.e,
            "inclination_deg": orbits.inclination_deg,
            "node_deg": orbits.node_deg,
            "peri_deg": orbits.peri_deg,
            "t_peri_mjd_tdb": orbits.t_peri_mjd_tdb,
            "h_mag": bodies.h_mag,
            "g12": bodies.g12,
            "spectral_type": np.array(TYPES)[bodies.kind],
            "tilt_per_100nm": bodies.tilt_per_100nm,
            "period_h": bodies.period_h,
            "amplitude_mag": bodies.amplitude_mag,
            "rotation_phase": bodies.rotation_phase,
        }

    def lights(self, moment: Moment) -> Lights:
        """Return the bodies inside the moment's circle.

        Parameters
        ----------
        moment : Moment
            When, where and in which light.

        Returns
        -------
        Lights
        """
        rows = self._search.inside(moment, longest_trail_deg(moment))
        seen = self._ephemerides.at(moment.mjd_tai, moment.site, rows)
        inside = trails_inside(seen, moment)
        bodies = self.bodies.take(rows)
        mag = body_mag(bodies, seen, moment, rotation=self._rotation)
        lights = Lights(
            object_id=self._id[rows],
            ra_deg=seen.ra_deg,
            dec_deg=seen.dec_deg,
            mag=mag,
            wavelength_nm=np.full(rows.size, sunlight_wavelength_nm(moment.bandpass)),
            rate_ra=seen.rate_ra,
            rate_dec=seen.rate_dec,
            shape=np.full(rows.size, -1, np.int64),
            shapes=Shapes.none(),
        )
        return lights.take(inside)

    def ephemeris(self, moment: Moment) -> tuple[NDArray[np.int64], Ephemeris]:
        """Return distances and angles of the bodies inside the moment's circle, for the truth.

        Parameters
        ----------
        moment : Moment
            When and where.

        Returns
        -------
        object_id : ndarray, int64, shape (m,)
            Bodies, in the order of `lights`.
        ephemeris : Ephemeris
            Where they are.
        """
        rows = self._search.inside(moment, longest_trail_deg(moment))
        seen = self._ephemerides.at(moment.mjd_tai, moment.site, rows)
        rows = rows[trails_inside(seen, moment)]
        return self._id[rows], self._ephemerides.at(moment.mjd_tai, moment.site, rows)


def body_mag(bodies: SmallBodies, seen: Ephemeris, moment: Moment, *, rotation: bool = True) -> Vector:
    """Return AB magnitudes of bodies.

    Parameters
    ----------
    bodies : SmallBodies
        The bodies.
    seen : Ephemeris
        Where they are.
    moment : Moment
        When and in which light.
    rotation : bool
        Whether they have rotation light curves.

    Returns
    -------
    ndarray, float64, shape (n,)
        ``H + 5 log10(r delta)``, phase, rotation and colour [mag].
    """
    mag = _mean_v_mag(bodies, seen) + reflected_colour(moment.bandpass, bodies.kind, bodies.tilt_per_100nm)
    if rotation:
        mag += rotation_mag(bodies, moment.mjd_tai - seen.delta_au * LIGHT_DAYS_PER_AU)
    return mag


def _mean_v_mag(bodies: SmallBodies, seen: Ephemeris) -> Vector:
    return bodies.h_mag + 5.0 * np.log10(seen.r_au * seen.delta_au) + phase_mag(seen.phase_deg, bodies.g12)


def _draw(rng: np.random.Generator, one: BodyClass, count: int, spec: MovingSpec) -> SmallBodies:
    epoch = float(tdb_of_tai(spec.epoch_mjd_tai))
    return draw_small_bodies(rng, one.dynamical_class, count, (one.h_min, one.h_max), epoch)


def _in_field(rng: np.random.Generator, one: BodyClass, spec: MovingSpec, field: SkyField) -> list[SmallBodies]:
    """Draw bodies of the whole sky until enough of them lie in the field."""

    def draw(count: int) -> SmallBodies:
        return _draw(rng, one, count, spec)

    return draw_in_field(draw, _mean_v_mag, one.in_field, field, (spec.epoch_mjd_tai, spec.mag_limit))
