"""Mask the haloes and diffraction spikes of bright stars, measured on the pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from scipy.ndimage import distance_transform_edt, find_objects, label, uniform_filter1d

from etendue.image.exposure import Exposure
from etendue.kernels.bright_stars import polar_map, ring_medians
from etendue.kernels.streaks import paint_line
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]
_ANGLES = 720  # samples of a ring
_HALF_TURN = _ANGLES // 2


class MaskBrightStarsConfig(TaskConfig):
    """Configuration of `MaskBrightStarsTask`."""

    reach: int = Field(300, ge=50)
    """Stars are looked at out to this distance [px]."""

    halo_level: float = Field(0.3, gt=0.0)
    """The halo is masked as far as its rings are brighter than the sky by this part of a pixel's noise."""

    smallest_halo: float = Field(20.0, gt=0.0)
    """Smaller ones are the star itself [px]."""

    spike_angles_deg: tuple[float, ...] | None = None
    """Directions of spikes from the x axis towards the y axis, modulo 180; found on the stars themselves if None."""

    spike_clip: float = Field(6.0, gt=0.0)
    """Significance with which a direction must stand out over all stars [sigma]."""

    spike_snr: float = Field(3.0, gt=0.0)
    """A spike is followed outwards while steps of it are brighter than the halo by this [sigma]."""

    spike_step: int = Field(10, ge=2)
    """Length of a step [px]."""

    spike_half_width: float = Field(5.0, gt=0.0)
    """Half the width that is masked [px]."""

    narrowest_core: int = Field(4, ge=1)
    """Saturated clumps narrower than this are no stars [px]."""

    excluded_planes: tuple[str, ...] = ("SAT", "BAD", "NO_DATA", "CR")
    """Planes whose pixels are not used."""


@dataclass(frozen=True, slots=True)
class BrightStar:
    """What was masked around one star.

    Parameters
    ----------
    x, y : float
        Parent pixel.
    halo_radius : float
        0 if there is no halo [px].
    spikes : tuple of tuple of float
        Angle [deg] and length [px] of each spike that was masked.
    """

    x: float
    y: float
    halo_radius: float
    spikes: tuple[tuple[float, float], ...]


class MaskBrightStarsResult(NamedTuple):
    """An exposure with its bright stars masked, and the stars."""

    exposure: Exposure
    """With planes HALO and SPIKE set."""

    stars: tuple[BrightStar, ...]
    """In the order of the positions given, or of rows."""

    spike_angles_deg: tuple[float, ...]
    """Directions of spikes, modulo 180."""


class _Rings(NamedTuple):
    x: float
    y: float
    excess: Vector  # above the halo, in units of the pixels' noise, shape (radii, angles); NaN unknown
    halo: Vector  # above the sky, same units, shape (radii,)
    first: int  # radius where pixels begin to be usable


class MaskBrightStarsTask(Task[MaskBrightStarsConfig]):
    """Measure haloes by medians of rings, spikes by what stands out of them in the same directions at all stars."""

    def run(
        self, exposure: Exposure, *, x: ArrayLike | None = None, y: ArrayLike | None = None
    ) -> MaskBrightStarsResult:
        """Mask bright stars.

        Parameters
        ----------
        exposure : Exposure
            With variance and SAT; sky subtracted or not.
        x, y : array, shape (n,), optional
            Parent pixels of bright stars, say of a reference catalog, also beyond the edges by less than ``reach``;
            middles of saturated clumps by default.

        Returns
        -------
        MaskBrightStarsResult
        """
        config = self.config
        bad = exposure.mask.any_of(config.excluded_planes) | ~np.isfinite(exposure.image.array)
        origin = exposure.bbox.x.start, exposure.bbox.y.start
        if x is None or y is None:
            places = self._saturated_stars(exposure.mask.any_of("SAT"))
        else:
            places = np.stack([np.ravel(x) - origin[0], np.ravel(y) - origin[1]], axis=1).astype(np.float64)
        rings = [self._rings(exposure, bad, *place) for place in places]
        angles = self._angles([ring for ring in rings if ring is not None])
        spikes, haloes, stars = np.zeros(bad.shape, bool), np.zeros(bad.shape, bool), []
        for place, ring in zip(places, rings, strict=True):
            radius = self._halo_radius(ring) if ring is not None else 0.0
            found = self._spikes(ring, angles) if ring is not None else ()
            _paint_disc(haloes, place[0], place[1], radius)
            for angle, length in found:
                end = place[0] + length * np.cos(np.radians(angle)), place[1] + length * np.sin(np.radians(angle))
                paint_line(spikes, place[0], place[1], *end, config.spike_half_width)
            stars.append(BrightStar(float(place[0] + origin[0]), float(place[1] + origin[1]), radius, found))
        mask = exposure.mask.with_plane("HALO", haloes).with_plane("SPIKE", spikes)
        return MaskBrightStarsResult(exposure.replace(mask=mask), tuple(stars), angles)

    def _saturated_stars(self, saturated: NDArray[np.bool_]) -> Vector:
        """Return x and y of the middles of saturated clumps, where the largest circle fits: trails are narrower."""
        labels, _ = label(saturated)
        places = []
        for number, box in enumerate(find_objects(labels), start=1):
            inside = distance_transform_edt(np.pad(labels[box] == number, 1))[1:-1, 1:-1]
            if 2.0 * inside.max() < self.config.narrowest_core:
                continue
            rows, columns = np.nonzero(inside > 0.9 * inside.max())
            places.append((box[1].start + columns.mean(), box[0].start + rows.mean()))
        return np.array(places, np.float64).reshape(-1, 2)

    def _rings(self, exposure: Exposure, bad: NDArray[np.bool_], x: float, y: float) -> _Rings | None:
        """Return a star's surroundings; None where too little is known."""
        rings = np.empty((self.config.reach, _ANGLES), np.float32)
        polar_map(exposure.image.array, bad, x, y, rings)
        medians = np.empty((2, rings.shape[0]), np.float32)
        ring_medians(rings, medians)
        known = np.flatnonzero(np.isfinite(medians[0]))
        outer = known[known > 0.8 * self.config.reach]
        if known.size == 0 or outer.size == 0:
            return None
        sky = float(np.median(medians[0][outer]))
        far = rings[outer[0] :]
        far = far[np.isfinite(far)]
        sigma = 1.4826 * float(np.median(np.abs(far - sky))) or 1.0
        excess = (rings - medians[0][:, np.newaxis]).astype(np.float64) / sigma
        return _Rings(float(x), float(y), excess, (medians[0] - sky).astype(np.float64) / sigma, int(known[0]))

    def _halo_radius(self, ring: _Rings) -> float:
        """Return the radius within which the rings are brighter than the sky, or 0 for a small one."""
        known = np.isfinite(ring.halo)
        smooth = uniform_filter1d(np.where(known, ring.halo, 0.0), 7)
        faint = np.flatnonzero((smooth < self.config.halo_level) & known & (np.arange(smooth.size) > ring.first))
        radius = float(faint[0]) if faint.size else float(self.config.reach)
        return radius if radius >= self.config.smallest_halo else 0.0

    def _angles(self, rings: Sequence[_Rings]) -> tuple[float, ...]:
        """Return the directions of spikes [deg, modulo 180]."""
        if self.config.spike_angles_deg is not None:
            return tuple(float(angle % 180.0) for angle in self.config.spike_angles_deg)
        if not rings:
            return ()
        total = np.sum([self._fans(ring) for ring in rings], axis=0)
        middle = float(np.median(total))
        sigma = 1.4826 * float(np.median(np.abs(total - middle))) or 1.0
        found: list[int] = []
        for k in np.argsort(-total):
            apart = [min(abs(k - other), _HALF_TURN - abs(k - other)) for other in found]
            if total[k] < middle + self.config.spike_clip * sigma or len(found) == 8:
                break
            if all(distance > _HALF_TURN // 18 for distance in apart):
                found.append(int(k))
        return tuple(sorted(180.0 * k / _HALF_TURN for k in found))

    def _fans(self, ring: _Rings) -> Vector:
        """Return the light in each direction of a star, both ways together, stars clipped, shape (360,)."""
        part = ring.excess[ring.first + 3 : ring.first + 103]
        if not len(part):  # saturated as far as one looks
            return np.zeros(_HALF_TURN)
        bent = np.nan_to_num(np.clip(part, -3.0, 3.0), nan=0.0).mean(axis=0)
        both = np.minimum(bent[:_HALF_TURN], bent[_HALF_TURN:])  # a neighbour is on one side only
        return np.asarray(uniform_filter1d(both, 3, mode="wrap"))

    def _spikes(self, ring: _Rings, angles: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
        """Return angle and length of the spikes of a star."""
        found = []
        for angle in (turn + half for turn in angles for half in (0.0, 180.0)):
            length = self._length(ring, angle)
            if length > 0.0:
                found.append((angle, length))
        return tuple(found)

    def _length(self, ring: _Rings, angle: float) -> float:
        """Follow a spike outwards; 0 where there is none."""
        config, last, dark = self.config, 0.0, 0
        middle = round(angle * _ANGLES / 360.0)
        for start in range(ring.first, config.reach - config.spike_step, config.spike_step):
            radius = start + 0.5 * config.spike_step
            spread = max(1, round(2.0 / radius * _ANGLES / (2.0 * np.pi)))
            columns = np.arange(middle - spread, middle + spread + 1) % _ANGLES
            values = ring.excess[start : start + config.spike_step, columns]
            values = values[np.isfinite(values)]
            pixels = min(values.size, 5 * config.spike_step)  # samples on small rings share pixels
            significance = float(np.median(values)) * np.sqrt(pixels) / 1.2533 if values.size else np.nan
            if significance > config.spike_snr:
                last, dark = float(start + config.spike_step), 0
            elif np.isfinite(significance):
                dark += 1
            if dark == 2:
                break
        return last


def _paint_disc(mask: NDArray[np.bool_], x: float, y: float, radius: float) -> None:
    """Set the pixels within a distance of a point, in place."""
    if radius <= 0.0:
        return
    rows = slice(max(0, int(y - radius)), max(0, int(y + radius) + 2))
    columns = slice(max(0, int(x - radius)), max(0, int(x + radius) + 2))
    part = mask[rows, columns]
    dy, dx = np.ogrid[rows.start : rows.start + part.shape[0], columns.start : columns.start + part.shape[1]]
    part |= (dy - y) ** 2 + (dx - x) ** 2 <= radius**2
