"""Calibrate the positions and fluxes of all visits of a tract together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from etendue.errors import AlgorithmError
from etendue.geom.horizon import toward_zenith
from etendue.geom.ids import object_ids
from etendue.image.photo_calib import PhotoCalib
from etendue.log import get_logger
from etendue.refcat.sample import ReferenceSample
from etendue.stages.stage import DatasetHandle, Input, Output, Prerequisite, Stage, StageConfig
from etendue.table.table import Table
from etendue.tasks.astrometry.align import AlignExposuresConfig, AlignExposuresTask
from etendue.tasks.astrometry.exposure_stars import ExposureStars
from etendue.tasks.astrometry.isolated_star import IsolatedStarConfig, IsolatedStars, IsolatedStarTask
from etendue.tasks.astrometry.joint import JointAstrometryConfig, JointAstrometryResult, JointAstrometryTask
from etendue.tasks.astrometry.joint_calibration import ExposureCalibration, JointCalibration
from etendue.tasks.match.sky import MatchSkyConfig, MatchSkyTask
from etendue.tasks.photometry.joint import JointPhotometryConfig, JointPhotometryResult, JointPhotometryTask

_log = get_logger(__name__)


class JointCalibrateConfig(StageConfig):
    """Configuration of `JointCalibrate`."""

    isolated_star: IsolatedStarConfig = IsolatedStarConfig()
    """Association of stars over visits."""

    astrometry: JointAstrometryConfig = JointAstrometryConfig()
    """Joint astrometric solution."""

    photometry: JointPhotometryConfig = JointPhotometryConfig()
    """Joint photometric solution, band by band."""

    flux_column: str = "calibFlux"
    """Fluxes that are calibrated; they must be on the scale of total fluxes."""

    align: AlignExposuresConfig = AlignExposuresConfig()
    """Alignment of the headers' WCSs with each other, where no reference catalog has done it."""

    match: MatchSkyConfig = MatchSkyConfig()
    """Match of the isolated stars to the reference catalog; its radius is at least half a pixel."""

    bad_flags: tuple[str, ...] = (
        "psfFlux_flag", "centroid_flag", "pixelFlags_saturated", "pixelFlags_interpolatedCenter",
        "pixelFlags_crCenter", "pixelFlags_bad", "pixelFlags_edge", "pixelFlags_nodata", "pixelFlags_suspectCenter",
    )  # fmt: skip
    """Flags that keep a measurement out of the solutions."""

    max_extendedness: float = 0.5
    """Sources beyond this are not stars."""


@dataclass(frozen=True)
class JointCalibrateResult:
    """Calibrations of all exposures, and the stars that they share."""

    calibration: JointCalibration
    isolated_stars: Table


@dataclass(frozen=True)
class _Exposures:
    """What the solutions need of every exposure, in the order of the isolated stars."""

    stars: tuple[ExposureStars, ...]
    scales: tuple[PhotoCalib, ...]
    bands: NDArray[np.str_]
    toward_zenith: NDArray[np.float64] | None = None  # (n, 2), where refraction is fitted


@dataclass(frozen=True)
class _BandSolution:
    """The photometric solution of one band."""

    band: str
    exposures: NDArray[np.int64]  # of this band, among all
    measurements: NDArray[np.int64]  # of these exposures, among all
    solution: JointPhotometryResult


class JointCalibrate(Stage[JointCalibrateConfig]):
    """Match the stars of all visits, then solve every WCS and zero point together with the stars.

    With a reference catalog the solutions are anchored to it; without one positions keep the mean frame of the
    headers and fluxes the relative scale of the preliminary images.
    """

    dimensions = ("instrument", "skymap", "tract")
    stars = Input("single_visit_star", ("instrument", "visit", "detector"), "EtendueTable", multiple=True)
    images = Input(
        "preliminary_visit_image", ("instrument", "visit", "detector"), "EtendueExposure", multiple=True, deferred=True
    )
    reference = Prerequisite("refcat", ("htm7",), "EtendueTable", multiple=True, minimum=0)
    photometry_reference = Prerequisite("refcat_photometry", ("htm7",), "EtendueTable", multiple=True, minimum=0)
    calibration = Output("joint_calibration", ("instrument", "skymap", "tract"), "EtendueCalibration")
    isolated_stars = Output("isolated_star", ("instrument", "skymap", "tract"), "EtendueTable")

    def run(
        self,
        *,
        stars: tuple[Table, ...],
        images: tuple[DatasetHandle, ...],
        reference: tuple[Table, ...],
        photometry_reference: tuple[Table, ...] = (),
        data_id: dict[str, int | str],
    ) -> JointCalibrateResult:
        """Solve all exposures of a tract; of ``images`` only WCS and flux scale are read.

        Fluxes are anchored to ``photometry_reference``; to ``reference``, which anchors positions, without one.
        """
        exposures = self._exposures(stars, images)
        if not reference:
            aligned = AlignExposuresTask(self.config.align).run(exposures=exposures.stars)
            exposures = replace(exposures, stars=aligned.exposures)
        isolated = IsolatedStarTask(self.config.isolated_star).run(exposures=exposures.stars)
        anchors, standards = (
            self._anchors(isolated, shards, 0.5 * exposures.stars[0].pixel_scale, _mean_epoch(stars))
            for shards in (reference, photometry_reference or reference)
        )
        positions = self._solve_positions(isolated, exposures, anchors)
        bands = [self._solve_fluxes(isolated, exposures, standards, str(band)) for band in np.unique(exposures.bands)]
        if not any(fluxes.solution.solved.any() for fluxes in bands):
            raise AlgorithmError("in no band an exposure shares a star with another", exposures=len(exposures.stars))
        calibration = JointCalibration(
            tuple(_exposure_calibrations(exposures, positions, bands)),
            positions.floor_arcsec,
            max((fluxes.solution.floor_mag for fluxes in bands), default=0.0),
        )
        table = _isolated_star_table(isolated, positions, bands, int(data_id["tract"]))
        return JointCalibrateResult(calibration=calibration, isolated_stars=table)

    def _exposures(self, stars: tuple[Table, ...], images: tuple[DatasetHandle, ...]) -> _Exposures:
        handles = {(int(h.data_id["visit"]), int(h.data_id["detector"])): h for h in images}
        found, scales, bands = [], [], []
        for table in stars:
            if len(table) == 0:
                continue
            key = int(table["visit"][0]), int(table["detector"][0])
            found.append(
                ExposureStars.from_columns(
                    table,
                    visit=key[0],
                    detector=key[1],
                    wcs=handles[key].get(component="wcs"),
                    flux_column=self.config.flux_column,
                    bad_flags=self.config.bad_flags,
                    max_extendedness=self.config.max_extendedness,
                )
            )
            scales.append(handles[key].get(component="photo_calib"))
            bands.append(str(table["band"][0]))
        if not found:
            raise AlgorithmError("no stars on any exposure", exposures=len(stars))
        order = sorted(range(len(found)), key=lambda k: (found[k].visit, found[k].detector))
        ordered = tuple(found[k] for k in order)
        zenith = _toward_zenith(ordered, handles) if self.config.astrometry.fit_refraction else None
        return _Exposures(ordered, tuple(scales[k] for k in order), np.array([bands[k] for k in order]), zenith)

    def _anchors(
        self, isolated: IsolatedStars, reference: tuple[Table, ...], radius_arcsec: float, epoch_mjd: float | None
    ) -> ReferenceSample | None:
        """Return the reference catalog at an epoch, row by row with the isolated stars, NaN where one has none."""
        if not reference:
            return None
        sample = ReferenceSample.from_shards(reference, epoch_mjd=epoch_mjd)
        matches = MatchSkyTask(self.config.match.at_least(radius_arcsec)).run(
            ra1_deg=isolated.ra_deg, dec1_deg=isolated.dec_deg, ra2_deg=sample.ra_deg, dec2_deg=sample.dec_deg
        )
        row = np.full(isolated.n_stars, -1, np.int64)
        row[matches.first] = matches.second
        return sample.at(row)

    def _solve_positions(
        self, isolated: IsolatedStars, exposures: _Exposures, anchors: ReferenceSample | None
    ) -> JointAstrometryResult:
        task = JointAstrometryTask(self.config.astrometry)
        wcs = [stars.wcs for stars in exposures.stars]
        air: dict[str, NDArray] = {}
        if exposures.toward_zenith is not None:
            passband = np.unique(exposures.bands, return_inverse=True)[1]
            air = {"toward_zenith": exposures.toward_zenith, "passband": passband}
        if anchors is None:
            return task.run(stars=isolated, wcs=wcs, **air)
        return task.run(
            stars=isolated, wcs=wcs, ref_ra_deg=anchors.ra_deg, ref_dec_deg=anchors.dec_deg,
            ref_err_arcsec=anchors.err_arcsec, **air,
        )  # fmt: skip

    def _solve_fluxes(
        self, isolated: IsolatedStars, exposures: _Exposures, anchors: ReferenceSample | None, band: str
    ) -> _BandSolution:
        inside = np.flatnonzero(exposures.bands == band)
        rows = np.flatnonzero(np.isin(isolated.exposure, inside))
        reference = None if anchors is None else anchors.flux_in(band)
        known = {} if reference is None else {"ref_flux_njy": reference[0], "ref_flux_err_njy": reference[1]}
        try:
            solution = JointPhotometryTask(self.config.photometry).run(
                star=isolated.star[rows], exposure=np.searchsorted(inside, isolated.exposure[rows]),
                flux=isolated.flux[rows], flux_err=isolated.flux_err[rows], x=isolated.x[rows], y=isolated.y[rows],
                n_exposures=inside.size,
                n_stars=isolated.n_stars, **known,
            )  # fmt: skip
        except AlgorithmError as error:  # a single frame in this band must not cost the others
            _log.warning("band %s keeps the flux scale of its preliminary images: %s", band, error)
            solution = JointPhotometryResult.unsolved(
                n_exposures=inside.size, n_stars=isolated.n_stars, n_measurements=rows.size
            )
        return _BandSolution(band, inside, rows, solution)


def _mean_epoch(stars: tuple[Table, ...]) -> float | None:
    """Return the mean time of the exposures [MJD], None where none is known."""
    times = [float(table["midpointMjdTai"][0]) for table in stars if len(table)]
    known = [time for time in times if np.isfinite(time)]
    return float(np.mean(known)) if known else None


def _toward_zenith(
    stars: Sequence[ExposureStars], handles: dict[tuple[int, int], DatasetHandle]
) -> NDArray[np.float64]:
    """Return the direction to the zenith of each exposure, NaN where time or site is unknown."""
    found = []
    for one in stars:
        info = handles[one.visit, one.detector].get(component="visit_info")
        ra, dec = one.wcs.crval
        east, north = toward_zenith(
            ra, dec, mjd_tai=info.mjd_tai, longitude_deg=info.longitude_deg, latitude_deg=info.latitude_deg
        )
        found.append((float(east), float(north)))
    return np.array(found)


def _exposure_calibrations(
    exposures: _Exposures, positions: JointAstrometryResult, bands: Sequence[_BandSolution]
) -> list[ExposureCalibration]:
    """Put both solutions together; the flux correction applies on top of the preliminary scale."""
    found = []
    for fluxes in bands:
        solution = fluxes.solution
        for local, index in enumerate(fluxes.exposures):
            stars = exposures.stars[index]
            found.append(
                ExposureCalibration(
                    visit=stars.visit,
                    detector=stars.detector,
                    wcs=positions.wcs[index],
                    photo_calib=exposures.scales[index].times(solution.photo_calib[local]),
                    n_stars_astrometry=int(positions.n_stars[index]),
                    n_stars_photometry=int(solution.n_stars[local]),
                    astrometric_rms_arcsec=float(positions.rms_arcsec[index]),
                    photometric_rms_mag=float(solution.rms_mag[local]),
                )
            )
    return found


def _padded(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return values with NaN after the last."""
    return np.concatenate([values, np.full(n - values.size, np.nan)])


def _isolated_star_table(
    isolated: IsolatedStars, positions: JointAstrometryResult, bands: Sequence[_BandSolution], tract: int
) -> Table:
    ra, dec = positions.star_ra_deg, positions.star_dec_deg
    columns: dict[str, NDArray] = {
        "isolated_star_id": object_ids(ra, dec, tract, 0),
        "ra": ra,
        "dec": dec,
        "raErr": positions.star_err_arcsec / 3600.0,
        "decErr": positions.star_err_arcsec / 3600.0,
        "nSource": isolated.n_exposures_per_star(),
    }
    for number, fluxes in enumerate(bands):
        band, solution = fluxes.band, fluxes.solution
        if positions.refraction is not None:
            rows = slice(number * isolated.n_stars, (number + 1) * isolated.n_stars)
            columns[f"{band}_refraction"] = _padded(positions.refraction.arcsec[rows], isolated.n_stars)
            columns[f"{band}_refractionErr"] = _padded(positions.refraction.err_arcsec[rows], isolated.n_stars)
        used = fluxes.measurements[solution.used]
        flux = 10.0 ** (0.4 * (31.4 - solution.star_mag))
        columns[f"{band}_psfFlux"] = flux
        columns[f"{band}_psfFluxErr"] = flux * solution.star_err_mag * 0.4 * np.log(10.0)
        columns[f"{band}_nSource"] = np.bincount(isolated.star[used], minlength=isolated.n_stars)
    return Table("isolated_star", columns)
