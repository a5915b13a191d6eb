"""Subtract the haloes of saturated stars: round light far beyond what a PSF holds."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]
_Box = tuple[slice, slice]


class SubtractHaloesConfig(TaskConfig):
    """Configuration of `SubtractHaloesTask`."""

    least_radius: float = Field(4.0, gt=0.0)
    """Stars count whose saturated pixels would fill a disc of this radius [px]."""

    most_stars: int = Field(50, ge=1)
    """The largest ones, at most."""

    step: float = Field(1.12, gt=1.0)
    """Ratio of the radii of neighbouring rings."""

    sectors: int = Field(12, ge=4)
    """Parts of a ring; the median of their medians is its brightness, so other stars and spikes do not count."""

    reach: float = Field(60.0, gt=1.0)
    """Farthest a halo is followed, in radii of the saturated disc."""

    faintest: float = Field(0.02, gt=0.0)
    """It ends where it is fainter than this part of a pixel's noise."""

    rounds: int = Field(3, ge=1)
    """Times that every halo is measured, with the others subtracted."""

    clip: float = Field(3.0, gt=0.0)
    """From the second time on without pixels that depart from it by more than this [sigma]: other stars."""

    bad_planes: tuple[str, ...] = ("SAT", "BAD", "CR", "NO_DATA", "INTRP", "VIGNETTED", "STREAK")
    """Planes whose pixels are not used."""


class HaloesResult(NamedTuple):
    """An exposure without haloes."""

    exposure: Exposure
    """Image less the haloes; the variance still has their photon noise."""

    light: NDArray[np.float32]
    """What was subtracted, shape of the image [image units]."""

    x: Real
    """The stars [px]."""

    y: Real
    """The stars [px]."""


class _Star(NamedTuple):
    """A saturated star in array pixels, and the box that its halo may fill."""

    x: float
    y: float
    radius: float
    box: _Box


class SubtractHaloesTask(Task[SubtractHaloesConfig]):
    """Take the median of rings around each saturated star, falling outwards, off the image."""

    def run(self, exposure: Exposure) -> HaloesResult:
        """Subtract haloes.

        Parameters
        ----------
        exposure : Exposure
            Sky-subtracted, with plane SAT.

        Returns
        -------
        HaloesResult
        """
        stars = self._stars(exposure)
        image = exposure.image.array.astype(np.float64)
        good = ~exposure.mask.any_of(self.config.bad_planes) & np.isfinite(image)
        noise = float(np.sqrt(np.median(exposure.variance.array[good]))) if good.any() else np.inf
        haloes = [np.zeros(image[star.box].shape) for star in stars]
        sigma = np.sqrt(np.maximum(exposure.variance.array, 0.0))
        for turn in range(self.config.rounds if stars else 0):
            for k, star in enumerate(stars):
                use = good[star.box]
                if turn:
                    use = use & (np.abs(image[star.box]) < self.config.clip * sigma[star.box])
                image[star.box] += haloes[k]
                haloes[k] = self._halo(image[star.box], use, star, noise)
                image[star.box] -= haloes[k]
        light = np.zeros(image.shape, np.float32)
        for star, halo in zip(stars, haloes, strict=True):
            light[star.box] += halo.astype(np.float32)
        clean = exposure.replace(image=Image(exposure.image.array - light, exposure.bbox))
        x, y = (np.array([star[k] for star in stars], float) for k in (0, 1))
        return HaloesResult(clean, light, x + exposure.bbox.x.start, y + exposure.bbox.y.start)

    def _stars(self, exposure: Exposure) -> list[_Star]:
        """Return the largest saturated regions."""
        labels, count = ndimage.label(exposure.mask.any_of("SAT"), np.ones((3, 3), int))
        if not count:
            return []
        area = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        largest = np.argsort(-area, kind="stable")[: self.config.most_stars]
        largest = largest[area[largest] > np.pi * self.config.least_radius**2] + 1
        stars, shape = [], exposure.bbox.shape
        for number, (y, x) in zip(largest, ndimage.center_of_mass(labels > 0, labels, largest), strict=True):
            radius = float(np.sqrt(area[number - 1] / np.pi))
            far = int(np.ceil(self.config.reach * radius))
            rows, columns = (slice(max(round(c) - far, 0), min(round(c) + far + 1, n))
                             for c, n in zip((y, x), shape, strict=True))  # fmt: skip
            stars.append(_Star(float(x), float(y), radius, (rows, columns)))
        return stars

    def _halo(self, image: Real, good: NDArray[np.bool_], star: _Star, noise: float) -> Real:
        """Return the light of a star on its box."""
        rows, columns = star.box
        dy = np.arange(rows.start, rows.stop)[:, None] - star.y
        dx = np.arange(columns.start, columns.stop) - star.x
        distance = np.hypot(dx, dy)
        ring = np.floor(np.log(np.maximum(distance / star.radius, 1e-3)) / np.log(self.config.step)).astype(np.int64)
        sector = ((np.arctan2(dy, dx) / (2.0 * np.pi) + 0.5) * self.config.sectors).astype(np.int64)
        place, level = self._profile(image, good & (ring >= 0), ring, sector % self.config.sectors, distance)
        level = np.minimum.accumulate(level) if level.size else level
        faint = np.flatnonzero(level < self.config.faintest * noise)
        last = int(faint[0]) if faint.size else level.size
        if last < 2:
            return np.zeros(image.shape)
        logs = np.interp(np.log(np.maximum(distance, 1e-3)), np.log(place[:last]), np.log(level[:last]))
        return np.where(distance <= place[last - 1], np.exp(logs), 0.0)

    def _profile(
        self, image: Real, good: NDArray[np.bool_], ring: NDArray[np.int64], sector: NDArray[np.int64], distance: Real
    ) -> tuple[Real, Real]:
        """Return the radii of rings, and their brightness; rings with less than half their sectors are left out."""
        sectors = self.config.sectors
        key, value, far = (ring * sectors + sector)[good], image[good], distance[good]
        order = np.lexsort((value, key))
        key, value, far = key[order], value[order], far[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        count = np.diff(np.append(first, key.size))
        middle = 0.5 * (value[first + (count - 1) // 2] + value[first + count // 2])
        radius = np.add.reduceat(far, first) / count if first.size else first.astype(float)
        rings = key[first] // sectors
        place, level = [], []
        for one in np.unique(rings):
            here = rings == one
            if 2 * np.count_nonzero(here) >= sectors:
                place.append(float(np.mean(radius[here])))
                level.append(float(np.median(middle[here])))
        return np.array(place), np.array(level)
