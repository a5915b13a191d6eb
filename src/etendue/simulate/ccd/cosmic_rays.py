"""Cosmic rays and radioactivity: muon tracks, worms and spots."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.kernels.cosmic_tracks import deposit_electrons, deposit_muons
from etendue.simulate.ccd.effect import EffectSpec, Vector
from etendue.simulate.ccd.streams import Streams

KINDS = ("muon", "worm", "spot", "delta")
_MARGIN_UM = 1000.0  # tracks that begin this far outside still reach the detector
_MUON_PAIRS_UM, _MUON_WIDTH = 76.0, 5.0  # most probable pairs per um of a minimum-ionising particle, and Moyal width
_DELTA_KEV = 10.0  # electrons knocked on with less do not leave the track
_DELTA_PER_UM = 0.0178  # of energy T or more: this over T [keV] (Rutherford scattering in silicon)
_DELTA_MOST_KEV = 1000.0
_ELECTRON_KEV = 511.0


class CosmicRaySpec(EffectSpec):
    """Ionising particles; rates for each square centimetre of a horizontal detector."""

    muons_cm2_min: float = Field(1.0, ge=0.0)
    """Muons; their zenith angles go as cos^2 [1/cm2/min]."""

    worms_cm2_min: float = Field(1.0, ge=0.0)
    """Compton electrons of high energy, curled by scattering [1/cm2/min]."""

    spots_cm2_min: float = Field(1.0, ge=0.0)
    """Electrons and X-rays of low energy [1/cm2/min]."""

    worm_kev: float = Field(200.0, gt=0.0)
    """Mean of the exponential distribution of the worms' energies, from 20 keV [keV]."""

    spot_kev: float = Field(6.0, gt=0.0)
    """Mean of the exponential distribution of the spots' energies [keV]."""

    thickness_um: float = Field(100.0, gt=0.0)
    """Thickness of the silicon [um]."""

    diffusion_um: float = Field(4.0, ge=0.0)
    """Spread of charge from the illuminated surface [um]."""

    delta_electrons: bool = True
    """Whether muons knock on electrons that make tracks of their own."""

    mask_electrons: float = Field(20.0, gt=0.0)
    """Pixels with at least this charge are in the truth's mask [e]."""


@dataclass(frozen=True, slots=True, eq=False)
class CosmicRays:
    """Particles of one exposure; columns of shape (n,).

    Parameters
    ----------
    kind : ndarray, int64
        Index into `KINDS`.
    x, y : ndarray, float64
        Where they enter or begin [px]; those outside may reach the detector.
    reach : ndarray, float64
        Length on the detector of a muon's track [px]; 0 for others.
    electrons : ndarray, float64
        Charge set free [e].
    """

    kind: NDArray[np.int64]
    x: Vector
    y: Vector
    reach: Vector
    electrons: Vector


@dataclass(frozen=True, slots=True, eq=False)
class _Electrons:
    kind: NDArray[np.int64]
    x: Vector
    y: Vector
    depth: Vector
    cosine: Vector
    azimuth: Vector
    energy: Vector


def strike(
    shape: tuple[int, int], seconds: float, pixel_um: float, spec: CosmicRaySpec, streams: Streams
) -> tuple[NDArray[np.float32], CosmicRays]:
    """Let particles hit a detector.

    Parameters
    ----------
    shape : tuple of int
        ``(ny, nx)`` of the trimmed frame.
    seconds : float
        Time from clearing to reading [s].
    pixel_um : float
        Side of a pixel [um].
    spec : CosmicRaySpec
        Rates and energies.
    streams : Streams
        The exposure's.

    Returns
    -------
    charge : ndarray, float32, shape (ny, nx)
        Charge that they leave [e].
    rays : CosmicRays
        The particles.
    """
    rng = streams.rng("cosmic rays")
    charge = np.zeros(shape, np.float32)
    margin = _MARGIN_UM / pixel_um
    exposure = (shape[0] + 2 * margin) * (shape[1] + 2 * margin) * (pixel_um * 1e-4) ** 2 * seconds / 60.0
    thickness, diffusion = spec.thickness_um / pixel_um, spec.diffusion_um / pixel_um

    count = rng.poisson(spec.muons_cm2_min * exposure)
    x, y = _scattered_places(shape, margin, count, rng)
    cosine = np.maximum(rng.random(count), 1e-6) ** 0.25  # intensity cos^2 times the projected area
    azimuth = 2.0 * np.pi * rng.random(count)
    reach = np.minimum(thickness * np.sqrt(1.0 - cosine**2) / cosine, margin)
    reach_x, reach_y = reach * np.cos(azimuth), reach * np.sin(azimuth)
    path_um = np.hypot(reach, thickness) * pixel_um
    moyal = -np.log(np.maximum(rng.standard_normal(count) ** 2, 1e-12))
    pairs = path_um * np.maximum(_MUON_PAIRS_UM + _MUON_WIDTH * moyal, 30.0)
    deposit_muons(charge, x, y, reach_x, reach_y, pairs, thickness, diffusion, _words(rng, count))

    others = [_isotropic(spec, shape, margin, rng.poisson(rate * exposure), kind, rng) for kind, rate in _rates(spec)]
    if spec.delta_electrons:
        others.append(_knocked_on(spec, x, y, reach_x, reach_y, path_um, rng))
    columns = {name: np.concatenate([getattr(o, name) for o in others]) for name in _Electrons.__slots__}
    scattered = _Electrons(**columns)
    free = np.zeros(scattered.x.size)
    track = (scattered.x, scattered.y, scattered.depth, scattered.cosine, scattered.azimuth, scattered.energy)
    deposit_electrons(charge, *track, pixel_um, spec.thickness_um, diffusion, _words(rng, scattered.x.size), free)
    rays = CosmicRays(
        kind=np.concatenate([np.zeros(count, np.int64), scattered.kind]),
        x=np.concatenate([x, scattered.x]),
        y=np.concatenate([y, scattered.y]),
        reach=np.concatenate([reach, np.zeros(scattered.x.size)]),
        electrons=np.concatenate([pairs, free]),
    )
    return charge, rays


def _words(rng: np.random.Generator, count: int) -> NDArray[np.uint64]:
    return rng.integers(0, 2**64, count, dtype=np.uint64)


def _rates(spec: CosmicRaySpec) -> list[tuple[int, float]]:
    return [(1, spec.worms_cm2_min), (2, spec.spots_cm2_min)]


def _scattered_places(
    shape: tuple[int, int], margin: float, count: int, rng: np.random.Generator
) -> tuple[Vector, Vector]:
    x = rng.uniform(-margin - 0.5, shape[1] - 0.5 + margin, count)
    return x, rng.uniform(-margin - 0.5, shape[0] - 0.5 + margin, count)


def _isotropic(
    spec: CosmicRaySpec, shape: tuple[int, int], margin: float, count: int, kind: int, rng: np.random.Generator
) -> _Electrons:
    """Return electrons that begin anywhere in the silicon and go anywhere."""
    x, y = _scattered_places(shape, margin, count, rng)
    depth, cosine = rng.uniform(0.0, spec.thickness_um, count), rng.uniform(-1.0, 1.0, count)
    azimuth = 2.0 * np.pi * rng.random(count)
    energy = 20.0 + rng.exponential(spec.worm_kev, count) if kind == 1 else rng.exponential(spec.spot_kev, count)
    return _Electrons(np.full(count, kind), x, y, depth, cosine, azimuth, energy)


def _knocked_on(
    spec: CosmicRaySpec,
    x: Vector,
    y: Vector,
    reach_x: Vector,
    reach_y: Vector,
    path_um: Vector,
    rng: np.random.Generator,
) -> _Electrons:
    """Return electrons that muons knock on, by energy as 1/T^2, at the angle of an elastic collision."""
    muon = np.repeat(np.arange(x.size), rng.poisson(path_um * _DELTA_PER_UM / _DELTA_KEV))
    energy = np.minimum(_DELTA_KEV / np.maximum(rng.random(muon.size), 1e-9), _DELTA_MOST_KEV)
    part = rng.random(muon.size)
    tilt = np.arccos(np.minimum(spec.thickness_um / path_um[muon], 1.0))
    angle = np.arccos(np.sqrt(energy / (energy + 2.0 * _ELECTRON_KEV)))
    around = 2.0 * np.pi * rng.random(muon.size)
    cosine = np.clip(np.cos(tilt) * np.cos(angle) - np.sin(tilt) * np.sin(angle) * np.cos(around), -1.0, 1.0)
    azimuth = np.arctan2(reach_y, reach_x)[muon] + around
    return _Electrons(
        np.full(muon.size, 3),
        x[muon] + part * reach_x[muon],
        y[muon] + part * reach_y[muon],
        part * spec.thickness_um,
        cosine,
        azimuth,
        energy,
    )
