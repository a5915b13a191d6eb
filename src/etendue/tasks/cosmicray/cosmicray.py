"""Find and repair cosmic rays."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.image.background import Background
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.psf import Psf
from etendue.kernels.background import cell_background, cell_edges, smooth_cells
from etendue.kernels.cosmicray import TRACES, find_traces, trace_filters
from etendue.kernels.isr import grow_mask
from etendue.kernels.psf_interpolate import interpolate_stars
from etendue.kernels.psf_width import narrowed, too_broad
from etendue.kernels.scene_fit import acquit_stars, bright_peaks, flag_strange_peaks, grow_strange, scene_columns
from etendue.tasks.task import Task, TaskConfig

_PHASES = np.linspace(-0.4, 0.4, 5)
_FWHM = 2.3548
_BRIGHT, _MOST_PEAKS = 30.0, 500  # S/N, and number, of the peaks that tell how wide stars are
_Peaks = tuple[NDArray[np.float32], NDArray[np.float32]]


class CosmicRayConfig(TaskConfig):
    """Configuration of `CosmicRayTask`."""

    min_snr: float = Field(4.5, gt=0.0)
    """Least S/N of a pixel that is tested."""

    clip: float = Field(4.3, gt=0.0)
    """Significance with which a trace must differ from all scenes [sigma]; stars are the most star-like of them."""

    core_snr: float = Field(3.0, gt=0.0)
    """Least S/N of a pixel that is flagged with a trace."""

    peak_snr: float = Field(8.0, gt=0.0)
    """Least S/N of a peak whose surroundings are compared with all scenes."""

    peak_clip: float = Field(8.0, gt=0.0)
    """Root of the chi2 of 25 pixels above which no scene fits."""

    grow_snr: float = Field(3.0, gt=0.0)
    """Least S/N of a pixel that is added because it touches a trace."""

    excess: float = Field(3.0, gt=0.0)
    """What a scene must leave of a pixel that is flagged [sigma]."""

    share: float = Field(0.25, ge=0.0, lt=1.0)
    """The part of such a pixel that the scene must leave; spares the cores of stars that are hit beside them."""

    soft: float = Field(2.0, gt=0.0)
    """Excess over a scene beyond which pixels around it count linearly in its fit [sigma]: they may be hit, too."""

    iterations: int = Field(12, ge=0)
    """Passes that add pixels."""

    model_error: float = Field(0.2, ge=0.0)
    """Error of the PSF as a fraction of its light, for filters; spares bright stars."""

    scene_error: float = Field(0.03, ge=0.0)
    """The same for scenes, which are fitted to the pixels."""

    measure_width: bool = True
    """Look at bright peaks whether stars are narrower than the PSF, and make it narrower if so."""

    psf_too_broad: float = Field(0.0, ge=0.0, le=0.4)
    """By what part of its width the PSF may be too broad at least, whatever is measured."""

    blocks: int = Field(2, ge=1)
    """The PSF is evaluated on this many by this many blocks of the exposure."""

    sky_cell: int = Field(64, ge=8)
    """Cells of the local sky [px]; whatever sky the exposure still has is taken off for the search."""

    excluded_planes: tuple[str, ...] = ("SAT", "BAD", "NO_DATA", "INTRP")
    """Planes whose pixels, and those that touch them, are not tested."""

    interpolation_reach: int = Field(16, ge=1)
    """Good pixels are looked for up to this distance [px]."""


class CosmicRayTask(Task[CosmicRayConfig]):
    """Flag what no sum of PSFs can make and interpolate over it.

    Filters find traces (`etendue.kernels.cosmicray`); fits of scenes acquit stars beside them, find bright hits of any
    shape and add the rest of each hit (`etendue.kernels.scene_fit`).
    """

    def run(self, *, exposure: Exposure, psf: Psf | None = None) -> Exposure:
        """Flag and repair cosmic rays.

        Parameters
        ----------
        exposure : Exposure
            With a variance in the square of its unit; sky subtracted or not.
        psf : Psf, optional
            Model; one that is broader than the stars is made narrower if bright stars tell (see ``measure_width``), one
            that is narrower only costs completeness. By default the exposure's own.

        Returns
        -------
        Exposure
            With planes CR and INTRP set and the pixels interpolated in image and variance.

        Raises
        ------
        ValueError
            If there is no PSF at all.
        """
        model = psf if psf is not None else exposure.psf
        if model is None:
            raise ValueError("CosmicRayTask needs a PSF: give one, or an exposure that has one")
        flagged = self._find(exposure, model)
        image, variance = exposure.image.array.copy(), exposure.variance.array.copy()
        bad = flagged | exposure.mask.any_of(self.config.excluded_planes)
        # Pixels that other planes condemn must not be read, nor written a second time.
        x, y = (0.5 * (side.start + side.stop) for side in (exposure.bbox.x, exposure.bbox.y))
        fwhm = float(np.ravel(model.fwhm(x=x, y=y))[0])
        done = interpolate_stars(image, variance, bad, fwhm=fwhm, wanted=flagged, reach=self.config.interpolation_reach)
        mask = exposure.mask.with_plane("CR", flagged).with_plane("INTRP", done)
        return exposure.replace(image=Image(image, exposure.bbox), mask=mask, variance=Image(variance, exposure.bbox))

    def _find(self, exposure: Exposure, psf: Psf) -> NDArray[np.bool_]:
        """Return the cosmic-ray pixels."""
        config = self.config
        condemned = exposure.mask.any_of(config.excluded_planes) | ~np.isfinite(exposure.image.array)
        image, variance = self._without_sky(exposure.image, condemned), exposure.variance.array
        excluded = grow_mask(condemned, 1, 1)
        flagged = np.zeros(image.shape, dtype=bool)
        peaks = bright_peaks(image, variance, excluded, config.peak_snr)
        stamps = self._stamps(exposure, psf, _around(image, variance, excluded, peaks))
        filters = np.array([trace_filters(block) for block in stamps])
        frame = image, variance, excluded
        n = config.blocks
        find_traces(*frame, filters, TRACES, n, n, config.min_snr, config.clip, config.core_snr, config.model_error,
                    flagged)  # fmt: skip
        scenes = *frame, np.array([scene_columns(block) for block in stamps]), n, n
        limits = config.excess, config.share, config.soft, config.scene_error
        acquit_stars(*scenes, *limits, flagged)
        flag_strange_peaks(*scenes, peaks, config.peak_clip, *limits, flagged)
        grow_strange(*scenes, config.grow_snr, *limits, config.iterations, flagged)
        return flagged

    def _without_sky(self, image: Image, bad: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the image less its local sky."""
        size = self.config.sky_cell
        level, sigma = cell_background(image.array, bad, *(cell_edges(n, size) for n in image.array.shape), 3.0, 10)
        if not np.isfinite(level).any():
            return image.array
        values = smooth_cells(level, size=3, tolerance=0.25 * float(np.nanmedian(sigma)))
        sky = Background(values.astype(np.float32), image.bbox, size)
        return np.asarray(image.array - sky.image().array)

    def _stamps(self, exposure: Exposure, psf: Psf, peaks: _Peaks) -> list[NDArray[np.float64]]:
        """Return the PSF at sub-pixel phases in the middle of each block, row by row of blocks."""
        n, box = self.config.blocks, exposure.bbox
        middles = (np.arange(n) + 0.5) / n
        rows = np.rint(box.y.start + middles * box.y.size)
        cols = np.rint(box.x.start + middles * box.x.size)
        dy, dx = (phase.ravel() for phase in np.meshgrid(_PHASES, _PHASES))
        places = [(row, col) for row in rows for col in cols]
        stamps = [psf.draw(x=col + dx, y=row + dy).value.astype(np.float64) for row, col in places]
        sigmas = [float(np.ravel(psf.fwhm(x=col, y=row))[0]) / _FWHM for row, col in places]
        broad = self.config.psf_too_broad
        if self.config.measure_width:
            broad = max(broad, too_broad(*peaks, np.mean(stamps, axis=0), float(np.mean(sigmas))))
        return [narrowed(block, sigma, broad) for block, sigma in zip(stamps, sigmas, strict=True)]


def _around(
    image: NDArray[np.float32], variance: NDArray[np.float32], excluded: NDArray[np.bool_], peaks: NDArray[np.int64]
) -> _Peaks:
    """Return the 7 x 7 pixels around the brighter peaks, and their variance, shape (n, 7, 7) each."""
    row, col = np.divmod(peaks, image.shape[1])
    inside = (row >= 3) & (row < image.shape[0] - 3) & (col >= 3) & (col < image.shape[1] - 3)
    bright = inside & (image[row, col] > _BRIGHT * np.sqrt(variance[row, col]))
    row, col = row[bright], col[bright]
    some = slice(None, None, max(1, row.size // _MOST_PEAKS))
    y, x = np.mgrid[-3:4, -3:4]
    window = row[some, np.newaxis, np.newaxis] + y, col[some, np.newaxis, np.newaxis] + x
    good = ~excluded[window].any(axis=(1, 2))
    return image[window][good], variance[window][good]
