"""Catalogs of single exposures of a survey."""

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.catalogs.depth import Depth, njy
from etendue.simulate.catalogs.expected import Expected
from etendue.simulate.catalogs.extents import extents, point_fraction
from etendue.simulate.catalogs.false_detections import draw_false
from etendue.simulate.catalogs.footprint import Footprint, focal_plane_wcs
from etendue.simulate.catalogs.rows import Frame
from etendue.simulate.catalogs.summary import visit_summary
from etendue.simulate.catalogs.template_flux import MOVING, VARYING, TemplateFlux
from etendue.simulate.catalogs.trails import psf_fraction
from etendue.simulate.catalogs.visit import KEYS, Visit, VisitCatalog
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.population.layer import kind_of
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment
from etendue.simulate.random_streams import stream
from etendue.simulate.surveys.catalog_spec import CatalogSpec, FalseSpec
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.telescope.true_wcs import TrueWcs
from etendue.table.table import Table

Vector = NDArray[np.float64]

_MARGIN_DEG = 0.02
_MARGIN_SCALE = 1.02  # true over nominal plate scale, and distortion, at most
_CHANGING = VARYING + MOVING


class CatalogMaker:
    """Makes the catalogs of any exposure of a survey, each alone.

    Parameters
    ----------
    survey : Survey
        The survey.
    spec : CatalogSpec, optional
        How deep, exact and clean; by default what the survey says.
    """

    def __init__(self, survey: Survey, spec: CatalogSpec | None = None):
        self.survey = survey
        self.spec = spec or survey.spec.catalog or CatalogSpec()
        self.footprint = Footprint.of(survey)
        self._reach_deg = survey.reach_deg * _MARGIN_SCALE + _MARGIN_DEG
        noises = [amplifier.read_noise for detector in survey.detectors for amplifier in detector.amplifiers]
        self._read_variance = float(np.mean(np.square(noises)))
        self._axis = survey.detectors[0]
        self._templates = TemplateFlux(survey, self.spec)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tables that are made."""
        return tuple(name for name in KEYS if getattr(self.spec, name))

    def depth(self, exposure: PlannedExposure) -> Depth:
        """Return the depth of an exposure.

        Parameters
        ----------
        exposure : PlannedExposure
            One of the survey's exposures.

        Returns
        -------
        Depth
        """
        return Depth.of(self.survey, self.spec, exposure, self._read_variance)

    def make(self, exposure: PlannedExposure) -> dict[str, VisitCatalog]:
        """Make the catalogs of an exposure; nothing of any other exposure is needed.

        Parameters
        ----------
        exposure : PlannedExposure
            One of the survey's exposures.

        Returns
        -------
        dict of str to VisitCatalog
            By table.
        """
        wcs, depth = focal_plane_wcs(self.survey, exposure, self._axis), self.depth(exposure)
        lights = self._lights(exposure)
        return {name: self._catalog(name, exposure, wcs, depth, lights) for name in self.names}

    def summary(self, exposure: PlannedExposure) -> Table:
        """Return the visit summary of an exposure.

        Parameters
        ----------
        exposure : PlannedExposure
            One of the survey's exposures.

        Returns
        -------
        Table
            ``visit_summary``, one row per detector.
        """
        wcs, depth = focal_plane_wcs(self.survey, exposure, self._axis), self.depth(exposure)
        return visit_summary(self.survey, self._frame(exposure, wcs, depth), wcs, depth)

    def _lights(self, exposure: PlannedExposure) -> Lights:
        """Return all that shines on the focal plane; what neither moves nor varies only if something needs it."""
        still = self.spec.source or _needs_stars(self.spec.false_dia_source)
        moment = Moment(
            self.survey.bandpasses[exposure.band], exposure.mjd_tai_mid, exposure.exposure_time_s, exposure.ra_deg,
            exposure.dec_deg, self._reach_deg, self.survey.camera.observatory,
        )  # fmt: skip
        none = np.zeros(0)
        seen = [layer.lights(moment) for layer in self.survey.layers if still or layer.name in _CHANGING]
        return Lights.concat([Lights.points(np.zeros(0, np.int64), none, none, none, none), *seen])

    def _catalog(
        self, name: str, exposure: PlannedExposure, wcs: TrueWcs, depth: Depth, lights: Lights
    ) -> VisitCatalog:
        changes = name == "dia_source"
        false_spec = self.spec.false_dia_source if changes else self.spec.false_source
        false = draw_false(
            stream(self.survey.seed, f"{name} false", exposure.exposure), false_spec, self.footprint,
            depth.psf.sigma_arcsec, (self.spec.detection_snr, self.spec.completeness_width_mag),
            _bright_stars(lights, wcs, self.footprint, false_spec), both_signs=changes,
        )  # fmt: skip
        if changes:
            lights = lights.take(np.isin(kind_of(lights.object_id), _CHANGING))
        visit = Visit(name, self.spec, self.survey.seed, self.footprint, wcs, depth, self._frame(exposure, wcs, depth))
        return visit.catalog(self._expected(lights, exposure, wcs, depth, changes=changes), false)

    def _expected(
        self, lights: Lights, exposure: PlannedExposure, wcs: TrueWcs, depth: Depth, *, changes: bool
    ) -> Expected:
        """Return what objects send to the focal plane, without noise and apart from each other."""
        fx, fy = wcs.sky_to_field(ra_deg=lights.ra_deg, dec_deg=lights.dec_deg)
        near = np.flatnonzero(np.hypot(fx, fy) < self._reach_deg)
        lights, fx, fy = lights.take(near), fx[near], fy[near]
        sigma, moments = depth.psf.sigma_arcsec, extents(lights)
        length = np.hypot(lights.rate_ra, lights.rate_dec) * exposure.exposure_time_s / 3600.0
        template = self._templates.of(lights.object_id, exposure.band) if changes else np.zeros(len(lights))
        flux = njy(lights.mag) - template
        return Expected(
            object_id=lights.object_id, kind=np.zeros(len(lights), np.int8), field_x=fx, field_y=fy, flux=flux,
            psf_flux=flux * psf_fraction(length / sigma) * point_fraction(moments, sigma), template=template,
            length_arcsec=length, bearing_deg=np.degrees(np.arctan2(lights.rate_ra, lights.rate_dec)) % 180.0,
            moments=moments.T, snr=np.full(len(lights), np.nan),
        )  # fmt: skip

    def _frame(self, exposure: PlannedExposure, wcs: TrueWcs, depth: Depth) -> Frame:
        axes = wcs.pixels_per_arcsec(x=np.zeros(1), y=np.zeros(1))[0]
        names = (entry.physical_filter for entry in self.survey.camera.filters if entry.band == exposure.band)
        return Frame(
            exposure, next(names, ""), self.footprint, axes / np.sqrt(abs(np.linalg.det(axes))),
            self.survey.camera.plate_scale, depth.psf.sigma_arcsec,
        )  # fmt: skip


def _needs_stars(spec: FalseSpec) -> bool:
    return spec.near_star_fraction + spec.dipole_fraction > 0.0


def _bright_stars(lights: Lights, wcs: TrueWcs, footprint: Footprint, spec: FalseSpec) -> tuple[Vector, Vector, Vector]:
    """Return field angles and fluxes of the bright points that neither move nor vary."""
    if not _needs_stars(spec):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    bright = (lights.mag < spec.star_mag) & (lights.shape < 0)
    bright &= ~np.isin(kind_of(lights.object_id), _CHANGING)
    stars = lights.take(bright)
    fx, fy = wcs.sky_to_field(ra_deg=stars.ra_deg, dec_deg=stars.dec_deg)
    on = footprint.find(fx, fy)[0] >= 0
    return fx[on], fy[on], njy(stars.mag[on])
