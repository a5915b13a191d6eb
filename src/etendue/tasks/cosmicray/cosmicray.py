"""Find and repair cosmic rays."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.image.background import Background
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.psf import Psf
from etendue.kernels.background import cell_background, cell_edges, smooth_cells
from etendue.kernels.cosmicray import N_SHAPES, SHAPE_TABLE, find_cosmic_rays, sharpness_bounds
from etendue.kernels.interpolate import interpolate_bad
from etendue.kernels.isr import grow_mask
from etendue.tasks.task import Task, TaskConfig

_PHASES = np.linspace(-0.5, 0.5, 7)


class CosmicRayConfig(TaskConfig):
    """Configuration of `CosmicRayTask`."""

    min_snr: float = Field(4.5, gt=0.0)
    """Least S/N of a pixel that is tested."""

    clip: float = Field(3.0, gt=0.0)
    """Significance with which a pixel must be sharper than a star [sigma]."""

    grow_snr: float = Field(3.0, gt=0.0)
    """Least S/N of a pixel tested because it touches a cosmic ray."""

    grow_clip: float = Field(2.5, gt=0.0)
    """Significance asked of it [sigma]."""

    iterations: int = Field(3, ge=0)
    """Growing passes."""

    safety: float = Field(0.7, gt=0.0, le=1.0)
    """The PSF may be sharper than the model: its bounds are multiplied by this."""

    model_error: float = Field(0.08, ge=0.0)
    """Error of the bounds as a fraction of the pixel's flux; spares bright stars."""

    core_fraction: float = Field(0.1, gt=0.0, lt=1.0)
    """PSF pixels brighter than this fraction of its peak bound the sharpness."""

    blocks: int = Field(4, ge=1)
    """The PSF is evaluated on this many by this many blocks of the exposure."""

    sky_cell: int = Field(64, ge=8)
    """Cells of the local sky [px]; whatever sky the exposure still has is taken off for the search."""

    excluded_planes: tuple[str, ...] = ("SAT", "BAD", "NO_DATA", "INTRP")
    """Planes whose pixels, and those that touch them, are not tested."""

    interpolation_reach: int = Field(16, ge=1)
    """Good pixels are looked for up to this distance [px]."""


class CosmicRayTask(Task[CosmicRayConfig]):
    """Flag pixels sharper than any sum of PSFs (see `etendue.kernels.cosmicray`) and interpolate over them."""

    def run(self, *, exposure: Exposure, psf: Psf | None = None) -> Exposure:
        """Flag and repair cosmic rays.

        Parameters
        ----------
        exposure : Exposure
            With a variance in the square of its unit; sky subtracted or not.
        psf : Psf, optional
            Model or guess; it must not be broader than the true PSF by more than a quarter. By default
            the exposure's own.

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
        done = self._repair(image, variance, flagged, bad)
        mask = exposure.mask.with_plane("CR", flagged).with_plane("INTRP", done)
        return exposure.replace(image=Image(image, exposure.bbox), mask=mask, variance=Image(variance, exposure.bbox))

    def _find(self, exposure: Exposure, psf: Psf) -> NDArray[np.bool_]:
        """Return the cosmic-ray pixels."""
        config = self.config
        condemned = exposure.mask.any_of(config.excluded_planes) | ~np.isfinite(exposure.image.array)
        return find_cosmic_rays(
            self._without_sky(exposure.image, condemned),
            exposure.variance.array,
            grow_mask(condemned, 1, 1),
            SHAPE_TABLE,
            self._bounds(exposure, psf),
            config.blocks,
            config.blocks,
            config.min_snr,
            config.clip,
            config.grow_snr,
            config.grow_clip,
            config.model_error,
            config.iterations,
        )

    def _without_sky(self, image: Image, bad: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the image less its local sky."""
        size = self.config.sky_cell
        level, sigma = cell_background(image.array, bad, *(cell_edges(n, size) for n in image.array.shape), 3.0, 10)
        if not np.isfinite(level).any():
            return image.array
        values = smooth_cells(level, size=3, tolerance=0.25 * float(np.nanmedian(sigma)))
        sky = Background(values.astype(np.float32), image.bbox, size)
        return np.asarray(image.array - sky.image().array)

    def _bounds(self, exposure: Exposure, psf: Psf) -> NDArray[np.float64]:
        """Return the sharpness bounds of each block, shape (blocks**2, shapes)."""
        n, box = self.config.blocks, exposure.bbox
        fractions = (np.arange(n) + 0.5) / n
        rows = np.rint(box.y.start + fractions * box.y.size)
        cols = np.rint(box.x.start + fractions * box.x.size)
        bounds = []
        for row in rows:
            for col in cols:
                dy, dx = (phase.ravel() for phase in np.meshgrid(_PHASES, _PHASES))
                stamps = np.ascontiguousarray(psf.draw(x=col + dx, y=row + dy).value, dtype=np.float64)
                bounds.append(sharpness_bounds(stamps, SHAPE_TABLE, N_SHAPES, self.config.core_fraction)[0])
        return np.ascontiguousarray(self.config.safety * np.array(bounds))

    def _repair(
        self,
        image: NDArray[np.float32],
        variance: NDArray[np.float32],
        flagged: NDArray[np.bool_],
        bad: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Interpolate over cosmic rays in place, and only over them; return what was replaced."""
        old = image.copy(), variance.copy()
        done = interpolate_bad(image, variance, bad, self.config.interpolation_reach) & flagged
        image[~done], variance[~done] = old[0][~done], old[1][~done]
        return done
