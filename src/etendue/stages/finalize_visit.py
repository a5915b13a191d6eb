"""Apply the joint calibration to one detector of a visit."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.photo_calib import PhotoCalib
from etendue.stages.stage import Input, Output, Stage, StageConfig
from etendue.stages.with_visit_sky import measured_again, with_visit_sky
from etendue.table.table import Table
from etendue.tasks.astrometry.joint_calibration import ExposureCalibration, JointCalibration
from etendue.tasks.characterize.characterize import CharacterizeConfig
from etendue.tasks.match.sky import MatchSkyConfig, MatchSkyTask


class FinalizeVisitConfig(StageConfig):
    """Configuration of `FinalizeVisit`."""

    match: MatchSkyConfig = MatchSkyConfig()
    """Match of the sources to the isolated stars; its radius is at least half a pixel."""

    use_visit_sky: bool = False
    """Put the sky that `MeasureVisitSky` fitted to all detectors in place of each one's own, which takes light of
    objects as large as a detector, and measure again."""

    measure_again: CharacterizeConfig = CharacterizeConfig(
        subtract_background=False, fit_psf=False, find_cosmic_rays=False, find_streaks=False
    )
    """How."""


@dataclass(frozen=True)
class FinalizeVisitResult:
    """The calibrated image and its sources."""

    visit_image: Exposure
    source: Table


class FinalizeVisit(Stage[FinalizeVisitConfig]):
    """Give a preliminary image its final WCS and flux scale, and its sources theirs.

    Positions and fluxes were measured on the same pixels before, so they are transformed and not measured again, unless
    the sky of the visit takes the place of the detector's.
    """

    dimensions = ("instrument", "visit", "detector")
    exposure = Input("preliminary_visit_image", ("instrument", "visit", "detector"), "EtendueExposure")
    stars = Input("single_visit_star", ("instrument", "visit", "detector"), "EtendueTable")
    calibrations = Input("joint_calibration", ("instrument", "skymap", "tract"), "EtendueCalibration", multiple=True)
    isolated_stars = Input("isolated_star", ("instrument", "skymap", "tract"), "EtendueTable", multiple=True)
    visit_sky = Input("visit_sky", ("instrument", "visit"), "EtendueJson", switch="use_visit_sky")
    visit_image = Output("visit_image", ("instrument", "visit", "detector"), "EtendueExposure")
    source = Output("source", ("instrument", "visit", "detector"), "EtendueTable")

    def run(
        self,
        *,
        exposure: Exposure,
        stars: Table,
        calibrations: tuple[JointCalibration, ...],
        isolated_stars: tuple[Table, ...],
        visit_sky: dict[str, Any] | None = None,
    ) -> FinalizeVisitResult:
        """Calibrate with the solution, of all tracts that the image overlaps, that rests on the most stars.

        Raises
        ------
        AlgorithmError
            If no solution, or no sky of the visit, holds this exposure.
        """
        visit = exposure.visit_info.visit if exposure.visit_info else 0
        solutions = [c.get(visit=visit, detector=exposure.detector) for c in calibrations
                     if (visit, exposure.detector) in c]  # fmt: skip
        if not solutions:
            raise AlgorithmError("no joint calibration holds this exposure", visit=visit, detector=exposure.detector)
        best = max(solutions, key=lambda solution: solution.n_stars_astrometry)
        if visit_sky is not None:
            exposure, stars = measured_again(with_visit_sky(exposure, visit_sky), stars, self.config.measure_again)
        preliminary = exposure.photo_calib or PhotoCalib(scale=1.0)
        image = calibrated(exposure, best)
        source = self._source(stars, image, preliminary, best, isolated_stars)
        return FinalizeVisitResult(visit_image=image, source=source)

    def _source(
        self,
        stars: Table,
        image: Exposure,
        preliminary: PhotoCalib,
        best: ExposureCalibration,
        isolated_stars: tuple[Table, ...],
    ) -> Table:
        x, y = np.asarray(stars["x"]), np.asarray(stars["y"])
        ratio = best.photo_calib.scale_at(x=x, y=y) / preliminary.scale_at(x=x, y=y)
        ra, dec = best.wcs.pixel_to_sky(x=x, y=y)
        fluxes = {name: np.asarray(stars[name]) * ratio for name in stars.names if _is_flux(name)}
        catalog = Table.concat(isolated_stars)
        match = self.config.match.at_least(
            0.5 * float(best.wcs.pixel_scale(x=image.bbox.x.center, y=image.bbox.y.center))
        )
        matches = MatchSkyTask(match).run(ra1_deg=ra, dec1_deg=dec, ra2_deg=catalog["ra"], dec2_deg=catalog["dec"])
        star = np.zeros(len(stars), np.int64)
        star[matches.first] = catalog["isolated_star_id"][matches.second]
        columns = {name: stars[name] for name in stars.names} | fluxes
        columns |= {"ra": ra, "dec": dec, "isolated_star_id": star}
        return Table("source", columns)


def _is_flux(name: str) -> bool:
    of_source = name.endswith(("Flux", "FluxErr")) and "_inst" not in name  # LSST's instFlux stays in image units
    return of_source or name in ("sky", "skyErr")


def calibrated(exposure: Exposure, best: ExposureCalibration) -> Exposure:
    """Return an image in nJy, with the numbers that later stages need without reading pixels.

    Parameters
    ----------
    exposure : Exposure
        In electrons, with the facts of `CalibrateImage`.
    best : ExposureCalibration
        Its WCS and flux scale.

    Returns
    -------
    Exposure
    """
    scale: np.ndarray | np.float32 = np.float32(best.photo_calib.scale)
    if best.photo_calib.spatial is not None:
        rows, columns = np.indices(exposure.bbox.shape)
        scale = best.photo_calib.scale_at(x=columns + exposure.bbox.x.start, y=rows + exposure.bbox.y.start)
        scale = scale.astype(np.float32)
    return exposure.replace(
        image=Image(exposure.image.array * scale, exposure.bbox),
        variance=Image(exposure.variance.array * scale * scale, exposure.bbox),
        wcs=best.wcs,
        photo_calib=best.photo_calib,
        background=None,
        unit="nJy",
        metadata={**exposure.metadata, **_facts(exposure, best)},
    )


def _facts(exposure: Exposure, best: ExposureCalibration) -> dict[str, float | int | None]:
    """Return the numbers that later stages and the visit summary need without reading pixels."""
    scale = best.wcs.pixel_scale(x=exposure.bbox.x.center, y=exposure.bbox.y.center)
    fwhm = None if exposure.psf is None else exposure.fwhm * float(np.squeeze(scale))
    return {
        "fwhm_arcsec": fwhm,
        "sky_noise_njy": exposure.metadata["sky_noise_electron"] * best.photo_calib.scale,
        "n_astrometry_star": best.n_stars_astrometry,
        "n_photometry_star": best.n_stars_photometry,
        "astrometric_rms_arcsec": best.astrometric_rms_arcsec,
        "photometric_rms_mag": best.photometric_rms_mag,
    }
