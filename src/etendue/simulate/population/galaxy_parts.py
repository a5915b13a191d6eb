"""Parts of galaxies on the sky: bulge and disk, and on demand bars, arms, knots, dust lanes and tidal tails."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from etendue.simulate.random_streams import stream

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

OLD, DISK, YOUNG, DUST = 0, 1, 2, 3
"""Components: each has one spectrum. `DUST` is negative light of the disk."""

COMPONENTS = 4
_SMALLEST_SHARE = 0.02
_ARM_PARTS, _TAIL_PARTS = 9, 6
_DUST_DEPTH = 0.2  # in i; more than twice that in u
_GAUSSIAN_OVER_DISK = 2.816 / 1.386  # central brightness of an exponential over that of a Gaussian, of equal radii


class GalaxyDetail(BaseModel):
    """Structure of bright galaxies; every share is that of disk galaxies which have it, None for none."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    faintest_mag: float = 22.0
    """Galaxies fainter than this in i stay smooth."""

    bars: float | None = Field(0.3, ge=0.0, le=1.0)
    """Share with a bar."""

    spiral_arms: float | None = Field(0.6, ge=0.0, le=1.0)
    """Share with two spiral arms."""

    knots: float | None = Field(0.7, ge=0.0, le=1.0)
    """Share with knots of young stars in the disk."""

    dust_lanes: float | None = Field(0.5, ge=0.0, le=1.0)
    """Share of those seen nearly edge-on with a dust lane."""

    tidal_tails: float | None = Field(0.03, ge=0.0, le=1.0)
    """Share with a tidal tail."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Parts of galaxies; all columns have shape (m,).

    Parameters
    ----------
    galaxy : ndarray, int64
        Row of the galaxy; ascending in what `assemble` returns.
    component : ndarray, int64
        `OLD`, `DISK`, `YOUNG` or `DUST`.
    share : ndarray, float64
        Share of the galaxy's i flux; negative for dust.
    east, north : ndarray, float64
        Offset from the centre [arcsec].
    half_light, sersic, e1, e2 : ndarray, float64
        As in `Shapes`.
    """

    galaxy: Rows
    component: Rows
    share: Vector
    east: Vector
    north: Vector
    half_light: Vector
    sersic: Vector
    e1: Vector
    e2: Vector

    def take(self, rows: Rows) -> "Parts":
        """Return some parts.

        Parameters
        ----------
        rows : ndarray, int64
            Rows.

        Returns
        -------
        Parts
        """
        return Parts(**{field.name: getattr(self, field.name)[rows] for field in fields(Parts)})

    def scaled(self, factor: Vector) -> "Parts":
        """Return parts of other sizes.

        Parameters
        ----------
        factor : ndarray, float64, shape (n,)
            By which the galaxies grow.

        Returns
        -------
        Parts
        """
        own = factor[self.galaxy]
        return replace(self, east=self.east * own, north=self.north * own, half_light=self.half_light * own)


@dataclass(frozen=True, slots=True, eq=False)
class Bodies:
    """Bulges and disks; all columns have shape (n,).

    Parameters
    ----------
    bulge_share : ndarray, float64
        Share of the i flux.
    bulge_radius, disk_radius : ndarray, float64
        Half-light radii along the major axis [arcsec].
    bulge_sersic : ndarray, float64
        Sersic index.
    bulge_ratio, disk_ratio : ndarray, float64
        Apparent axis ratios.
    position_angle : ndarray, float64
        Of the major axis, from north through east [rad].
    """

    bulge_share: Vector
    bulge_radius: Vector
    bulge_sersic: Vector
    bulge_ratio: Vector
    disk_radius: Vector
    disk_ratio: Vector
    position_angle: Vector


def assemble(bodies: Bodies, mag: Vector, detail: GalaxyDetail | None, seed: int) -> Parts:
    """Return the parts of galaxies, sorted by galaxy.

    Parameters
    ----------
    bodies : Bodies
        Bulges and disks.
    mag : ndarray, float64, shape (n,)
        i magnitudes.
    detail : GalaxyDetail or None
        Structure of bright galaxies; None for smooth ones.
    seed : int
        Seed of the survey.

    Returns
    -------
    Parts
        Shares sum to 1 over each galaxy.
    """
    extra: list[Parts] = []
    if detail is not None:
        bright = np.flatnonzero((mag < detail.faintest_mag) & (bodies.bulge_share < 0.8))
        extra = [
            make(stream(seed, f"galaxy {name}"), bodies, _chosen(stream(seed, f"galaxies with {name}"), bright, share))
            for name, share, make in (
                ("bars", detail.bars, _bars),
                ("arms", detail.spiral_arms, _arms),
                ("knots", detail.knots, _knots),
                ("dust", detail.dust_lanes, _dust_lanes),
                ("tails", detail.tidal_tails, _tails),
            )
            if share is not None
        ]
    smooth = _smooth(bodies, extra)
    joined = Parts(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in (*smooth, *extra)])
            for field in fields(Parts)
        }
    )
    return joined.take(np.argsort(joined.galaxy, kind="stable"))


def sheared(parts: Parts, g1: Vector, g2: Vector) -> Parts:
    """Return parts as a lens shows them, apart from its magnification.

    Parameters
    ----------
    parts : Parts
        Parts.
    g1, g2 : ndarray, float64, shape (n,)
        Reduced shear of each galaxy.

    Returns
    -------
    Parts
        Offsets and quadrupole moments transformed with ``((1 + g1, g2), (g2, 1 - g1)) / sqrt(1 - g**2)``, axes north
        and east.
    """
    first, second = g1[parts.galaxy], g2[parts.galaxy]
    scale = 1.0 / np.sqrt(1.0 - first**2 - second**2)
    a, b, d = (1.0 + first) * scale, second * scale, (1.0 - first) * scale
    north = 0.5 * (1.0 + parts.e1)
    east = 0.5 * (1.0 - parts.e1)
    cross = 0.5 * parts.e2
    new_north = a * a * north + 2.0 * a * b * cross + b * b * east
    new_east = b * b * north + 2.0 * b * d * cross + d * d * east
    new_cross = a * b * north + (a * d + b * b) * cross + b * d * east
    trace = new_north + new_east
    return replace(
        parts,
        east=b * parts.north + d * parts.east,
        north=a * parts.north + b * parts.east,
        e1=(new_north - new_east) / trace,
        e2=2.0 * new_cross / trace,
    )


def _chosen(rng: np.random.Generator, rows: Rows, share: float) -> Rows:
    return rows[rng.random(rows.size) < share]


def _smooth(bodies: Bodies, extra: list[Parts]) -> tuple[Parts, Parts]:
    """Bulges and disks; what the extras hold is taken from the disk, so that shares sum to 1."""
    size = bodies.bulge_share.size
    taken = np.zeros(size)
    for part in extra:
        np.add.at(taken, part.galaxy, part.share)
    bulge = np.flatnonzero(bodies.bulge_share >= _SMALLEST_SHARE)
    has_disk = bodies.bulge_share <= 1.0 - _SMALLEST_SHARE
    disk = np.flatnonzero(has_disk)
    bulge_share = np.where(has_disk, bodies.bulge_share, 1.0)
    disk_share = np.where(bodies.bulge_share >= _SMALLEST_SHARE, 1.0 - bodies.bulge_share, 1.0) - taken
    zero = np.zeros(size)
    return (
        _placed(bodies, bulge, OLD, bulge_share[bulge], zero[bulge], zero[bulge], bodies.bulge_radius[bulge],
                bodies.bulge_ratio[bulge], zero[bulge], bodies.bulge_sersic[bulge]),
        _placed(bodies, disk, DISK, disk_share[disk], zero[disk], zero[disk], bodies.disk_radius[disk],
                bodies.disk_ratio[disk], zero[disk], np.ones(disk.size)),
    )  # fmt: skip


def _placed(
    bodies: Bodies,
    galaxy: Rows,
    component: int,
    share: Vector,
    along: Vector,
    across: Vector,
    radius: Vector,
    ratio: Vector,
    turn: Vector,
    sersic: Vector,
) -> Parts:
    """Turn parts given along and across a galaxy's major axis to the sky; ``turn`` is their angle from that axis."""
    angle = bodies.position_angle[galaxy]
    cos, sin = np.cos(angle), np.sin(angle)
    size = (1.0 - ratio**2) / (1.0 + ratio**2)
    return Parts(
        galaxy=galaxy,
        component=np.full(galaxy.size, component),
        share=share,
        east=along * sin + across * cos,
        north=along * cos - across * sin,
        half_light=radius * np.sqrt(ratio),
        sersic=sersic,
        e1=size * np.cos(2.0 * (angle + turn)),
        e2=size * np.sin(2.0 * (angle + turn)),
    )


def _bars(rng: np.random.Generator, bodies: Bodies, rows: Rows) -> Parts:
    """Old stars in an ellipse of a third of the disk's size, with an end that is sharper than a disk's."""
    share = rng.uniform(0.05, 0.15, rows.size) * (1.0 - bodies.bulge_share[rows])
    plane = rng.uniform(0.0, np.pi, rows.size)
    squeeze = bodies.disk_ratio[rows]
    turn = np.arctan2(np.sin(plane) * squeeze, np.cos(plane))
    length = 0.5 * bodies.disk_radius[rows] * np.hypot(np.cos(plane), np.sin(plane) * squeeze)
    ratio = np.clip(rng.uniform(0.25, 0.45, rows.size), None, 0.95)
    none = np.zeros(rows.size)
    return _placed(bodies, rows, OLD, share, none, none, length, ratio, turn, np.full(rows.size, 0.6))


def _arms(rng: np.random.Generator, bodies: Bodies, rows: Rows) -> Parts:
    """Two logarithmic spirals of Gaussians of young stars, in the plane of the disk."""
    galaxy = np.repeat(rows, 2 * _ARM_PARTS)
    step = np.tile(np.arange(2 * _ARM_PARTS) % _ARM_PARTS, rows.size)
    second = np.tile(np.arange(2 * _ARM_PARTS) // _ARM_PARTS, rows.size)
    pitch = np.repeat(rng.uniform(0.2, 0.45, rows.size) * rng.choice([-1.0, 1.0], rows.size), 2 * _ARM_PARTS)
    start = np.repeat(rng.uniform(0.0, 2.0 * np.pi, rows.size), 2 * _ARM_PARTS)
    radius = 0.45 * 4.4 ** (step / (_ARM_PARTS - 1.0))  # 0.45 to 2 half-light radii
    angle = start + np.pi * second + np.log(radius / 0.45) / np.tan(pitch)
    total = np.repeat(rng.uniform(0.1, 0.25, rows.size), 2 * _ARM_PARTS)
    light = radius**2 * np.exp(-1.68 * radius)
    share = total * light / light[:_ARM_PARTS].sum() / 2.0 if rows.size else total
    # Along the spiral a part is as long as the way to the next one.
    tangent = angle + np.pi / 2.0 - pitch
    return _in_plane(bodies, galaxy, YOUNG, share, radius, angle, 0.22 * radius + 0.05, 0.4, tangent)


def _knots(rng: np.random.Generator, bodies: Bodies, rows: Rows) -> Parts:
    """Compact Gaussians of young stars, spread as the disk's light."""
    count = 1 + rng.poisson(7.0, rows.size)
    galaxy = np.repeat(rows, count)
    weight = rng.gamma(1.0, 1.0, galaxy.size)
    sums = np.add.reduceat(weight, np.cumsum(count) - count) if rows.size else np.ones(0)
    share = np.repeat(rng.uniform(0.05, 0.2, rows.size) / sums, count) * weight
    radius = rng.gamma(2.0, 1.0 / 1.68, galaxy.size)
    angle = rng.uniform(0.0, 2.0 * np.pi, galaxy.size)
    size = rng.uniform(0.03, 0.10, galaxy.size)
    return _in_plane(bodies, galaxy, YOUNG, share, radius, angle, size, 1.0, angle)


def _in_plane(
    bodies: Bodies,
    galaxy: Rows,
    component: int,
    share: Vector,
    radius: Vector,
    angle: Vector,
    size: Vector,
    ratio: float,
    direction: Vector,
) -> Parts:
    """Place Gaussians in the plane of the disk, lengths in its half-light radii, shares of its light."""
    squeeze, scale = bodies.disk_ratio[galaxy], bodies.disk_radius[galaxy]
    seen = np.hypot(np.cos(direction), np.sin(direction) * squeeze)
    turn = np.arctan2(np.sin(direction) * squeeze, np.cos(direction))
    # The squeezed part's axis ratio, good where it is round or lies along an axis of the disk.
    apparent = np.clip(ratio * squeeze / seen**2, 0.1, 1.0)
    return _placed(
        bodies,
        galaxy,
        component,
        share * (1.0 - bodies.bulge_share[galaxy]),
        radius * np.cos(angle) * scale,
        radius * np.sin(angle) * squeeze * scale,
        np.maximum(size * seen, 0.02) * scale,
        apparent,
        turn,
        np.full(galaxy.size, 0.5),
    )


def _dust_lanes(rng: np.random.Generator, bodies: Bodies, rows: Rows) -> Parts:
    """Negative Gaussians along the major axis of disks seen nearly edge-on; they dim the centre by a fifth in i."""
    rows = rows[bodies.disk_ratio[rows] < 0.45]
    ratio = bodies.disk_ratio[rows]
    radius = rng.uniform(0.5, 0.7, rows.size) * bodies.disk_radius[rows]
    thin = np.clip(0.3 * ratio, 0.03, 1.0)
    share = -_DUST_DEPTH * _GAUSSIAN_OVER_DISK * (radius / bodies.disk_radius[rows]) ** 2 * thin / ratio
    across = rng.uniform(-0.15, 0.15, rows.size) * ratio * bodies.disk_radius[rows]
    share = share * (1.0 - bodies.bulge_share[rows])
    none = np.zeros(rows.size)
    return _placed(bodies, rows, DUST, share, none, across, radius, thin, none, np.full(rows.size, 0.5))


def _tails(rng: np.random.Generator, bodies: Bodies, rows: Rows) -> Parts:
    """A curved chain of faint Gaussians out to five half-light radii."""
    galaxy = np.repeat(rows, _TAIL_PARTS)
    step = np.tile(np.arange(_TAIL_PARTS) / (_TAIL_PARTS - 1.0), rows.size)
    radius = 1.5 + 3.5 * step
    start = np.repeat(rng.uniform(0.0, 2.0 * np.pi, rows.size), _TAIL_PARTS)
    bend = np.repeat(rng.uniform(0.5, 1.5, rows.size) * rng.choice([-1.0, 1.0], rows.size), _TAIL_PARTS)
    share = np.repeat(rng.uniform(0.04, 0.12, rows.size), _TAIL_PARTS) * (1.0 - 0.5 * step) / (0.75 * _TAIL_PARTS)
    angle = start + bend * step
    direction = angle + np.arctan2(bend * radius / 3.5, 1.0)
    scale = bodies.disk_radius[galaxy]
    return _placed(
        bodies,
        galaxy,
        DISK,
        share * (1.0 - bodies.bulge_share[galaxy]),
        radius * np.cos(angle) * scale,
        radius * np.sin(angle) * scale,
        0.45 * scale,
        np.full(galaxy.size, 0.45),
        direction,
        np.full(galaxy.size, 0.5),
    )
