"""Layer of artificial satellites: streaks across the field, glints, the Earth's shadow."""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from etendue.errors import InputError
from etendue.geom.sphere import sky_position, unit_vector
from etendue.simulate.population.layer import Columns, layer_ids
from etendue.simulate.population.layer import Field as SkyField
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.observer import AU_KM, observe_from
from etendue.simulate.population.reflectance import TYPES, reflected_colour, sunlight_wavelength_nm
from etendue.simulate.population.satellite_shells import (
    EARTH_RADIUS_KM,
    GM_EARTH_KM3_S2,
    Satellites,
    diffuse_mag,
    sunlit,
)
from etendue.simulate.population.shapes import Shapes
from etendue.simulate.random_streams import stream

Vector = NDArray[np.float64]

_DAY_S = 86400.0
_PIECE_DEG = 0.2
_SEARCH_S = 10.0
_LOWEST_KM = 100.0  # of perigees, for the fastest motion
_GREY = TYPES.index("C")


class Shell(BaseModel):
    """Satellites of one altitude and inclination, evenly spread over nodes and places."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    count: int = Field(ge=0, le=200_000)
    """Number of satellites."""

    altitude_km: float = Field(ge=200.0, le=50_000.0)
    """Height above the equator [km]."""

    inclination_deg: float = Field(ge=0.0, le=180.0)
    """Inclination [deg]."""

    inclination_spread_deg: float = Field(0.1, ge=0.0)
    """Standard deviation of inclinations [deg]."""

    standard_mag: float = 7.0
    """Mean V magnitude at 1000 km, half lit [mag]."""

    standard_mag_spread: float = Field(0.6, ge=0.0)
    """Standard deviation of these magnitudes [mag]."""

    tumbling: float = Field(0.02, ge=0.0, le=1.0)
    """Share of satellites that tumble and glint."""


_SHELLS = (
    Shell(count=4400, altitude_km=550.0, inclination_deg=53.0, standard_mag=7.2),
    Shell(count=600, altitude_km=1200.0, inclination_deg=87.9, standard_mag=7.4),
    Shell(count=2000, altitude_km=800.0, inclination_deg=98.6, inclination_spread_deg=8.0, tumbling=0.4,
          standard_mag=6.5, standard_mag_spread=1.5),
    Shell(count=120, altitude_km=20_200.0, inclination_deg=55.0, standard_mag=5.5),
    Shell(count=550, altitude_km=35_786.0, inclination_deg=0.05, standard_mag=4.0, standard_mag_spread=0.8),
    Shell(count=400, altitude_km=35_900.0, inclination_deg=7.0, inclination_spread_deg=4.0, tumbling=0.7,
          standard_mag=4.5),
)  # fmt: skip


class SatelliteSpec(BaseModel):
    """Artificial satellites of the survey."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    epoch_mjd_tai: float
    """Time at which satellites are placed [day]."""

    shells: tuple[Shell, ...] = _SHELLS
    """Shells; by default two constellations, other low orbits, navigation, the geostationary belt and its debris."""

    lowest_deg: float = Field(5.0, ge=0.0, le=90.0)
    """Satellites below this elevation are left out [deg]."""


@dataclass(frozen=True, slots=True, eq=False)
class Streaks:
    """Passes of satellites through a circle of sky in one exposure; all columns have shape (n,).

    Parameters
    ----------
    object_id : ndarray, int64
        Satellite.
    ra_start_deg, dec_start_deg, ra_end_deg, dec_end_deg : ndarray, float64
        Where the visible streak begins and ends: at the circle, at the Earth's shadow, or where the shutter opened or
        closed; up to 0.2 deg beyond [deg].
    start_s, end_s : ndarray, float64
        When, since mid-exposure [s].
    rate_deg_s : ndarray, float64
        Mean motion on the sky [deg/s].
    mag : ndarray, float64
        Mean AB magnitude while in the circle, glints apart [mag].
    mag_arcsec : ndarray, float64
        AB magnitude that one arcsecond of the streak has over the exposure, as a source that shines all along [mag].
    glints : ndarray, int64
        Number of glints.
    """

    object_id: NDArray[np.int64]
    ra_start_deg: Vector
    dec_start_deg: Vector
    ra_end_deg: Vector
    dec_end_deg: Vector
    start_s: Vector
    end_s: Vector
    rate_deg_s: Vector
    mag: Vector
    mag_arcsec: Vector
    glints: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """Pieces of streaks, in order of satellite and time; all columns have shape (n, ...)."""

    row: NDArray[np.int64]
    start_s: Vector
    seconds: Vector
    start: Vector  # unit vector
    end: Vector
    mag: Vector
    glint: NDArray[np.bool_]


class SatelliteLayer:
    """Satellites at a moment: each streak is a row of short straight pieces, each glint one very short one.

    Parameters
    ----------
    satellites : Satellites
        The satellites.
    epoch_mjd_tai : float
        Time at which they are placed [day].
    lowest_deg : float
        Elevation below which they are left out [deg].
    copy : int
        Number of the layer among those of its kind.
    """

    name = "satellites"

    def __init__(self, satellites: Satellites, epoch_mjd_tai: float, lowest_deg: float = 5.0, copy: int = 0):
        self.satellites = satellites
        self._epoch = epoch_mjd_tai
        self._lowest = lowest_deg
        self._id = layer_ids("satellites", len(satellites), copy)

    @classmethod
    def make(cls, spec: SatelliteSpec, field: SkyField, seed: int, copy: int = 0) -> "SatelliteLayer":
        """Draw the satellites of a survey.

        Parameters
        ----------
        spec : SatelliteSpec
            Shells.
        field : Field
            Not used: satellites go everywhere.
        seed : int
            Seed of the survey.
        copy : int
            Number of the layer among those of its kind.

        Returns
        -------
        SatelliteLayer
        """
        parts = [_draw(stream(seed, "satellites", copy, number), one) for number, one in enumerate(spec.shells)]
        parts = parts or [_draw(stream(seed, "satellites"), Shell(count=0, altitude_km=550.0, inclination_deg=53.0))]
        joined = [np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Satellites)]
        return cls(Satellites(*joined), spec.epoch_mjd_tai, spec.lowest_deg, copy)

    @cached_property
    def objects(self) -> Columns:
        """Truth: orbits at the epoch, brightness and tumbling."""
        return {"object_id": self._id} | {one.name: getattr(self.satellites, one.name) for one in fields(Satellites)}

    def lights(self, moment: Moment) -> Lights:
        """Return pieces of streaks: straight trails whose length is their rate times the exposure time.

        A piece's magnitude is that of a source which would give as many photons over the whole exposure.

        Parameters
        ----------
        moment : Moment
            When, where and in which light.

        Returns
        -------
        Lights
            Several rows for one object.

        Raises
        ------
        InputError
            Without a site.
        """
        pieces = self._pieces(moment)
        middle = pieces.start + pieces.end
        ra, dec = sky_position(middle)
        length = np.degrees(pieces.end - pieces.start) * 3600.0 / (moment.exposure_time_s / 3600.0)
        cos_ra, sin_ra, cos_dec, sin_dec = (f(np.radians(a)) for a in (ra, dec) for f in (np.cos, np.sin))
        count = pieces.row.size
        share = pieces.seconds / moment.exposure_time_s
        return Lights(
            object_id=self._id[pieces.row],
            ra_deg=ra,
            dec_deg=dec,
            mag=pieces.mag - 2.5 * np.log10(share),
            wavelength_nm=np.full(count, sunlight_wavelength_nm(moment.bandpass)),
            rate_ra=-sin_ra * length[:, 0] + cos_ra * length[:, 1],
            rate_dec=-sin_dec * (cos_ra * length[:, 0] + sin_ra * length[:, 1]) + cos_dec * length[:, 2],
            shape=np.full(count, -1, np.int64),
            shapes=Shapes.none(),
        )

    def streaks(self, moment: Moment) -> Streaks:
        """Return the passes through the moment's circle, for the truth.

        Parameters
        ----------
        moment : Moment
            When, where and in which light.

        Returns
        -------
        Streaks
        """
        pieces = self._pieces(moment)
        steady = ~pieces.glint
        row = pieces.row[steady]
        which, first, count = np.unique(row, return_index=True, return_counts=True)
        last = first + count - 1
        start, end = pieces.start[steady], pieces.end[steady]
        seconds, mag = pieces.seconds[steady], pieces.mag[steady]
        total, flux = np.add.reduceat(seconds, first), np.add.reduceat(seconds * 10.0 ** (-0.4 * mag), first)
        arc = np.degrees(np.linalg.norm(end - start, axis=1))
        length = np.add.reduceat(arc, first)
        (ra0, dec0), (ra1, dec1) = sky_position(start[first]), sky_position(end[last])
        begin = pieces.start_s[steady]
        return Streaks(
            object_id=self._id[which], ra_start_deg=ra0, dec_start_deg=dec0, ra_end_deg=ra1, dec_end_deg=dec1,
            start_s=begin[first], end_s=begin[last] + seconds[last], rate_deg_s=length / total,
            mag=-2.5 * np.log10(flux / total),
            mag_arcsec=-2.5 * np.log10(flux / moment.exposure_time_s / (length * 3600.0)),
            glints=np.bincount(pieces.row[pieces.glint], minlength=len(self.satellites))[which].astype(np.int64),
        )  # fmt: skip

    def _pieces(self, moment: Moment) -> _Pieces:
        if moment.site is None:
            raise InputError(
                "satellites need to know where the telescope stands",
                source="population.satellites",
                remedy="give the camera an observatory or leave satellites out",
            )
        parts = [self._steady(moment, *part) for part in self._candidates(moment)]
        steady = _join(parts)
        return _in_order(_join([steady, self._glints(moment, np.unique(steady.row))]))

    def _candidates(self, moment: Moment) -> list[tuple[NDArray[np.int64], float, float]]:
        """Return rows that may enter the circle, with start and length of a stretch of at most ten seconds."""
        half = 0.5 * moment.exposure_time_s
        count = int(np.ceil(moment.exposure_time_s / _SEARCH_S))
        length = moment.exposure_time_s / count
        centre = unit_vector(moment.ra_deg, moment.dec_deg)
        found = []
        for start in -half + length * np.arange(count):
            line = self._lines(moment, np.array(start + 0.5 * length), np.arange(len(self.satellites)))[0]
            apart = np.arccos(np.clip(line @ centre / np.linalg.norm(line, axis=1), -1.0, 1.0))
            reach = np.radians(moment.radius_deg + _PIECE_DEG) + 0.5 * length * self._fastest()
            found.append((np.flatnonzero(apart < reach), float(start), length))
        return found

    def _fastest(self) -> Vector:
        """Return the fastest motion on the sky, at the zenith and perigee, Earth's rotation added [rad/s]."""
        height = np.maximum(self.satellites.perigee_km - EARTH_RADIUS_KM, _LOWEST_KM)
        return self.satellites.fastest_km_s / height * 1.1 + 8e-5

    def _lines(
        self, moment: Moment, seconds: Vector, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return lines of sight and geocentric positions at times since mid-exposure [km]."""
        times = moment.mjd_tai + seconds / _DAY_S
        here = observe_from(times, moment.site).geocentric_au * AU_KM
        place = self.satellites.take(rows).positions_km((times - self._epoch)[..., None])
        return place - here[..., None, :], place

    def _steady(self, moment: Moment, rows: NDArray[np.int64], start: float, length: float) -> _Pieces:
        """Return the pieces of one stretch; satellites of one speed share their times."""
        speed = self._fastest()[rows]
        steps = np.maximum(np.ceil(length * speed / np.radians(_PIECE_DEG)), 1.0).astype(int)
        steps = 2 ** np.ceil(np.log2(steps)).astype(int)
        parts = [self._sampled(moment, rows[steps == n], start, length, int(n)) for n in np.unique(steps)]
        return _join(parts)

    def _sampled(self, moment: Moment, rows: NDArray[np.int64], start: float, length: float, steps: int) -> _Pieces:
        seconds = start + length * np.arange(steps + 1) / steps
        line, place = self._lines(moment, seconds, rows)
        unit = line / np.linalg.norm(line, axis=-1, keepdims=True)
        middle = 0.5 * (line[1:] + line[:-1])
        mag = self._mags(moment, rows, middle, 0.5 * (place[1:] + place[:-1]))
        centre = unit_vector(moment.ra_deg, moment.dec_deg)
        near = _nearest_cosine(unit, centre) > np.cos(np.radians(moment.radius_deg))
        keep = near & np.isfinite(mag)
        step, column = np.nonzero(keep)
        return _Pieces(
            row=rows[column], start_s=seconds[step], seconds=np.full(step.size, length / steps),
            start=unit[step, column], end=unit[step + 1, column], mag=mag[step, column],
            glint=np.zeros(step.size, bool),
        )  # fmt: skip

    def _mags(
        self, moment: Moment, rows: NDArray[np.int64], line_km: NDArray[np.float64], place_km: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return magnitudes, NaN in the shadow and near the horizon."""
        observer = observe_from(moment.mjd_tai, moment.site)
        to_sun = -observer.position_au / np.linalg.norm(observer.position_au)
        up = observer.geocentric_au / np.linalg.norm(observer.geocentric_au)
        high = line_km @ up > np.sin(np.radians(self._lowest)) * np.linalg.norm(line_km, axis=-1)
        lit = sunlit(place_km, to_sun)
        colour = reflected_colour(moment.bandpass, np.array([_GREY]), np.zeros(1))[0]
        mag = diffuse_mag(self.satellites.standard_mag[rows], line_km, to_sun) + colour
        with np.errstate(divide="ignore"):
            return np.where(high & (lit > 1e-3), mag - 2.5 * np.log10(lit), np.nan)

    def _glints(self, moment: Moment, rows: NDArray[np.int64]) -> _Pieces:
        """Return the glints, within the circle, of satellites that cross it."""
        rows = rows[np.isfinite(self.satellites.tumble_s[rows])]
        parts = [self._flashes(moment, int(row)) for row in rows]
        return _join([part for part in parts if part.row.size])

    def _flashes(self, moment: Moment, row: int) -> _Pieces:
        one, half = self.satellites.take(np.array([row])), 0.5 * moment.exposure_time_s
        period, lasts = float(one.tumble_s[0]), float(one.glint_s[0])
        since = (moment.mjd_tai - self._epoch) * _DAY_S
        first = np.ceil((since - half) / period - one.tumble_phase[0])
        times = (np.arange(first, first + 2.0 * half / period + 1.0) + one.tumble_phase[0]) * period - since
        times = times[(times >= -half) & (times + lasts <= half)]
        rows = np.array([row])
        (line, place), (later, _) = (self._lines(moment, times + delay, rows) for delay in (0.0, lasts))
        mag = self._mags(moment, rows, line, place)[:, 0] - one.glint_mag[0]
        unit, end = (a[:, 0] / np.linalg.norm(a[:, 0], axis=1, keepdims=True) for a in (line, later))
        near = unit @ unit_vector(moment.ra_deg, moment.dec_deg) > np.cos(np.radians(moment.radius_deg))
        keep = near & np.isfinite(mag)
        count = int(keep.sum())
        return _Pieces(
            row=np.full(count, row), start_s=times[keep], seconds=np.full(count, lasts), start=unit[keep],
            end=end[keep], mag=mag[keep], glint=np.ones(count, bool),
        )  # fmt: skip


def _join(parts: list[_Pieces]) -> _Pieces:
    none = np.zeros((0, 3))
    empty = _Pieces(np.zeros(0, np.int64), none[:, 0], none[:, 0], none, none, none[:, 0], np.zeros(0, bool))
    return _Pieces(*(np.concatenate([getattr(part, one.name) for part in [empty, *parts]]) for one in fields(_Pieces)))


def _nearest_cosine(unit: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosine of the smallest distance from a centre to the pieces between directions (k + 1, n, 3)."""
    start, way = unit[:-1], np.diff(unit, axis=0)
    along = np.sum((centre - start) * way, axis=-1) / np.maximum(np.sum(way * way, axis=-1), 1e-30)
    point = start + np.clip(along, 0.0, 1.0)[..., None] * way
    return np.asarray(point @ centre / np.linalg.norm(point, axis=-1))


def _in_order(pieces: _Pieces) -> _Pieces:
    order = np.lexsort((pieces.start_s, pieces.row))
    return _Pieces(*(getattr(pieces, one.name)[order] for one in fields(_Pieces)))


def _draw(rng: np.random.Generator, shell: Shell) -> Satellites:
    n = shell.count
    tumbles = rng.random(n) < shell.tumbling
    radius = EARTH_RADIUS_KM + shell.altitude_km + rng.normal(0.0, 2.0, n)
    return Satellites(
        radius_km=radius,
        inclination_deg=np.abs(rng.normal(shell.inclination_deg, shell.inclination_spread_deg, n)),
        node_deg=rng.uniform(0.0, 360.0, n),
        place_deg=rng.uniform(0.0, 360.0, n),
        standard_mag=rng.normal(shell.standard_mag, shell.standard_mag_spread, n),
        tumble_s=np.where(tumbles, rng.uniform(1.0, 25.0, n), np.nan),
        tumble_phase=rng.random(n),
        glint_mag=rng.uniform(2.0, 5.0, n),
        glint_s=rng.uniform(0.02, 0.2, n),
        e=np.zeros(n),
        peri_deg=np.zeros(n),
        motion_deg_day=np.degrees(np.sqrt(GM_EARTH_KM3_S2 / radius**3)) * _DAY_S,
    )
