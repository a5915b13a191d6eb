"""Stars of the Milky Way in a field, drawn in distance and absolute magnitude."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from etendue.simulate.light.dust import Dust
from etendue.simulate.light.galactic import EQUATORIAL_TO_GALACTIC, to_galactic
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.light.star_spectra import star_spectra, white_dwarf_spectra
from etendue.simulate.population import milky_way
from etendue.simulate.population.dust_map import DustMap
from etendue.simulate.population.layer import Columns, layer_ids
from etendue.simulate.population.layer import Field as SkyField
from etendue.simulate.population.motion import KM_S_PER_AU_YEAR, tangents
from etendue.simulate.population.star_layer import DWARF, GIANT, WHITE_DWARF, StarLayer
from etendue.simulate.random_streams import stream

Vector = NDArray[np.float64]

_MODULUS = np.arange(-2.0, 21.0, 0.1)  # 4 pc to 160 kpc
_ABSOLUTE = np.arange(-3.0, 20.0, 0.05)
_STEP_MODULUS, _STEP_ABSOLUTE = 0.1, 0.05
_AT_ONCE = 4_000_000  # candidates: wide fields with the plane in them have very many
_SIGHT_LINES = 9
_SIGHT_LINE_STEP_DEG = 4.0
_EXTINCTION_R = 2.6  # least A_r / E(B-V) of any star, for the envelope


class StarsSpec(BaseModel):
    """Stars of the Milky Way."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    brightest_mag: float = Field(10.0, ge=0.0)
    """Brightest r magnitude, dust in; brighter stars are left out."""

    faintest_mag: float = Field(27.0, le=32.0)
    """Faintest r magnitude, dust in."""

    density: float = Field(1.0, ge=0.0)
    """Factor on all counts."""

    white_dwarfs: bool = True
    """Whether white dwarfs are drawn too."""

    @model_validator(mode="after")
    def _bright_before_faint(self) -> "StarsSpec":
        if self.brightest_mag >= self.faintest_mag:
            raise ValueError(
                f"brightest_mag {self.brightest_mag} is not brighter than faintest_mag {self.faintest_mag}"
            )
        return self


def make_stars(spec: StarsSpec, field: SkyField, seed: int, dust: Dust | None = None, copy: int = 0) -> StarLayer:
    """Draw the Milky Way's stars in a field.

    Parameters
    ----------
    spec : StarsSpec
        Which stars.
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
    StarLayer
        Layer ``stars``: the columns of `StarLayer`, and ``absolute_mag`` in r and ``population``, a place in
        `milky_way.POPULATIONS`.
    """
    dust_map = DustMap(dust or Dust(), field, seed)
    parts = []
    for number, population in enumerate(milky_way.POPULATIONS):
        for dead in (False, True) if spec.white_dwarfs else (False,):
            rng = stream(seed, "stars", number, int(dead), copy)
            parts.append(_draw(_Kind(number, population, dead), spec, field, dust_map, rng))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return StarLayer("stars", {"object_id": layer_ids("stars", columns["ra"].size, copy), **columns})


@dataclass(frozen=True, slots=True)
class _Kind:
    """The living or the dead of one population."""

    number: int
    population: milky_way.StellarPopulation
    dead: bool

    def per_cubic_parsec(self, absolute_mag: Vector) -> Vector:
        if self.dead:
            return milky_way.white_dwarf_luminosity_function(absolute_mag)
        return milky_way.luminosity_function(absolute_mag, self.population)

    def density(self, l_deg: Vector, b_deg: Vector, modulus: Vector) -> Vector:
        """Stars per square degree and modulus, up to the luminosity function [pc**3]."""
        distance = 10.0 ** (0.2 * modulus - 2.0)
        radius, _, height = milky_way.place(l_deg, b_deg, distance)
        per_steradian = (1e3 * distance) ** 3 * np.log(10.0) / 5.0
        return self.population.density(radius, height) * per_steradian * np.radians(1.0) ** 2


def _draw(kind: _Kind, spec: StarsSpec, field: SkyField, dust_map: DustMap, rng: np.random.Generator) -> Columns:
    """Draw candidates from an envelope over the field's sight lines, and keep what the model keeps."""
    envelope, veil = _envelope(kind, field, dust_map)
    rate = envelope[:, None] * kind.per_cubic_parsec(_ABSOLUTE) * (_STEP_MODULUS * _STEP_ABSOLUTE)
    reach = (_MODULUS + veil)[:, None] + _ABSOLUTE < spec.faintest_mag + _STEP_MODULUS + _STEP_ABSOLUTE
    rate = np.where(reach, rate, 0.0).ravel()
    count = int(rng.poisson(rate.sum() * field.area_deg2 * spec.density))
    cumulative = np.cumsum(rate) / max(rate.sum(), 1e-300)
    parts = []
    for start in range(0, max(count, 1), _AT_ONCE):
        cell = np.searchsorted(cumulative, rng.random(min(_AT_ONCE, count - start)), side="right")
        parts.append(_kept(kind, spec, field, dust_map, rng, envelope, np.minimum(cell, rate.size - 1)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _kept(
    kind: _Kind, spec: StarsSpec, field: SkyField, dust_map: DustMap, rng: np.random.Generator, envelope: Vector,
    cell: NDArray[np.intp],
) -> Columns:  # fmt: skip
    """Return the stars that the model keeps of candidates in cells of modulus and absolute magnitude."""
    count = cell.size
    row, column = np.divmod(cell, _ABSOLUTE.size)
    modulus = _MODULUS[row] + rng.uniform(-0.5, 0.5, count) * _STEP_MODULUS
    absolute = _ABSOLUTE[column] + rng.uniform(-0.5, 0.5, count) * _STEP_ABSOLUTE
    ra, dec = field.scatter(rng, count)
    l_deg, b_deg = to_galactic(ra, dec)
    kept = np.flatnonzero(rng.random(count) * envelope[row] < kind.density(l_deg, b_deg, modulus))
    ra, dec, modulus, absolute = ra[kept], dec[kept], modulus[kept], absolute[kept]
    excess = dust_map.excess(ra, dec, 10.0 ** (0.2 * modulus - 2.0))
    columns = {"ra": ra, "dec": dec, **_nature(rng, kind, absolute), "absolute_mag": absolute, "excess": excess}
    columns["r_mag_0"] = absolute + modulus
    seen = np.flatnonzero(_within(columns, spec))
    columns = {name: column[seen] for name, column in columns.items()}
    columns |= _motion(rng, kind.population, columns["ra"], columns["dec"], 10.0 ** (0.2 * modulus[seen] - 2.0))
    return columns | {"population": np.full(seen.size, kind.number, np.int8)}


def _envelope(kind: _Kind, field: SkyField, dust_map: DustMap) -> tuple[Vector, Vector]:
    """Densities and extinctions that no sight line of the field exceeds or falls below, per modulus."""
    ra, dec = field.to_sky(*_sight_lines(field))
    l_deg, b_deg = (part[:, None] for part in to_galactic(ra, dec))
    edges = np.append(_MODULUS - 0.5 * _STEP_MODULUS, _MODULUS[-1] + 0.5 * _STEP_MODULUS)
    density = kind.density(l_deg, b_deg, edges).max(axis=0)
    near = 10.0 ** (0.2 * edges - 2.0)
    if dust_map.dust.constant_excess is not None:
        least = np.full(edges.size, dust_map.dust.constant_excess)
    else:
        lines = np.broadcast_arrays(l_deg, b_deg, near)
        columns = dust_map.dust.smooth(*(part.ravel() for part in lines)).reshape(ra.size, -1)
        least = columns.min(axis=0) * dust_map.least_factor()
    # Between sight lines the density may be a little higher.
    return 1.1 * np.maximum(density[:-1], density[1:]), 0.9 * _EXTINCTION_R * least[:-1]


def _sight_lines(field: SkyField) -> tuple[Vector, Vector]:
    across = max(_SIGHT_LINES, int(2.0 * field.half_width_deg / _SIGHT_LINE_STEP_DEG))
    up = max(_SIGHT_LINES, int(2.0 * field.half_height_deg / _SIGHT_LINE_STEP_DEG))
    east = np.linspace(-field.half_width_deg, field.half_width_deg, across)
    north = np.linspace(-field.half_height_deg, field.half_height_deg, up)
    first, second = np.meshgrid(east, north)
    return first.ravel(), second.ravel()


def _nature(rng: np.random.Generator, kind: _Kind, absolute: Vector) -> Columns:
    """Draw metallicity, evolution and colour."""
    population = kind.population
    metallicity = rng.normal(population.metallicity, population.metallicity_scatter, absolute.size)
    if kind.dead:
        log_temperature = milky_way.white_dwarf_log_temperature(absolute)
        bands = [white_dwarf_spectra().photometry(lsst_band(b), log_temperature, 0.0 * absolute)[0] for b in "gi"]
        color, evolution = bands[0] - bands[1], np.full(absolute.size, WHITE_DWARF, np.int8)
    else:
        log_temperature = np.full(absolute.size, np.nan)
        old = rng.random(absolute.size) < milky_way.giant_share(absolute, population)
        color = np.where(
            old, milky_way.giant_color(absolute, metallicity), milky_way.dwarf_color(absolute, metallicity)
        )
        evolution = np.where(old, GIANT, DWARF).astype(np.int8)
    return {
        "metallicity": metallicity,
        "evolution": evolution,
        "g_i": color,
        "log_temperature": log_temperature,
    }


def _within(columns: Columns, spec: StarsSpec) -> NDArray[np.bool_]:
    """Tell which stars are within the limits with dust in."""
    veil, _ = star_spectra().photometry(lsst_band("r"), columns["g_i"], columns["metallicity"], columns["excess"])
    mag = columns["r_mag_0"] + veil
    return (mag >= spec.brightest_mag) & (mag < spec.faintest_mag)


def _motion(
    rng: np.random.Generator, population: milky_way.StellarPopulation, ra: Vector, dec: Vector, distance_kpc: Vector
) -> Columns:
    """Draw space velocities and project them."""
    l_deg, b_deg = to_galactic(ra, dec)
    _, azimuth, _ = milky_way.place(l_deg, b_deg, distance_kpc)
    velocity = milky_way.draw_velocities(rng, population, azimuth) @ EQUATORIAL_TO_GALACTIC
    east, north = tangents(ra, dec)
    parallax = 1.0 / distance_kpc
    outwards = np.cross(east, north)
    return {
        "parallax": parallax,
        "pm_ra": np.sum(velocity * east, axis=1) * parallax / KM_S_PER_AU_YEAR,
        "pm_dec": np.sum(velocity * north, axis=1) * parallax / KM_S_PER_AU_YEAR,
        "radial_velocity": np.sum(velocity * outwards, axis=1),
    }
