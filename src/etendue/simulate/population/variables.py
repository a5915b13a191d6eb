"""Layer of variable stars."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.light.dust import Dust
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.light.star_spectra import star_spectra
from etendue.simulate.population.active_stars import draw_flaring, draw_spotted, flare_change, spot_change
from etendue.simulate.population.eclipsing import draw_eclipsing, eclipsing_change
from etendue.simulate.population.layer import Columns, layer_ids
from etendue.simulate.population.layer import Field as SkyField
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.long_period import draw_miras, draw_semiregulars, mira_change, semiregular_change
from etendue.simulate.population.microlensing import draw_microlensing, microlensing_change
from etendue.simulate.population.moment import Moment, inside_circle
from etendue.simulate.population.observer import barycentric_delay_day
from etendue.simulate.population.pulsators import cepheid_change, draw_cepheids, draw_rr_lyrae, rr_lyrae_change
from etendue.simulate.population.variable_kind import Look
from etendue.simulate.random_streams import stream

Vector = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, tuple[float, float]], Columns]
Change = Callable[[Columns, Look], Vector]

_PHYSICS: dict[str, tuple[Draw, Change]] = {
    "rr_lyrae": (draw_rr_lyrae, rr_lyrae_change),
    "cepheid": (draw_cepheids, cepheid_change),
    "mira": (draw_miras, mira_change),
    "semiregular": (draw_semiregulars, semiregular_change),
    "eclipsing": (draw_eclipsing, eclipsing_change),
    "microlensing": (draw_microlensing, microlensing_change),
    "flaring": (draw_flaring, flare_change),
    "spotted": (draw_spotted, spot_change),
}

VARIABLE_KINDS = tuple(_PHYSICS)
"""Kinds of variable stars."""


class VariableStars(BaseModel):
    """Variable stars of one kind."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: str
    """One of `VARIABLE_KINDS`."""

    count: int = Field(ge=0, le=10_000_000)
    """Number in the field."""

    brightest: float = 15.0
    """Brightest mean magnitude in r, dust in [mag]."""

    faintest: float = 23.0
    """Faintest mean magnitude in r, dust in [mag]."""

    slope: float = 0.2
    """Number per magnitude goes as 10 to the power of this times the magnitude."""

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in _PHYSICS:
            raise ValueError(f"unknown kind of variable star {value!r}; known are {', '.join(_PHYSICS)}")
        return value


class VariableSpec(BaseModel):
    """Variable stars of the survey."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    first_mjd_tai: float
    """First time of the survey, for events that happen once [day]."""

    last_mjd_tai: float
    """Last time of the survey [day]."""

    stars: tuple[VariableStars, ...]
    """Stars by kind."""

    dust: Dust = Dust()
    """The Galaxy's dust, which the stars lie behind."""


@dataclass(frozen=True, slots=True, eq=False)
class StarsOfKind:
    """Variable stars of one kind; all columns have shape (n,).

    Parameters
    ----------
    kind : str
        One of `VARIABLE_KINDS`.
    object_id : ndarray, int64
        Ids.
    ra_deg, dec_deg : ndarray, float64
        Positions [deg].
    mag_r : ndarray, float64
        Mean (of eclipsing and spotted stars: brightest, of flaring and lensed ones: faintest) magnitude in r, with
        dust [mag].
    excess : ndarray, float64
        Colour excess E(B-V) [mag].
    columns : dict of ndarray
        What the kind needs: colour, metallicity and the parameters of the light curve.
    """

    kind: str
    object_id: NDArray[np.int64]
    ra_deg: Vector
    dec_deg: Vector
    mag_r: Vector
    excess: Vector
    columns: Columns

    def take(self, rows: NDArray[np.integer]) -> "StarsOfKind":
        """Return some stars.

        Parameters
        ----------
        rows : ndarray
            Row numbers.

        Returns
        -------
        StarsOfKind
        """
        columns = {name: column[rows] for name, column in self.columns.items()}
        return StarsOfKind(
            kind=self.kind,
            object_id=self.object_id[rows],
            ra_deg=self.ra_deg[rows],
            dec_deg=self.dec_deg[rows],
            mag_r=self.mag_r[rows],
            excess=self.excess[rows],
            columns=columns,
        )

    def quiet(self, bandpass: Bandpass) -> NDArray[np.float64]:
        """Return what does not change with time.

        Parameters
        ----------
        bandpass : Bandpass
            Light that is collected.

        Returns
        -------
        ndarray, float64, shape (3, n)
            Mean AB magnitude with dust [mag], effective wavelength [nm], colour relative to r without dust [mag].
        """
        kind = self.columns["color_gi"], self.columns["metallicity"]
        color, _ = star_spectra().photometry(bandpass, *kind)
        dusty, wave = star_spectra().photometry(bandpass, *kind, self.excess)
        in_r, _ = star_spectra().photometry(lsst_band("r"), *kind, self.excess)
        return np.stack([self.mag_r + dusty - in_r, wave, color])

    def change(self, look: Look) -> Vector:
        """Return how much fainter than at rest the stars are.

        Parameters
        ----------
        look : Look
            When and in which light.

        Returns
        -------
        ndarray, float64, shape (n,)
            Change [mag].
        """
        return _PHYSICS[self.kind][1](self.columns, look)


class VariableLayer:
    """Variable stars at a moment.

    Parameters
    ----------
    parts : list of StarsOfKind
        Stars by kind.
    """

    name = "variables"

    def __init__(self, parts: list[StarsOfKind]):
        self.parts = parts
        self._quiet = lru_cache(maxsize=8 * max(len(parts), 1))(self._quiet_of)

    @classmethod
    def make(cls, spec: VariableSpec, field: SkyField, seed: int, copy: int = 0) -> "VariableLayer":
        """Draw the variable stars of a survey.

        Parameters
        ----------
        spec : VariableSpec
            How many of which.
        field : Field
            Where.
        seed : int
            Seed of the survey.
        copy : int
            Number of the layer among those of its kind.

        Returns
        -------
        VariableLayer
        """
        ids = layer_ids("variables", sum(one.count for one in spec.stars), copy)
        parts: list[StarsOfKind] = []
        for number, one in enumerate(spec.stars):
            rng = stream(seed, "variables", copy, number)
            ra, dec = field.scatter(rng, one.count)
            parts.append(
                StarsOfKind(
                    kind=one.kind,
                    object_id=ids[: one.count],
                    ra_deg=ra,
                    dec_deg=dec,
                    mag_r=draw_mags(rng, one.count, one.brightest, one.faintest, one.slope),
                    excess=spec.dust.excess(ra, dec, np.inf, seed),
                    columns=draw_variables(one.kind, rng, one.count, (spec.first_mjd_tai, spec.last_mjd_tai)),
                )
            )
            ids = ids[one.count :]
        return cls(parts)

    @property
    def objects(self) -> Columns:
        """Truth: positions, mean magnitudes and parameters of all kinds; those of other kinds are NaN, 0 or False."""
        common = ("object_id", "ra_deg", "dec_deg", "mag_r", "excess")
        table: Columns = {name: _joined([getattr(part, name) for part in self.parts]) for name in common}
        table["kind"] = _joined([np.full(part.object_id.size, part.kind) for part in self.parts])
        names = dict.fromkeys(name for part in self.parts for name in part.columns)
        for name in names:
            kind = next(part.columns[name].dtype for part in self.parts if name in part.columns)
            none = np.nan if kind.kind == "f" else 0
            table[name] = _joined(
                [part.columns.get(name, np.full(part.object_id.size, none, kind)) for part in self.parts]
            )
        return table

    def lights(self, moment: Moment) -> Lights:
        """Return the stars inside the moment's circle.

        Parameters
        ----------
        moment : Moment
            When, where and in which light.

        Returns
        -------
        Lights
        """
        seen = [self._lights_of(number, moment) for number in range(len(self.parts))]
        none = np.zeros(0)
        return Lights.concat([Lights.points(np.zeros(0, np.int64), none, none, none, none), *seen])

    def _lights_of(self, number: int, moment: Moment) -> Lights:
        part, (mag, wave, color) = self.parts[number], self._quiet(number, moment.bandpass)
        rows = inside_circle(part.ra_deg, part.dec_deg, moment)
        stars = part.take(rows)
        times = moment.mjd_tai + barycentric_delay_day(moment.mjd_tai, stars.ra_deg, stars.dec_deg)
        change = stars.change(Look(moment.bandpass, times, moment.exposure_time_s, color[rows]))
        return Lights.points(stars.object_id, stars.ra_deg, stars.dec_deg, mag[rows] + change, wave[rows])

    def _quiet_of(self, number: int, bandpass: Bandpass) -> NDArray[np.float64]:
        return self.parts[number].quiet(bandpass)


def draw_variables(kind: str, rng: np.random.Generator, count: int, span: tuple[float, float]) -> Columns:
    """Draw the parameters of the light curves of a kind.

    Parameters
    ----------
    kind : str
        One of `VARIABLE_KINDS`.
    rng : numpy.random.Generator
        Random numbers.
    count : int
        How many.
    span : tuple of float
        First and last time of the survey, for events that happen once [day].

    Returns
    -------
    dict of ndarray, shape (count,)
        What the kind needs, ``color_gi`` and ``metallicity`` among it.
    """
    return _PHYSICS[kind][0](rng, count, span)


def draw_mags(rng: np.random.Generator, count: int, brightest: float, faintest: float, slope: float) -> Vector:
    """Draw magnitudes whose number per magnitude is a power law of flux.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    count : int
        How many.
    brightest, faintest : float
        Limits [mag].
    slope : float
        ``d log10(N) / d mag``; 0 is uniform.

    Returns
    -------
    ndarray, float64, shape (count,)
        Magnitudes [mag].
    """
    u, width = rng.random(count), faintest - brightest
    growth = np.log(10.0) * slope * width
    if abs(growth) < 1e-9:
        return brightest + width * u
    return brightest + width * np.log1p(u * np.expm1(growth)) / growth


def _joined(parts: list[NDArray]) -> NDArray:
    return np.concatenate(parts) if parts else np.zeros(0)
