"""Combine the warps of a patch into coadds."""

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.log import get_logger
from etendue.stages.stage import DatasetHandle, Input, Output, Stage, StageConfig
from etendue.tasks.coadd.coadd import AssembleCoaddConfig, AssembleCoaddTask
from etendue.tasks.detect.detect import DetectConfig, DetectTask
from etendue.tasks.psf.psf import FitPsfConfig, FitPsfTask

_log = get_logger(__name__)


class AssembleCoaddStageConfig(StageConfig):
    """Configuration of `AssembleCoadd` and `AssembleTemplate`."""

    coadd: AssembleCoaddConfig = AssembleCoaddConfig()
    """Weights and rejection."""

    detect: DetectConfig = DetectConfig(threshold_snr=10.0)
    """Detection of the stars for the PSF."""

    psf: FitPsfConfig = FitPsfConfig()
    """PSF of the coadd, fitted to its own stars."""

    best_fraction: float = Field(1.0, gt=0.0, le=1.0)
    """Fraction of the visits, those of the best seeing, that is used."""

    minimum_visits: int = Field(12, ge=1)
    """But no fewer visits than this, if there are as many."""


@dataclass(frozen=True)
class AssembleCoaddResult:
    """The coadd."""

    coadd: Exposure


class AssembleCoadd(Stage[AssembleCoaddStageConfig]):
    """Combine the visits of a patch in one band, and fit the PSF of the result."""

    dimensions = ("skymap", "tract", "patch", "band")
    warps = Input(
        "direct_warp", ("instrument", "visit", "skymap", "tract", "patch"), "EtendueExposure",
        multiple=True, deferred=True,
    )  # fmt: skip
    coadd = Output("deep_coadd", ("skymap", "tract", "patch", "band"), "EtendueExposure")

    def run(self, *, warps: tuple[DatasetHandle, ...], data_id: dict[str, int | str]) -> AssembleCoaddResult:
        """Combine the warps in the quantum's band.

        Raises
        ------
        AlgorithmError
            If there is none, or none has usable pixels.
        """
        chosen = [warp for warp in warps if warp.data_id.get("band", data_id["band"]) == data_id["band"]]
        if not chosen:
            raise AlgorithmError("no warp in this band", band=data_id["band"])
        coadd = AssembleCoaddTask(self.config.coadd).run(warps=self._best(chosen))
        return AssembleCoaddResult(coadd=self._with_psf(coadd))

    def _best(self, warps: list[DatasetHandle]) -> list[DatasetHandle]:
        """Return the warps of the best seeing, in order of visit."""
        number = max(round(self.config.best_fraction * len(warps)), self.config.minimum_visits)
        if number >= len(warps):
            return warps
        seeing = [float(warp.get(component="metadata").get("fwhm_arcsec", np.inf)) for warp in warps]
        return [warps[k] for k in sorted(np.argsort(seeing, kind="stable")[:number])]

    def _with_psf(self, coadd: Exposure) -> Exposure:
        """Fit the PSF; a patch without enough stars stays without one, and later steps say so."""
        try:
            found = DetectTask(self.config.detect).run(exposure=coadd)
            fit = FitPsfTask(self.config.psf).run(exposure=coadd, x=found.x, y=found.y, snr=found.peak_snr)
        except AlgorithmError as error:
            _log.warning("coadd has no PSF: %s", error)
            return coadd
        return coadd.replace(psf=fit.psf)
