"""Subtract a template that somebody else made from a visit image."""

from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.stages.stage import DatasetHandle, Prerequisite
from etendue.stages.subtract_images import SubtractImages, SubtractImagesConfig
from etendue.tasks.diffim.align_template import AlignTemplateConfig, AlignTemplateTask
from etendue.tasks.diffim.scale_template import ScaleTemplateConfig, ScaleTemplateTask
from etendue.tasks.diffim.subtract import SubtractConfig
from etendue.tasks.diffim.template import WarpTemplateTask


class SubtractExternalConfig(SubtractImagesConfig):
    """Configuration of `SubtractExternal`."""

    subtract: SubtractConfig = SubtractConfig(measure_noise=True)
    """Matching and noise."""

    align: AlignTemplateConfig = AlignTemplateConfig()
    """Shift of the template to the science image."""

    scale: ScaleTemplateConfig = ScaleTemplateConfig()
    """Flux scale of the template."""


class SubtractExternal(SubtractImages):
    """Warp an external template onto the visit, put it on the visit's flux scale, match its PSF, subtract, detect.

    What is unknown of such a template is found from the stars that both images show: a shift of its WCS and its zero
    point; the matching kernel does the rest. Its noise is measured on the difference.
    """

    config_class = SubtractExternalConfig
    config: SubtractExternalConfig
    templates = Prerequisite(  # type: ignore[assignment]
        "external_template", ("instrument", "band"), "EtendueExposure", multiple=True, deferred=True, minimum=0
    )

    def warped(self, image: Exposure, templates: tuple[DatasetHandle, ...]) -> Exposure:
        """Return the template of the image's band on its pixels, aligned and scaled.

        Raises
        ------
        AlgorithmError
            If there is no template in this band, it does not overlap, or the two share too few stars.
        """
        mine = [handle for handle in templates if handle.data_id["band"] == image.band]
        if not mine:
            raise AlgorithmError("no template in this band", band=image.band)
        warp, original = WarpTemplateTask(self.config.warp), mine[0].get()
        first = warp.run(science=image, patches=[original])
        moved = AlignTemplateTask(self.config.align).run(science=image, warped=first, template=original)
        template = first if moved is original else warp.run(science=image, patches=[moved])
        return ScaleTemplateTask(self.config.scale).run(science=image, template=template)
