"""Correct a flat by a projector: the same spot of known power at many places of a detector."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import find_objects, label, median_filter

from etendue.errors import AlgorithmError, InputError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.calib.detector_polynomial import legendre_terms, response_map
from etendue.tasks.calib.selection import Refusal
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]
_PASSES, _CELL = 5, 4


class BuildSpotScanConfig(TaskConfig):
    """Configuration of `BuildSpotScanTask`."""

    degree: int = Field(3, ge=1, le=8)
    """Total degree of the polynomial over the detector."""

    threshold: float = Field(0.2, gt=0.0, lt=1.0)
    """A spot is where the image, less its median, exceeds this part of the brightest of it."""

    minimum_pixels: int = Field(30, ge=1)
    """Smaller bright regions are no spots: cosmic rays, hot pixels [px]."""

    aperture: float = Field(2.0, gt=1.0)
    """Radius in which light is added up, in radii of the spot."""

    ring_px: float = Field(12.0, gt=1.0)
    """Width of the ring around it in which the light around spots is measured [px]."""

    bad_planes: tuple[str, ...] = ("SAT", "BAD", "NO_DATA")
    """A spot with such a pixel in its light, or more than a tenth of its aperture, is left out."""

    minimum_spots: int = Field(20, ge=5)
    """Spots needed, and twice as many as coefficients."""

    clip: float = Field(4.0, gt=0.0)
    """Clipping radius: what went wrong with single spots [sigma]."""

    systematic: float = Field(1e-3, ge=0.0)
    """Relative error of every spot, added in quadrature: that of its power."""

    node_px: int = Field(16, ge=1)
    """The map is evaluated on nodes this far apart and interpolated [px]."""


class Spot(NamedTuple):
    """One spot."""

    x: float
    """Column of its middle [px]."""

    y: float
    """Row."""

    light: float
    """Light by the flat over power."""

    error: float
    """Its error."""


class SpotImage(NamedTuple):
    """An image with one spot, divided by the flat that is to be corrected."""

    exposure: Exposure
    """[e]"""

    power: float
    """What the projector's photodiode saw of the spot, in any unit that is the same for all."""

    name: str
    """For messages."""


class BuildSpotScanTask(Task[BuildSpotScanConfig]):
    """Add up the light of each spot, divide by its power, and fit a polynomial of the position.

    As a collimated projector (Ingraham et al. 2016, Proc. SPIE 9906; Souverain et al. 2022, Proc. SPIE 12182) lights
    the same part of the pupil with the same light, what changes from place to place is the response alone. Spots are
    larger than pixels and averaged over, so that the flat stays what tells neighbouring pixels apart.
    """

    def run(self, images: Iterable[SpotImage], bbox: Box) -> Exposure:
        """Measure the true response over that of the flat.

        Parameters
        ----------
        images : iterable of SpotImage
            Of one detector and filter, read once.
        bbox : Box
            The detector.

        Returns
        -------
        Exposure
            Factor on the flat, median 1. ``metadata`` holds ``spots``, ``rms_mag`` of the residuals, ``peak_to_peak``
            and ``refused`` frames with the reason.

        Raises
        ------
        InputError
            If no frame says how bright its spot was.
        AlgorithmError
            If too few spots are usable.
        """
        spots, refused, silent = [], [], 0
        for image in images:
            if not (np.isfinite(image.power) and image.power > 0.0):
                silent += 1
                refused.append(Refusal(image.name, "does not say how bright the spot was"))
                continue
            found = self._spot(image)
            if isinstance(found, Spot):
                spots.append(found)
            else:
                refused.append(Refusal(image.name, found))
        if silent and silent == len(refused) and not spots:
            raise InputError("no frame says how bright its spot was", value=f"{silent} frames",
                             remedy="name the card as lamp_monitor in the camera's YAML")  # fmt: skip
        return self._fit(spots, refused, bbox)

    def _spot(self, image: SpotImage) -> Spot | str:
        """Return the spot of an image, or why there is none."""
        pixels, bad = image.exposure.image.array, image.exposure.mask.any_of(self.config.bad_planes)
        above = np.where(np.isfinite(pixels), pixels - np.nanmedian(pixels), np.float32(0.0))
        smooth = median_filter(_binned(above), 3)  # no hot pixel is the brightest
        coarse, _ = label(smooth > self.config.threshold * smooth.max())
        boxes = find_objects(coarse)
        sizes = [int((coarse[box] == k + 1).sum()) * _CELL**2 for k, box in enumerate(boxes)]
        large = [k for k, size in enumerate(sizes) if size >= self.config.minimum_pixels]
        if len(large) != 1:
            return f"{len(large)} spots"
        spot = coarse == large[0] + 1
        rows, columns = np.nonzero(spot)
        weight = smooth[rows, columns]
        y, x = (_CELL * float(np.average(p, weights=weight)) + 0.5 * (_CELL - 1) for p in (rows, columns))
        radius = self.config.aperture * float(np.sqrt(sizes[large[0]] / np.pi))
        outer = radius + self.config.ring_px
        if min(x, y) < outer or x > pixels.shape[1] - 1 - outer or y > pixels.shape[0] - 1 - outer:
            return "the spot is at the edge"
        return self._light(image, x, y, radius, bad)

    def _light(self, image: SpotImage, x: float, y: float, radius: float, bad: NDArray[np.bool_]) -> Spot | str:
        """Add up the light of a spot above the ring around it."""
        pixels, variance = image.exposure.image.array, image.exposure.variance.array
        rows, columns = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
        distance = np.hypot(rows - y, columns - x)
        inside, usable = distance <= radius, ~bad & np.isfinite(pixels)
        ring = (distance > radius) & (distance <= radius + self.config.ring_px) & usable
        core = distance <= radius / self.config.aperture
        if (core & ~usable).any() or (inside & ~usable).sum() > 0.1 * inside.sum() or ring.sum() < 10:
            return "the spot has bad pixels"
        level = float(np.median(pixels[ring]))
        use = inside & usable
        light = float((pixels[use] - level).sum(dtype=np.float64))
        noise = float(variance[use].sum(dtype=np.float64)) + use.sum() ** 2 * 1.571 * float(
            np.median(variance[ring])
        ) / float(ring.sum())
        box = image.exposure.bbox
        return Spot(x + box.x.start, y + box.y.start, light / image.power, float(np.sqrt(noise)) / image.power)

    def _fit(self, spots: list[Spot], refused: list[Refusal], bbox: Box) -> Exposure:
        columns = np.array(spots, float).reshape(-1, 4).T
        x, y, light, error = columns[:, columns[2] > 0.0]
        terms = legendre_terms(x, y, bbox, self.config.degree) if x.size else np.zeros((0, 1))
        needed = max(self.config.minimum_spots, 2 * (terms.shape[1] + 1))
        design = np.concatenate([np.ones((x.size, 1)), terms], axis=1)
        value, sigma = np.log(light), np.hypot(error / light, self.config.systematic)
        use = np.ones(x.size, bool)
        for _ in range(_PASSES):
            if use.sum() < needed:
                why = "; ".join(f"{one.file}: {one.reason}" for one in refused[:3])
                raise AlgorithmError("too few spots are usable", spots=int(use.sum()), needed=needed, refused=why)
            root = use / sigma
            solution = np.linalg.lstsq(design * root[:, None], value * root, rcond=None)[0]
            residual = value - design @ solution
            spread = max(1.0, 1.4826 * float(np.median(np.abs(residual[use] / sigma[use]))))
            use = np.abs(residual / sigma) <= self.config.clip * spread
        response = response_map(solution[1:], bbox, self.config.degree, self.config.node_px)
        facts = {
            "spots": int(use.sum()), "rms_mag": 1.0857 * 1.4826 * float(np.median(np.abs(residual[use]))),
            "peak_to_peak": float(np.ptp(response)), "refused": dict(refused),
        }  # fmt: skip
        plane = Image(np.zeros_like(response), bbox)
        return Exposure(image=Image(response, bbox), mask=Mask.empty(bbox), variance=plane, unit="", metadata=facts)


def _binned(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return means of cells; what does not fill one at the upper edges is left out."""
    ny, nx = (max(size // _CELL, 1) for size in pixels.shape)
    return np.asarray(pixels[: ny * _CELL, : nx * _CELL].reshape(ny, _CELL, nx, _CELL).mean(axis=(1, 3)), np.float64)
