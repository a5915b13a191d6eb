"""Interpolate over defects as stars of the seeing would have it."""

import numpy as np
from pydantic import Field

from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.kernels.psf_interpolate import interpolate_stars
from etendue.tasks.task import Task, TaskConfig


class InterpolateDefectsConfig(TaskConfig):
    """Configuration of `InterpolateDefectsTask`."""

    planes: tuple[str, ...] = ("BAD", "SAT")
    """Planes whose pixels are replaced, unless they hold no data."""

    unread_planes: tuple[str, ...] = ("NO_DATA", "CR")
    """Planes whose pixels are not read either."""

    fwhm_px: float = Field(2.5, gt=0.0)
    """Width of stars if neither ``run`` nor the exposure's PSF tells it; 25% more or less changes little [px]."""

    noise: float = Field(1e-3, gt=0.0)
    """Variance of the noise over that of the light of sources: small values follow bright stars."""

    reach: int = Field(16, ge=1)
    """Middles of wide defects are bridged linearly, up to this distance [px]."""


class InterpolateDefectsTask(Task[InterpolateDefectsConfig]):
    """Replace bad pixels by the best linear estimate from the good ones within three pixels.

    Where none is near, straight lines bridge the gap; see `etendue.kernels.psf_interpolate`. What is replaced gets
    INTRP: it is no measurement.
    """

    def run(self, exposure: Exposure, *, fwhm: float | None = None) -> Exposure:
        """Interpolate.

        Parameters
        ----------
        exposure : Exposure
            With mask and variance.
        fwhm : float, optional
            Width of stars [px]; that of the exposure's PSF, or ``fwhm_px``, by default.

        Returns
        -------
        Exposure
            With new pixels and plane INTRP; bad pixels with no good one near stay as they are.
        """
        config = self.config
        if fwhm is None:
            fwhm = config.fwhm_px if exposure.psf is None else exposure.fwhm
        wanted = exposure.mask.any_of(config.planes) & ~exposure.mask.any_of(("NO_DATA",))
        bad = wanted | exposure.mask.any_of(config.unread_planes) | ~np.isfinite(exposure.image.array)
        image, variance = exposure.image.array.copy(), exposure.variance.array.copy()
        done = interpolate_stars(image, variance, bad, fwhm=fwhm, wanted=wanted, noise=config.noise, reach=config.reach)
        mask = exposure.mask.with_plane("INTRP", done)
        return exposure.replace(image=Image(image, exposure.bbox), mask=mask, variance=Image(variance, exposure.bbox))
