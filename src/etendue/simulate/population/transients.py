"""Layer of transients: supernovae, kilonovae, tidal disruptions and afterglows on their hosts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.light.dust import Dust
from etendue.simulate.light.reddening import extinction_law
from etendue.simulate.population.cosmology import distance_modulus, events_seen
from etendue.simulate.population.hosts import Hosts
from etendue.simulate.population.hot_transients import (
    afterglow,
    disruption,
    draw_afterglows,
    draw_disruptions,
    draw_kilonovae,
    kilonova,
)
from etendue.simulate.population.layer import Columns, layer_ids
from etendue.simulate.population.layer import Field as SkyField
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment, inside_circle
from etendue.simulate.population.supernovae import (
    draw_supernovae_ia,
    draw_supernovae_ii,
    supernova_ia,
    supernova_ii,
)
from etendue.simulate.random_streams import stream

Vector = NDArray[np.float64]

_NODES = 32
_WHOLE_SKY_DEG2 = 41252.96
_SHORT_DAYS = 0.1


@dataclass(frozen=True, slots=True)
class _Physics:
    """One kind: how it is drawn, what it looks like, and where it is found."""

    draw: Callable[[np.random.Generator, int], Columns]
    spectrum: Callable[[Columns, Vector, NDArray[np.float64]], NDArray[np.float64]]
    before_days: float  # from the reference time to the first light, rest frame
    after_days: float
    rate: float  # per year and Gpc**3
    evolution: float
    spread: float  # of the places, in units of the host's light


_PHYSICS = {
    "sn_ia": _Physics(draw_supernovae_ia, supernova_ia, 19.0, 250.0, 2.4e4, 1.7, 1.0),
    "sn_ii": _Physics(draw_supernovae_ii, supernova_ii, 0.0, 300.0, 6.0e4, 3.0, 1.0),
    "kilonova": _Physics(draw_kilonovae, kilonova, 0.0, 20.0, 3.0e2, 1.5, 2.0),
    "tde": _Physics(draw_disruptions, disruption, 60.0, 500.0, 3.0e2, 0.0, 0.0),
    "afterglow": _Physics(draw_afterglows, afterglow, 0.0, 30.0, 1.0, 3.0, 0.6),
}
TRANSIENT_KINDS = tuple(_PHYSICS)
"""Kinds of transients; their rates per year and Gpc**3 at redshift 0 are 24,000 and 60,000 (Dilday et al. 2010; Li et
al. 2011), 300 (Abbott et al. 2021), 300 (van Velzen 2018) and 1 (Wanderman and Piran 2010)."""


class TransientClass(BaseModel):
    """Transients of one kind."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: str
    """One of ``sn_ia``, ``sn_ii``, ``kilonova``, ``tde``, ``afterglow``."""

    count: int | None = Field(None, ge=0, le=10_000_000)
    """Number whose visible time overlaps with the survey; None takes the published rate times ``boost``."""

    boost: float = Field(1.0, ge=0.0)
    """What the published rate is multiplied with."""

    largest_redshift: float = Field(1.0, gt=0.0, le=10.0)
    """Farther ones are left out."""

    oldest_days: float | None = Field(None, ge=0.0)
    """Those whose reference time (maximum in B of type Ia, maximum of disruptions, explosion of all others) is longer
    before the survey, in their own time, are left out; None keeps all that can still be seen [day]."""

    @property
    def after_days(self) -> float:
        """Largest age at the survey's begin, in the transient's time [day]."""
        longest = _PHYSICS[self.kind].after_days
        return longest if self.oldest_days is None else min(longest, self.oldest_days)

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in _PHYSICS:
            raise ValueError(f"unknown kind of transient {value!r}; known are {', '.join(_PHYSICS)}")
        return value


class TransientSpec(BaseModel):
    """Transients of the survey."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    first_mjd_tai: float
    """First time of the survey [day]."""

    last_mjd_tai: float
    """Last time of the survey [day]."""

    classes: tuple[TransientClass, ...]
    """Transients by kind."""

    mag_limit: float = 30.0
    """Fainter ones are not given to a moment [mag]."""

    dust: Dust = Dust()
    """The Galaxy's dust."""


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Transients of one kind; all columns have shape (n,).

    Parameters
    ----------
    kind : str
        One of `TRANSIENT_KINDS`.
    common : dict of ndarray
        ``object_id``, ``host_id`` (0 without host), ``ra_deg``, ``dec_deg``, ``redshift``, ``reference_mjd_tai``
        (maximum in B of type Ia, maximum of disruptions, explosion of all others), ``excess`` (of the Galaxy).
    event : dict of ndarray
        Parameters of the kind.
    """

    kind: str
    common: Columns
    event: Columns

    def mags(
        self, bandpass: Bandpass, mjd_tai: float, rows: NDArray[np.int64], exposure_time_s: float = 0.0
    ) -> tuple[Vector, Vector]:
        """Return magnitudes and effective wavelengths of some events.

        Parameters
        ----------
        bandpass : Bandpass
            Light that is collected.
        mjd_tai : float
            Mid-exposure [day].
        rows : ndarray, int64, shape (m,)
            Which.
        exposure_time_s : float
            Exposure time; flux is averaged over it by ten points where events are younger than 0.1 day [s].

        Returns
        -------
        mag, wavelength_nm : ndarray, float64, shape (m,)
            AB magnitude, redshifted (K-corrected), with the Galaxy's dust; infinite before the first light [mag], and
            effective wavelength [nm].
        """
        since = mjd_tai - self.common["reference_mjd_tai"][rows]
        flux, wave = self._flux(bandpass, since, rows)
        young = np.flatnonzero((np.abs(since) < _SHORT_DAYS) & (exposure_time_s > 0.0))
        if young.size:
            steps = ((np.arange(10) + 0.5) / 10.0 - 0.5) * exposure_time_s / 86400.0
            flux[young] = np.mean([self._flux(bandpass, since[young] + dt, rows[young])[0] for dt in steps], axis=0)
        with np.errstate(divide="ignore"):
            return -2.5 * np.log10(flux), wave

    def _flux(self, bandpass: Bandpass, since: Vector, rows: NDArray[np.int64]) -> tuple[Vector, Vector]:
        nodes, weights, extinction = _quadrature(bandpass)
        stretch = 1.0 + self.common["redshift"][rows]
        event = {name: column[rows] for name, column in self.event.items()}
        mag = _PHYSICS[self.kind].spectrum(event, since / stretch, nodes / stretch[:, None])
        far = distance_modulus(stretch - 1.0) - 2.5 * np.log10(stretch)
        mag = mag + far[:, None] + self.common["excess"][rows, None] * extinction
        flux = 10.0 ** (-0.4 * mag)
        total = flux @ weights
        with np.errstate(invalid="ignore"):
            wave = np.where(total > 0.0, (flux * nodes) @ weights / total, bandpass.pivot_nm)
        return total, wave


class TransientLayer:
    """Transients at a moment.

    Parameters
    ----------
    parts : list of Events
        Events by kind.
    mag_limit : float
        Fainter ones are not given [mag].
    """

    name = "transients"

    def __init__(self, parts: list[Events], mag_limit: float = 30.0):
        self.parts = parts
        self._limit = mag_limit

    @classmethod
    def make(
        cls, spec: TransientSpec, field: SkyField, seed: int, hosts: Hosts | None = None, copy: int = 0
    ) -> "TransientLayer":
        """Draw the transients of a survey.

        Parameters
        ----------
        spec : TransientSpec
            How many of which, and when.
        field : Field
            Where, without hosts; its area sets the number that a rate gives.
        seed : int
            Seed of the survey.
        hosts : Hosts, optional
            Galaxies to place them on: redshifts are then those of the galaxies.
        copy : int
            Number of the layer among those of its kind.

        Returns
        -------
        TransientLayer
        """
        drawn = [
            _draw(stream(seed, "transients", copy, number), one, spec, field, hosts)
            for number, one in enumerate(spec.classes)
        ]
        ids = layer_ids("transients", sum(part.common["ra_deg"].size for part in drawn), copy)
        parts = []
        for part in drawn:
            ra, dec = part.common["ra_deg"], part.common["dec_deg"]
            ids, own = ids[ra.size :], ids[: ra.size]
            common = {"object_id": own, **part.common, "excess": spec.dust.excess(ra, dec, np.inf, seed)}
            parts.append(Events(part.kind, common, part.event))
        return cls(parts, spec.mag_limit)

    @property
    def objects(self) -> Columns:
        """Truth: places, redshifts, times and parameters of all kinds; those of other kinds are NaN."""
        if not self.parts:
            return {"object_id": np.zeros(0, np.int64)}
        table: Columns = {
            name: np.concatenate([part.common[name] for part in self.parts]) for name in self.parts[0].common
        }
        sizes = [part.common["object_id"].size for part in self.parts]
        table["kind"] = np.repeat([part.kind for part in self.parts], sizes)
        for name in dict.fromkeys(name for part in self.parts for name in part.event):
            pairs = zip(self.parts, sizes, strict=True)
            table[name] = np.concatenate([part.event.get(name, np.full(size, np.nan)) for part, size in pairs])
        return table

    def lights(self, moment: Moment) -> Lights:
        """Return the transients that shine inside the moment's circle.

        Parameters
        ----------
        moment : Moment
            When, where and in which light.

        Returns
        -------
        Lights
        """
        none = np.zeros(0)
        seen = [self._lights_of(part, moment) for part in self.parts]
        return Lights.concat([Lights.points(np.zeros(0, np.int64), none, none, none, none), *seen])

    def _lights_of(self, part: Events, moment: Moment) -> Lights:
        common, physics = part.common, _PHYSICS[part.kind]
        rows = inside_circle(common["ra_deg"], common["dec_deg"], moment)
        half = 0.5 * moment.exposure_time_s / 86400.0
        since = moment.mjd_tai - common["reference_mjd_tai"][rows]
        stretch = 1.0 + common["redshift"][rows]
        alive = (since + half > -physics.before_days * stretch) & (since < physics.after_days * stretch)
        rows = rows[alive]
        mag, wave = part.mags(moment.bandpass, moment.mjd_tai, rows, moment.exposure_time_s)
        ra, dec = common["ra_deg"][rows], common["dec_deg"][rows]
        return Lights.points(common["object_id"][rows], ra, dec, mag, wave).take(mag < self._limit)


def draw_events(kind: str, rng: np.random.Generator, count: int) -> Columns:
    """Draw the parameters of transients of a kind.

    Parameters
    ----------
    kind : str
        One of `TRANSIENT_KINDS`.
    rng : numpy.random.Generator
        Random numbers.
    count : int
        How many.

    Returns
    -------
    dict of ndarray, shape (count,)
        What the kind needs.
    """
    return _PHYSICS[kind].draw(rng, count)


@lru_cache(maxsize=64)
def _quadrature(bandpass: Bandpass) -> tuple[Vector, Vector, Vector]:
    """Wavelengths, weights of the AB flux, and extinction per E(B-V): midpoints of slices with equal photons."""
    wave = np.linspace(bandpass.wavelength_nm[0], bandpass.wavelength_nm[-1], 4001)
    photons = bandpass.at(wave) / wave
    share = np.concatenate([[0.0], np.cumsum(0.5 * (photons[1:] + photons[:-1]))])
    nodes = np.interp((np.arange(_NODES) + 0.5) / _NODES, share / share[-1], wave)
    return nodes, np.full(_NODES, 1.0 / _NODES), extinction_law(nodes)


def _draw(
    rng: np.random.Generator, one: TransientClass, spec: TransientSpec, field: SkyField, hosts: Hosts | None
) -> Events:
    physics = _PHYSICS[one.kind]
    slowest = 1.0 + one.largest_redshift
    first = spec.first_mjd_tai - one.after_days * slowest
    last = spec.last_mjd_tai + physics.before_days * slowest
    z, events = events_seen(physics.rate * one.boost, physics.evolution, one.largest_redshift)
    years = (last - first) / 365.25
    expected = events[-1] * years * field.area_deg2 / _WHOLE_SKY_DEG2
    count = int(rng.poisson(expected)) if one.count is None else one.count
    if hosts is None:
        ra, dec = field.scatter(rng, count)
        redshift, host_id = np.interp(rng.random(count) * events[-1], events, z), np.zeros(count, np.int64)
    else:
        near = (hosts.redshift < one.largest_redshift) / (1.0 + hosts.redshift)
        rows = hosts.choose(rng, count, near)
        ra, dec = hosts.place(rng, rows, physics.spread)
        redshift, host_id = hosts.redshift[rows], hosts.object_id[rows]
    stretch = 1.0 + redshift
    first, last = (
        spec.first_mjd_tai - one.after_days * stretch,
        spec.last_mjd_tai + physics.before_days * stretch,
    )
    common: Columns = {
        "host_id": host_id,
        "ra_deg": ra,
        "dec_deg": dec,
        "redshift": redshift,
        "reference_mjd_tai": rng.uniform(first, last),
    }
    return Events(one.kind, common, draw_events(one.kind, rng, redshift.size))
