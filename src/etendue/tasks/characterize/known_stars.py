"""Tell which detections a reference catalog knows, before the exposure has a WCS to rely on."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.geom.sphere import tangent_plane
from etendue.image.exposure import Exposure
from etendue.log import get_logger
from etendue.refcat.sample import ReferenceSample
from etendue.tasks.match.pattern import MatchPatternConfig, MatchPatternTask
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]

_log = get_logger(__name__)
_ARCSEC = 3600.0


class KnownStarsConfig(TaskConfig):
    """Choices of the match."""

    pattern: MatchPatternConfig = MatchPatternConfig()
    """Pattern match of detections and catalog."""

    min_reference: int = Field(10, ge=3)
    """With fewer stars of the catalog nothing is matched."""


class KnownStarsTask(Task[KnownStarsConfig]):
    """Match detections to the stars of a catalog by their pattern; one that does not match is no error here."""

    def run(
        self, *, exposure: Exposure, x: Real, y: Real, brightness: Real, reference: ReferenceSample
    ) -> NDArray[np.int64]:
        """Match detections.

        Parameters
        ----------
        exposure : Exposure
            With an approximate WCS.
        x, y, brightness : ndarray, float64, shape (n,)
            Places [px] of detections, and what ranks them.
        reference : ReferenceSample
            Stars on and around the exposure.

        Returns
        -------
        ndarray, int64, shape (n,)
            Row of the catalog of each detection; -1 where there is none, or no pattern was found.
        """
        rows = np.full(x.size, -1, np.int64)
        if exposure.wcs is None or len(reference) < self.config.min_reference:
            return rows
        wcs = exposure.wcs
        seen = np.stack(wcs.pixel_to_plane(x=x, y=y), axis=1) * _ARCSEC
        sky = {"ra0_deg": wcs.crval[0], "dec0_deg": wcs.crval[1]}
        plane = np.stack(tangent_plane(ra_deg=reference.ra_deg, dec_deg=reference.dec_deg, **sky), axis=1) * _ARCSEC
        there = np.flatnonzero(np.isfinite(plane).all(axis=1))
        fluxes = reference.flux_in(exposure.band)
        rank = np.ones(there.size) if fluxes is None else fluxes[0][there]
        task = MatchPatternTask(self.config.pattern.at_least(float(wcs.pixel_scale())))
        try:
            match = task.run(source=seen, source_flux=brightness, reference=plane[there], reference_flux=rank)
        except AlgorithmError as error:
            _log.info("stars of the PSF are told by size alone: %s", error)
            return rows
        rows[match.source] = there[match.reference]
        return rows
