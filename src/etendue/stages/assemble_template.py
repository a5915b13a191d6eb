"""Combine the best visits of a patch into the template of difference imaging."""

from etendue.stages.assemble_coadd import AssembleCoadd, AssembleCoaddStageConfig
from etendue.stages.stage import Output


class AssembleTemplateConfig(AssembleCoaddStageConfig):
    """Configuration of `AssembleTemplate`."""

    best_fraction: float = 1.0 / 3.0
    """The best third of the visits, as LSST's templates."""


class AssembleTemplate(AssembleCoadd):
    """Combine the visits of the best seeing; otherwise as `AssembleCoadd`."""

    config_class = AssembleTemplateConfig
    coadd = Output("template_coadd", ("skymap", "tract", "patch", "band"), "EtendueExposure")
