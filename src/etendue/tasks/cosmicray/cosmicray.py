"""Find and repair cosmic rays."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.image.background import Background
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.psf import Psf
from etendue.kernels.background import cell_background, cell_edges, smooth_cells
from etendue.kernels.cosmicray import TRACES, find_traces, grow_traces, growing_filters, sharpened, trace_filters
from etendue.kernels.isr import grow_mask
from etendue.kernels.psf_interpolate import interpolate_stars
from etendue.tasks.task import Task, TaskConfig

_PHASES = np.linspace(-0.4, 0.4, 5)
_FWHM = 2.3548


class CosmicRayConfig(TaskConfig):
    """Configuration of `CosmicRayTask`."""

    min_snr: float = Field(4.5, gt=0.0)
    """Least S/N of a pixel that is tested."""

    clip: float = Field(4.3, gt=0.0)
    """Significance with which a trace must differ from all scenes [sigma]; stars are the most star-like of them."""

    core_snr: float = Field(3.0, gt=0.0)
    """Least S/N of a pixel that is flagged with a trace."""

    grow_snr: float = Field(3.0, gt=0.0)
    """Least S/N of a pixel that is added because it touches a trace."""

    grow_clip: float = Field(0.5, gt=0.0)
    """Significance asked of it [sigma]."""

    iterations: int = Field(6, ge=0)
    """Passes that add pixels."""

    model_error: float = Field(0.2, ge=0.0)
    """Error of the PSF as a fraction of its light; spares bright stars."""

    grow_error: float = Field(0.05, ge=0.0)
    """The same for pixels that touch a trace: there a particle is likelier than a star."""

    psf_too_broad: float = Field(0.0, ge=0.0, le=0.4)
    """By what part of its width the PSF may be too broad; 0 for a fitted one, 0.25 for a guess good to a fifth."""

    blocks: int = Field(2, ge=1)
    """The PSF is evaluated on this many by this many blocks of the exposure."""

    sky_cell: int = Field(64, ge=8)
    """Cells of the local sky [px]; whatever sky the exposure still has is taken off for the search."""

    excluded_planes: tuple[str, ...] = ("SAT", "BAD", "NO_DATA", "INTRP")
    """Planes whose pixels, and those that touch them, are not tested."""

    interpolation_reach: int = Field(16, ge=1)
    """Good pixels are looked for up to this distance [px]."""


class CosmicRayTask(Task[CosmicRayConfig]):
    """Flag traces that no sum of PSFs can make (see `etendue.kernels.cosmicray`) and interpolate over them."""

    def run(self, *, exposure: Exposure, psf: Psf | None = None) -> Exposure:
        """Flag and repair cosmic rays.

        Parameters
        ----------
        exposure : Exposure
            With a variance in the square of its unit; sky subtracted or not.
        psf : Psf, optional
            Model; one that is 10% broader than the true PSF makes stars look like hits (see ``psf_too_broad``), one
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
        stamps = self._stamps(exposure, psf)
        filters = np.array([trace_filters(block) for block in stamps])
        n = config.blocks
        find_traces(image, variance, excluded, filters, TRACES, n, n, config.min_snr, config.clip,
                    config.core_snr, config.model_error, flagged)  # fmt: skip
        grow_traces(image, variance, excluded, growing_filters(np.mean(stamps, axis=0)), config.grow_snr,
                    config.grow_clip, config.grow_error, config.iterations, flagged)  # fmt: skip
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

    def _stamps(self, exposure: Exposure, psf: Psf) -> list[NDArray[np.float64]]:
        """Return the PSF at sub-pixel phases in the middle of each block, row by row of blocks."""
        n, box = self.config.blocks, exposure.bbox
        middles = (np.arange(n) + 0.5) / n
        rows = np.rint(box.y.start + middles * box.y.size)
        cols = np.rint(box.x.start + middles * box.x.size)
        dy, dx = (phase.ravel() for phase in np.meshgrid(_PHASES, _PHASES))
        narrower = 1.0 - (1.0 - self.config.psf_too_broad) ** 2
        out = []
        for row in rows:
            for col in cols:
                stamps = psf.draw(x=col + dx, y=row + dy).value.astype(np.float64)
                sigma = float(np.ravel(psf.fwhm(x=col, y=row))[0]) / _FWHM
                out.append(sharpened(stamps, narrower * sigma**2) if narrower > 0.0 else stamps)
        return out
