"""Put a template of unknown zero point on the flux scale of a science image."""

import numpy as np
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.tasks.diffim.common_stars import isolated_stars, psf_sigma, stamps
from etendue.tasks.task import Task, TaskConfig


class ScaleTemplateConfig(TaskConfig):
    """Stars and aperture."""

    min_snr: float = Field(30.0, gt=0.0)
    """Faintest star of the template."""

    max_stars: int = Field(200, ge=5)
    """Brightest stars used."""

    min_stars: int = Field(5, ge=3)
    """Fewer stars are a failure."""

    radius: float = Field(4.0, gt=1.0)
    """Radius of the apertures, in sigma of the science PSF."""

    default_sigma: float = Field(1.0, gt=0.0)
    """Width of the PSF where there is none [px]."""

    bad_planes: tuple[str, ...] = ("NO_DATA", "SAT", "BAD", "CR", "EDGE")
    """Planes whose pixels spoil a star."""


class ScaleTemplateTask(Task[ScaleTemplateConfig]):
    """Multiply a template by the median ratio of aperture fluxes of the stars that both images show.

    The matching kernel fits the ratio that is left; it needs noise and fluxes of both images in one unit before that.
    """

    def run(self, *, science: Exposure, template: Exposure) -> Exposure:
        """Return ``template`` in the unit of ``science``.

        Parameters
        ----------
        science, template : Exposure
            Background-subtracted, on the same box; the template in any unit.

        Returns
        -------
        Exposure

        Raises
        ------
        AlgorithmError
            If too few stars are positive on both.
        """
        config = self.config
        sigma = psf_sigma(science, config.default_sigma)
        half = int(np.ceil(config.radius * sigma)) + 2
        col, row = isolated_stars(
            template, sigma=sigma, min_snr=config.min_snr, half=half, bad_planes=config.bad_planes,
            most=4 * config.max_stars,
        )  # fmt: skip
        bad = stamps(science.mask.any_of(config.bad_planes), col, row, half).any(axis=(1, 2))
        col, row = col[~bad][: config.max_stars], row[~bad][: config.max_stars]
        offset = np.arange(-half, half + 1)
        radius = np.hypot(offset[:, None], offset)
        inside, ring = radius <= config.radius * sigma, radius > config.radius * sigma
        fluxes = []
        for exposure in (science, template):
            cut = stamps(exposure.image.array, col, row, half).astype(float)
            sky = np.median(cut[:, ring], axis=1)
            fluxes.append((cut[:, inside] - sky[:, None]).sum(axis=1))
        good = np.isfinite(fluxes).all(axis=0) & (fluxes[0] > 0.0) & (fluxes[1] > 0.0)
        if int(good.sum()) < config.min_stars:
            raise AlgorithmError("too few stars in common with the template", stars=int(good.sum()))
        ratio = np.float32(np.median(fluxes[0][good] / fluxes[1][good]))
        return template.replace(
            image=Image(template.image.array * ratio, template.bbox),
            variance=Image(template.variance.array * ratio * ratio, template.bbox),
            unit=science.unit,
            photo_calib=science.photo_calib,
        )
