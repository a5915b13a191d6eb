"""Find the stars of a frame for astrometry: no PSF model, no deblending, fast."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.kernels.moments import adaptive_moments
from etendue.kernels.windowed import windowed_centroids
from etendue.tasks.background.background import SubtractBackgroundConfig, SubtractBackgroundTask
from etendue.tasks.detect.detect import DetectConfig, DetectResult, DetectTask
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]

_SIGMA_PER_FWHM = 1.0 / 2.3548


class FindStarsConfig(TaskConfig):
    """Detection, and the window of the centroids."""

    background: SubtractBackgroundConfig = SubtractBackgroundConfig()
    """Sky subtraction."""

    detect: DetectConfig = DetectConfig(threshold_snr=8.0, rescale_variance=True)
    """Detection with a Gaussian filter, first of the guessed width, then of the measured one."""

    n_width: int = Field(80, ge=5)
    """Bright peaks that measure the width of stars."""

    fwhm_range: tuple[float, float] = (1.5, 15.0)
    """Limits of the measured width [px]."""

    iterations: int = Field(10, ge=1)
    """Largest number of steps of a centroid."""

    bad_planes: tuple[str, ...] = ("BAD", "NO_DATA")
    """Mask planes whose pixels no centroid uses."""

    least_err_px: float = Field(0.03, ge=0.0)
    """Error of a centroid per axis on top of the noise: sampling, neighbours."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundStars:
    """Stars in parent pixels, brightest first.

    Parameters
    ----------
    x, y, x_err, y_err : ndarray, float64, shape (n,)
        Centroids and their errors [px].
    flux : ndarray, float64, shape (n,)
        Brightness [image units], to rank them.
    fwhm_px : float
        Median width of the bright ones [px].
    """

    x: Vector
    y: Vector
    x_err: Vector
    y_err: Vector
    flux: Vector
    fwhm_px: float


class FindStarsTask(Task[FindStarsConfig]):
    """Sky, detection, width of the stars, detection with that width, windowed centroids."""

    def run(self, *, exposure: Exposure) -> FoundStars:
        """Find stars.

        Parameters
        ----------
        exposure : Exposure
            With mask and variance; nothing else is used.

        Returns
        -------
        FoundStars

        Raises
        ------
        AlgorithmError
            If no pixel is usable or nothing is found.
        """
        config = self.config
        flat = SubtractBackgroundTask(config.background).run(exposure=exposure).exposure
        first = DetectTask(config.detect).run(exposure=flat)
        if first.x.size == 0:
            raise AlgorithmError("no source found", threshold_snr=config.detect.threshold_snr)
        fwhm = self._fwhm(flat, first)
        found = first
        if fwhm > 1.3 * config.detect.guess_fwhm:
            # A filter much narrower than the stars breaks bright ones into several peaks.
            found = DetectTask(config.detect.model_copy(update={"guess_fwhm": fwhm})).run(exposure=flat)
        return self._centroids(flat, found, fwhm)

    def _fwhm(self, exposure: Exposure, found: DetectResult) -> float:
        """Return the median width of bright, unsaturated stars."""
        box, bad = exposure.bbox, exposure.mask.any_of((*self.config.bad_planes, "SAT"))
        size = 2 * int(np.ceil(self.config.fwhm_range[1])) + 1
        x, y = found.x - box.x.start, found.y - box.y.start
        col, row = np.rint(x).astype(int) - size // 2, np.rint(y).astype(int) - size // 2
        inside = (col >= 0) & (row >= 0) & (col + size <= box.x.size) & (row + size <= box.y.size)
        chosen = np.flatnonzero(inside)[np.argsort(-found.peak_snr[inside], kind="stable")]
        clean = [k for k in chosen[: 4 * self.config.n_width] if not bad[row[k] + size // 2, col[k] + size // 2]]
        picked = np.array(clean[: self.config.n_width], int)
        guess = self.config.detect.guess_fwhm
        if picked.size == 0:
            return guess
        cut = [(slice(row[k], row[k] + size), slice(col[k], col[k] + size)) for k in picked]
        stamps = np.stack([exposure.image.array[s] for s in cut]).astype(np.float64)
        masks = np.stack([bad[s] for s in cut])
        masks |= ~np.isfinite(stamps)
        ixx, iyy, _, _ = adaptive_moments(
            np.nan_to_num(stamps), masks, x[picked] - col[picked], y[picked] - row[picked], guess * _SIGMA_PER_FWHM, 100
        )
        square = 0.5 * (ixx + iyy)
        width = np.sqrt(square[square > 0.0]) / _SIGMA_PER_FWHM  # leaves out NaN too
        return float(np.clip(np.median(width), *self.config.fwhm_range)) if width.size else guess

    def _centroids(self, exposure: Exposure, found: DetectResult, fwhm: float) -> FoundStars:
        box, sigma = exposure.bbox, fwhm * _SIGMA_PER_FWHM
        image = np.ascontiguousarray(exposure.image.array, np.float32)
        bad = np.ascontiguousarray(exposure.mask.any_of(self.config.bad_planes) | ~np.isfinite(image))
        x, y, flux = windowed_centroids(
            image, bad, found.x - box.x.start, found.y - box.y.start, sigma, self.config.iterations
        )
        rank = np.argsort(-np.nan_to_num(flux, nan=-np.inf), kind="stable")
        error = np.hypot(self.config.least_err_px, sigma / np.maximum(found.peak_snr, 1.0))[rank]
        return FoundStars(x[rank] + box.x.start, y[rank] + box.y.start, error, error, flux[rank], fwhm)
