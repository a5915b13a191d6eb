"""Build fringe frames and sky frames from dithered images of the night sky."""

import warnings
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import gaussian_filter

from etendue.errors import AlgorithmError, InputError
from etendue.image.background import Background
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.kernels.background import cell_background, cell_edges, smooth_cells, source_pixels
from etendue.tasks.calib.stack import combine_frames
from etendue.tasks.isr.sky_pattern import smooth_terms
from etendue.tasks.task import Task, TaskConfig

Plane = NDArray[np.float32]
_FILL = (8.0, 32.0)  # widths with which gaps are filled [px]
_LEAST_WEIGHT = 1e-3
_FIRST_PASS = 4.0  # times the threshold, while the pattern is not known


class BuildSkyPatternConfig(TaskConfig):
    """Configuration of `BuildSkyPatternTask`."""

    kind: Literal["fringe", "sky"] = "fringe"
    """``fringe``: what is left of the sky without a smooth surface, mean 0; ``sky``: the sky over its median."""

    minimum_frames: int = Field(4, ge=2)
    """Images needed: where a star stands in one, others must show sky."""

    minimum_sky: float = Field(50.0, gt=0.0)
    """Images with a darker sky are left out [e]."""

    degree: int = Field(4, ge=0, le=8)
    """Degree of the smooth surface of fringe frames."""

    cell_size: int = Field(48, ge=16)
    """Cells of the sky against which sources are found [px]."""

    source_threshold: float = Field(1.2, gt=0.0)
    """Pixels whose 3 x 3 mean departs from the sky by this many pixel noises are left out,"""

    source_margin: int = Field(6, ge=0)
    """and the pixels around them [px]."""

    passes: int = Field(2, ge=1)
    """Sources are found anew beside the pattern of the pass before, which would else be taken for sources itself."""

    clip: float = Field(3.0, gt=0.0)
    """Clipping radius of the combination [sigma]."""

    least_contrast: float = Field(2.0, ge=0.0)
    """A pattern must exceed its own noise by this factor [rms]."""

    smoothing: tuple[float, ...] = Field((1.0, 2.0, 4.0, 8.0, 16.0), min_length=1)
    """Widths of the Gaussian that takes the pixel noise off the pattern; the one with which half of the images tells
    best what the other half shows is taken [px]."""

    bad_planes: tuple[str, ...] = ("SAT", "BAD", "CR", "NO_DATA", "DETECTED", "INTRP", "VIGNETTED", "STREAK")
    """Planes whose pixels are not used."""


class _Sky(NamedTuple):
    """One image, its unusable pixels, its smooth sky, level and pixel noise [e]."""

    image: Plane
    bad: NDArray[np.bool_]
    surface: Plane
    level: float
    noise: float


class BuildSkyPatternTask(Task[BuildSkyPatternConfig]):
    """Normalise dithered images by their sky, leave out their sources, and average."""

    def run(self, exposures: Iterable[Exposure]) -> Exposure:
        """Build the pattern of one detector and filter.

        Parameters
        ----------
        exposures : iterable of Exposure
            Flat-fielded images with their sky, of one detector and filter, the telescope moved between them.

        Returns
        -------
        Exposure
            Pattern for a sky of 1. ``metadata`` holds ``n_frames``, ``levels`` and ``rms`` of the pattern.

        Raises
        ------
        InputError
            If images differ in size or filter, naming both filters.
        AlgorithmError
            If too few show enough sky, or there is no pattern.
        """
        skies, first = [], None
        for exposure in exposures:
            first = first or exposure
            filters = first.physical_filter, exposure.physical_filter
            if exposure.bbox != first.bbox or filters[0] != filters[1]:
                raise InputError(
                    "images of one sky pattern differ in size or filter", value=filters, remedy="give one filter"
                )
            skies.append(self._sky(exposure))
        usable = [sky for sky in skies if sky.level >= self.config.minimum_sky]
        if first is None or len(usable) < self.config.minimum_frames:
            raise AlgorithmError(
                "too few images show enough sky",
                images=len(skies),
                usable=len(usable),
                needed=self.config.minimum_frames,
            )
        pattern, variance, facts = self._average(usable, None)
        for _ in range(1, self.config.passes):
            pattern, variance, facts = self._average(usable, pattern)
        if facts["rms"] < self.config.least_contrast * facts["noise"]:
            raise AlgorithmError("the sky has no pattern above its noise", rms=facts["rms"], noise=facts["noise"])
        return Exposure(
            image=Image(pattern, first.bbox), mask=Mask.empty(first.bbox), variance=Image(variance, first.bbox),
            band=first.band, physical_filter=first.physical_filter, detector=first.detector, unit="",
            metadata={"n_frames": len(usable), "levels": [sky.level for sky in usable]} | facts,
        )  # fmt: skip

    def _sky(self, exposure: Exposure) -> _Sky:
        """Return what an image is like."""
        image = exposure.image.array
        bad = exposure.mask.any_of(self.config.bad_planes) | ~np.isfinite(image)
        surface, noise = self._surface(exposure.image, bad)
        level = float(np.median(image[~bad])) if not bad.all() else 0.0
        return _Sky(image, bad, surface, level, noise)

    def _average(self, skies: list[_Sky], pattern: Plane | None) -> tuple[Plane, Plane, dict[str, float]]:
        """Return pattern and variance of images without the sources that stand out of the pattern so far, and facts."""
        frames = [self._normalised(sky, pattern) for sky in skies]
        floor = float(np.median([sky.noise / sky.level for sky in skies]))
        mean, variance, _ = combine_frames(frames, clip=self.config.clip, sigma_floor=floor)
        width, noise = self._best_width(frames)
        pattern, variance = self._smoothed(mean, variance, width)
        return pattern, variance, {"rms": float(np.nanstd(pattern)), "noise": noise, "smoothing": width}

    def _best_width(self, frames: list[Plane]) -> tuple[float, float]:
        """Return the smoothing with which each half of the frames tells best what the other half shows.

        Half of the difference between the halves is the noise of the pattern.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # pixels of which no frame has a value
            one, other = (np.nanmean(frames[k::2], axis=0) for k in (0, 1))
        blurred = [(_blurred(one, width), _blurred(other, width)) for width in self.config.smoothing]
        miss = [float(np.nanmean((a - other) ** 2) + np.nanmean((b - one) ** 2)) for a, b in blurred]
        best = int(np.argmin(miss))
        return self.config.smoothing[best], 0.5 * float(np.nanstd(blurred[best][0] - blurred[best][1]))

    def _normalised(self, sky: _Sky, pattern: Plane | None) -> Plane:
        """Return an image over its sky level, NaN where sources are."""
        config = self.config
        surface, threshold = sky.surface, config.source_threshold * sky.noise
        if pattern is None:
            threshold *= _FIRST_PASS
        elif config.kind == "fringe":
            surface = surface + np.float32(sky.level) * np.nan_to_num(pattern)
        bad = source_pixels(sky.image, surface, sky.bad, threshold, config.source_margin)
        pixels: Plane = np.where(bad, np.nan, sky.image / np.float32(sky.level)).astype(np.float32)
        return pixels - self._smooth_part(pixels) if config.kind == "fringe" else pixels

    def _surface(self, image: Image, bad: NDArray[np.bool_]) -> tuple[Plane, float]:
        """Return the sky as a spline through cells, and the pixel noise."""
        size = self.config.cell_size
        level, sigma = cell_background(image.array, bad, *(cell_edges(n, size) for n in image.array.shape), 3.0, 10)
        if not np.isfinite(level).any():
            return np.zeros_like(image.array), float("inf")
        noise = float(np.nanmedian(sigma))
        values = smooth_cells(level, size=3, tolerance=noise).astype(np.float32)
        return Background(values, image.bbox, size).image().array, noise

    def _smooth_part(self, pixels: Plane) -> Plane:
        """Return the polynomial through the cells of a normalised image."""
        size, degree = self.config.cell_size, self.config.degree
        edges = [cell_edges(n, size) for n in pixels.shape]
        level, _ = cell_background(pixels, np.asarray(~np.isfinite(pixels)), *edges, 3.0, 10)
        known, terms = np.isfinite(level), smooth_terms(pixels.shape, size, degree)
        if known.sum() < terms.shape[-1]:
            return np.full(pixels.shape, np.nanmedian(pixels), np.float32)
        solution = np.linalg.lstsq(terms[known], level[known], rcond=None)[0]
        coefficients = np.zeros((degree + 1, degree + 1))
        y, x = (2.0 * (np.arange(n) + 0.5) / n - 1.0 for n in pixels.shape)
        coefficients[_powers(degree)] = solution
        return np.polynomial.legendre.leggrid2d(y, x, coefficients).astype(np.float32)

    def _smoothed(self, mean: Plane, variance: Plane, width: float) -> tuple[Plane, Plane]:
        """Take the pixel noise off; where no image shows sky the pattern is what is around."""
        pattern, spread = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
        for sigma in (width, *(wider for wider in _FILL if wider > width)):
            empty = ~np.isfinite(pattern)
            pattern[empty] = _blurred(mean, sigma)[empty]
            spread[empty] = _blurred(variance, sigma)[empty] / max(4.0 * np.pi * sigma**2, 1.0)
        if self.config.kind == "fringe":
            pattern = pattern - np.nanmean(pattern)
        return pattern, spread


def _blurred(plane: Plane, sigma: float) -> Plane:
    """Return a plane blurred by a Gaussian over what is known of it; NaN where nothing near is."""
    known = np.isfinite(plane)
    weight = gaussian_filter(known.astype(np.float32), sigma)
    with np.errstate(invalid="ignore", divide="ignore"):
        blurred = gaussian_filter(np.where(known, plane, np.float32(0.0)), sigma) / weight
    blurred[weight < _LEAST_WEIGHT] = np.nan
    return np.asarray(blurred, np.float32)


def _powers(degree: int) -> tuple[list[int], list[int]]:
    """Return the powers of y and of x in the order of `smooth_terms`."""
    pairs = [(j, i) for j in range(degree + 1) for i in range(degree + 1 - j)]
    return [j for j, _ in pairs], [i for _, i in pairs]
