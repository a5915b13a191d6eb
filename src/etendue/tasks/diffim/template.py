"""Bring a template to the pixels of a science image."""

from collections.abc import Iterable

from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.tasks.task import Task
from etendue.tasks.warp.mosaic import mosaic
from etendue.tasks.warp.warp import WarpConfig, WarpTask


class WarpTemplateTask(Task[WarpConfig]):
    """Resample the patches of a template coadd onto a science image and put them together."""

    def run(self, *, science: Exposure, patches: Iterable[Exposure]) -> Exposure:
        """Resample ``patches`` to the WCS and box of ``science``.

        Raises
        ------
        AlgorithmError
            If no patch overlaps the image.
        """
        task = WarpTask(self.config)
        assert science.wcs is not None
        warps = (task.run(exposure=patch, wcs=science.wcs, bbox=science.bbox) for patch in patches)
        usable = [warp for warp in warps if not warp.mask.any_of(("NO_DATA",)).all()]
        if not usable:
            raise AlgorithmError("no template overlaps the image")
        return mosaic(usable)
