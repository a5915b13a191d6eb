"""Measure positions, fluxes and shapes of the sources of an exposure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from etendue.errors import AlgorithmError, InputError
from etendue.image.exposure import Exposure
from etendue.image.footprint import FootprintSet
from etendue.image.psf import PixelBasisPsf, Psf, pixel_basis_of
from etendue.kernels.fisher import count_neighbours, fit_covariances
from etendue.kernels.photometry import stamp_chi2
from etendue.kernels.point_sources import PointSources, fit_point_sources, narrow_components
from etendue.kernels.source_light import draw_light
from etendue.tasks.measure.adaptive_shape import AdaptiveShapesConfig
from etendue.tasks.measure.apertures import AperturesConfig
from etendue.tasks.measure.centroids import SmoothedPeakConfig
from etendue.tasks.measure.deblend import DeblendConfig, DeblendTask
from etendue.tasks.measure.dipole import DipoleConfig
from etendue.tasks.measure.extendedness import ExtendednessConfig
from etendue.tasks.measure.gaap import GaapConfig
from etendue.tasks.measure.galaxies import GalaxiesConfig
from etendue.tasks.measure.held_models import HeldModelsConfig
from etendue.tasks.measure.kron import BlendednessConfig, KronConfig
from etendue.tasks.measure.light import SourceLight
from etendue.tasks.measure.local_background import LocalBackgroundConfig
from etendue.tasks.measure.measurement import REFERENCE, Columns, Measurement, checked, find_measurement
from etendue.tasks.measure.moments import MomentsConfig
from etendue.tasks.measure.pixel_flags import pixel_flags
from etendue.tasks.measure.point_fit import PointFit
from etendue.tasks.measure.scene import Scene
from etendue.tasks.measure.sersic import SersicConfig
from etendue.tasks.measure.source_columns import SourceColumns
from etendue.tasks.measure.trail import TrailConfig
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]


class MeasureConfig(TaskConfig):
    """Choices of the measurement."""

    measurements: tuple[str, ...] = ("apertures", "moments", "extendedness")
    """What is measured on each source alone, in this order; names of other packages' measurements too."""

    apertures: AperturesConfig = AperturesConfig()
    """Light in circles."""

    moments: MomentsConfig = MomentsConfig()
    """Second moments about the fitted position, a little smoothed: they also exist for undersampled stars."""

    hsm: AdaptiveShapesConfig = AdaptiveShapesConfig()
    """Second moments and shapes corrected for the PSF, as HSM defines them."""

    sdss_centroid: SmoothedPeakConfig = SmoothedPeakConfig()
    """Positions that need no model; after moments, which tell how wide sources are."""

    galaxies: GalaxiesConfig = GalaxiesConfig()
    """Fits of galaxy profiles."""

    held_models: HeldModelsConfig = HeldModelsConfig()
    """Fluxes of galaxy profiles with shapes of a reference band; where one is given."""

    sersic: SersicConfig = SersicConfig()
    """Fits of Sersic profiles; after ``galaxies``."""

    kron: KronConfig = KronConfig()
    """Kron fluxes."""

    gaap: GaapConfig = GaapConfig()
    """Gaussian-aperture fluxes for colours."""

    blendedness: BlendednessConfig = BlendednessConfig()
    """What part of the light around is the neighbours'."""

    extendedness: ExtendednessConfig = ExtendednessConfig()
    """Whether a source is broader than the PSF."""

    share_light: bool = True
    """Deblend extended sources and what is near them, where footprints are given."""

    deblend: DeblendConfig = DeblendConfig()
    """How."""

    trail: TrailConfig = TrailConfig()
    """Fits of trailed point sources; after moments."""

    dipole: DipoleConfig = DipoleConfig()
    """Fits of two point sources of opposite sign: for difference images."""

    local_background: LocalBackgroundConfig = LocalBackgroundConfig()
    """What is left of the sky in a ring around each source."""

    fit_radius: float = Field(2.5, gt=1.0)
    """Radius of the pixels fitted, in FWHM."""

    blend_radius: float = Field(2.5, gt=0.0)
    """Neighbours within this many FWHM enter the errors."""

    max_shift: float = Field(0.8, gt=0.0)
    """Farthest a fitted position may lie from the detected one, in FWHM along each axis."""

    softening: float = Field(0.01, ge=0.0)
    """Relative PSF error assumed when weighting, so that bright stars do not hang on their central pixel."""

    sweeps: tuple[int, ...] = (2, 2, 2)
    """Visits of every source per round: with sky weights, then with model weights and the local background."""

    sky_cell: int = Field(24, ge=0)
    """Cell side [px] of the local background, taken from the image minus all sources; 0 for none."""

    sky_significance: float = Field(2.5, ge=0.0)
    """Errors that it must exceed, in cells of this side or of four times it; 0 to subtract it as it is."""

    bad_planes: tuple[str, ...] = ("BAD", "SAT", "CR", "NO_DATA", "INTRP", "VIGNETTED")
    """Planes whose pixels are not used."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """The arrays of an exposure in the types of the kernels, and its PSF on a pixel basis."""

    variance: Real
    bad: NDArray[np.bool_]
    x0: int
    y0: int
    psf: PixelBasisPsf
    fwhm: float


class MeasureTask(Task[MeasureConfig]):
    """Joint PSF fit of all sources, then every measurement on each source alone, and flags.

    Parameters
    ----------
    config : MeasureConfig, optional
        All defaults when left out.
    extra : sequence of Measurement
        Measurements to run after the configured ones.
    """

    def __init__(self, config: MeasureConfig | None = None, *, extra: Sequence[Measurement[Any]] = ()):
        super().__init__(config)
        own = [(name, self._measurement(name)) for name in self.config.measurements]
        self.measurements = (*own, *((type(one).__name__, one) for one in extra))

    def _measurement(self, name: str) -> Measurement[Any]:
        """Return a measurement with its configuration; those of other packages have their defaults."""
        return find_measurement(name)(getattr(self.config, name, None))

    def run(
        self,
        *,
        exposure: Exposure,
        x: ArrayLike,
        y: ArrayLike,
        forced: bool = False,
        footprints: FootprintSet | None = None,
        reference: Mapping[str, NDArray[Any]] | None = None,
    ) -> SourceColumns:
        """Measure sources near, or in forced mode exactly at, given positions.

        Parameters
        ----------
        exposure : Exposure
            Background-subtracted, with PSF, variance and mask.
        x, y : array, shape (n,)
            Positions, parent pixels; NaN is not allowed.
        forced : bool
            Keep the positions; fit fluxes only.
        footprints : FootprintSet, optional
            Detected regions: extended sources and their neighbours share the light of theirs. Without them every
            source's neighbours are taken for stars.
        reference : mapping of str to ndarray, shape (n,), optional
            What was measured on the same sources in another band, on the same pixel grid: ``measured`` of its result.

        Returns
        -------
        SourceColumns
            Columns in the order given.

        Raises
        ------
        InputError
            If the exposure has no PSF or the positions are not finite columns of one length.
        AlgorithmError
            If the fluxes of overlapping sources diverge.
        """
        frame, start = self._frame(exposure), _positions(x, y)
        fit = self._fit(exposure, frame, start, forced, footprints)
        return self._columns(exposure, frame, fit, np.full(fit.x.size, not forced), start, footprints, reference)

    def fit(self, *, exposure: Exposure, x: ArrayLike, y: ArrayLike) -> PointFit:
        """Fit point sources together and measure nothing else.

        Parameters
        ----------
        exposure : Exposure
            As for `run`.
        x, y : array, shape (n,)
            First guesses, parent pixels.

        Returns
        -------
        PointFit

        Raises
        ------
        InputError, AlgorithmError
            As `run`.
        """
        frame = self._frame(exposure)
        fit = self._fit(exposure, frame, _positions(x, y), False, None)
        covariance = self._covariances(frame, fit, np.ones(fit.x.size, bool), _noise_factor(exposure, frame))
        with np.errstate(invalid="ignore"):
            error = np.sqrt(covariance[:, 0, 0])
        return PointFit(fit.x + frame.x0, fit.y + frame.y0, fit.flux, error, fit.residual)

    def _frame(self, exposure: Exposure) -> _Frame:
        if exposure.psf is None:
            raise InputError("exposure has no PSF", remedy="fit one first (FitPsfTask)")
        box = exposure.bbox
        psf = _on_pixel_basis(exposure.psf, exposure)
        bad = exposure.mask.any_of(self.config.bad_planes) | ~np.isfinite(exposure.image.array)
        variance = exposure.variance.array.astype(np.float64)
        variance[~np.isfinite(variance)] = 0.0
        return _Frame(
            variance,
            bad | ~(variance > 0),
            box.x.start,
            box.y.start,
            psf,
            float(psf.fwhm(x=box.x.center, y=box.y.center)[0]),
        )

    def _fit(
        self,
        exposure: Exposure,
        frame: _Frame,
        start: tuple[Real, Real],
        forced: bool,
        footprints: FootprintSet | None,
    ) -> PointSources:
        x, y = start

        def not_sky(fit: PointSources) -> NDArray[np.bool_]:
            assert footprints is not None
            scene = self._scene(exposure, frame, fit, np.zeros(x.size), forced=forced)
            return DeblendTask(self.config.deblend).extended_regions(scene, footprints)

        fit = fit_point_sources(
            exposure.image.array.astype(np.float64),
            frame.variance,
            frame.bad,
            components=frame.psf.components,
            terms=frame.psf.terms(x=x, y=y),
            step=frame.psf.step,
            size=frame.psf.size,
            x=x - frame.x0,
            y=y - frame.y0,
            free=np.full(x.size, not forced),
            radius=self.config.fit_radius * frame.fwhm,
            softening=self.config.softening,
            max_shift=self.config.max_shift * frame.fwhm,
            sweeps=self.config.sweeps,
            sky_cell=self.config.sky_cell,
            sky_significance=self.config.sky_significance * _level_inflation(exposure),
            not_sky=None if footprints is None else not_sky,
        )
        if fit.diverged:
            raise AlgorithmError("The fluxes of overlapping sources do not settle", sources=x.size)
        return fit

    def _covariances(self, frame: _Frame, fit: PointSources, free: NDArray[np.bool_], noise_factor: float) -> Real:
        radius = self.config.fit_radius * frame.fwhm
        half = int(np.ceil(radius)) + 1
        terms = frame.psf.terms(x=fit.x + frame.x0, y=fit.y + frame.y0)
        return noise_factor * fit_covariances(
            fit.weight_variance,
            frame.variance,
            narrow_components(frame.psf.components, frame.psf.step, half),
            terms,
            frame.psf.step,
            fit.x,
            fit.y,
            fit.flux,
            free,
            2 * half + 1,
            radius,
            self.config.softening,
            self.config.blend_radius * frame.fwhm,
        )

    def _columns(
        self,
        exposure: Exposure,
        frame: _Frame,
        fit: PointSources,
        free: NDArray[np.bool_],
        start: tuple[Real, Real],
        footprints: FootprintSet | None,
        reference: Mapping[str, NDArray[Any]] | None,
    ) -> SourceColumns:
        covariance = self._covariances(frame, fit, free, _noise_factor(exposure, frame))
        with np.errstate(invalid="ignore"):  # of sources that lie on each other
            psf_flux_err, x_err, y_err = np.sqrt(np.einsum("ijj->ji", covariance))
        failed = ~np.isfinite(psf_flux_err)
        flags = pixel_flags(exposure.mask, fit.x + frame.x0, fit.y + frame.y0, frame.fwhm)
        scene = self._scene(exposure, frame, fit, psf_flux_err, forced=not free.any())
        if footprints is not None and self.config.share_light:
            saturated = flags["pixelFlags_saturatedCenter"]
            scene = DeblendTask(self.config.deblend).run(scene, footprints, point=saturated, overwrite=True)
        here_x, here_y = scene.x + frame.x0, scene.y + frame.y0
        shift = self.config.max_shift * frame.fwhm
        stuck = (np.abs(here_x - start[0]) > 0.99 * shift) | (np.abs(here_y - start[1]) > 0.99 * shift)
        background = exposure.background
        return SourceColumns(
            x=here_x,
            y=here_y,
            x_err=x_err,
            y_err=y_err,
            xy_cov=covariance[:, 1, 2],
            psf_flux=scene.psf_flux,
            psf_flux_err=psf_flux_err,
            psf_flux_flag=failed,
            centroid_flag=failed | stuck | (free & ~np.isfinite(x_err)),
            psf_chi2_dof=scene.psf_chi2,
            sky=fit.sky + (background.at(x=here_x, y=here_y) if background else 0.0),
            n_neighbours=count_neighbours(scene.x, scene.y, self.config.blend_radius * frame.fwhm),
            pixel_flags=flags,
            measured=self._measured(scene, reference or {}),
        )

    def _chi2(self, frame: _Frame, fit: PointSources) -> Real:
        """Return the reduced chi-square of each source's fit."""
        half = frame.psf.size // 2
        x0, y0 = np.rint(fit.x).astype(np.int64) - half, np.rint(fit.y).astype(np.int64) - half
        radius = self.config.fit_radius * frame.fwhm
        chi2: Real = stamp_chi2(fit.residual, fit.weight_variance, x0, y0, frame.psf.size, radius, 3.0)
        return chi2

    def _scene(self, exposure: Exposure, frame: _Frame, fit: PointSources, flux_err: Real, *, forced: bool) -> Scene:
        return Scene(
            residual=fit.residual,
            variance=frame.variance,
            weight_variance=fit.weight_variance,
            slope=fit.slope,
            bad=frame.bad,
            x0=frame.x0,
            y0=frame.y0,
            light=self._light(frame, fit),
            x=fit.x,
            y=fit.y,
            psf_flux=np.where(np.isfinite(flux_err), fit.flux, np.nan),
            psf_flux_err=flux_err,
            psf_chi2=self._chi2(frame, fit),
            psf=frame.psf,
            fwhm=frame.fwhm,
            pixel_scale=_pixel_scale(exposure),
            noise=exposure.noise,
            forced=forced,
        )

    def _light(self, frame: _Frame, fit: PointSources) -> SourceLight:
        """Return what the fit subtracted of each source."""
        half = int(np.ceil(self.config.fit_radius * frame.fwhm)) + 1
        offset = np.concatenate([[0], np.cumsum(fit.side**2)])
        value = draw_light(
            frame.psf.components, narrow_components(frame.psf.components, frame.psf.step, half),
            frame.psf.terms(x=fit.x + frame.x0, y=fit.y + frame.y0), frame.psf.step, fit.x, fit.y, fit.flux, fit.side,
            offset, frame.psf.size,
        )  # fmt: skip
        x0, y0 = np.rint(fit.x).astype(np.int64) - fit.side // 2, np.rint(fit.y).astype(np.int64) - fit.side // 2
        return SourceLight(value, offset, x0, y0, fit.side, fit.side)

    def _measured(self, scene: Scene, reference: Mapping[str, NDArray[Any]]) -> Columns:
        """Run all measurements, each of which sees what those before it found, and a reference band."""
        known: Columns = {}
        other = checked("reference", {REFERENCE + name: value for name, value in reference.items()}, len(scene))
        for name, one in self.measurements:
            known |= checked(name, one.run(scene, {**other, **known}), len(scene))
        return known


def _positions(x: ArrayLike, y: ArrayLike) -> tuple[Real, Real]:
    """Return positions as columns, if they are finite and of one length."""
    x, y = np.atleast_1d(np.asarray(x, np.float64)), np.atleast_1d(np.asarray(y, np.float64))
    if x.shape != y.shape or x.ndim != 1 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("positions must be finite columns of one length", value=(x.shape, y.shape))
    return x, y


def _on_pixel_basis(psf: Psf, exposure: Exposure) -> PixelBasisPsf:
    """Sample a PSF that is not on a pixel basis at 5 x 5 positions, or at one if it is constant."""
    if isinstance(psf, PixelBasisPsf):
        return psf
    box = exposure.bbox
    x, y = (np.linspace(axis.min, axis.max, 5) for axis in (box.x, box.y))
    stamps = [psf.stamp(x=xi, y=yi) for xi, yi in ((x[2], y[2]), (x[0], y[0]), (x[4], y[0]))]
    if all(np.array_equal(stamps[0], other) for other in stamps[1:]):
        return pixel_basis_of(psf, x=x[2:3], y=y[2:3])
    grid_x, grid_y = np.meshgrid(x, y)
    return pixel_basis_of(psf, x=grid_x.ravel(), y=grid_y.ravel(), order=2)


def _pixel_scale(exposure: Exposure) -> float:
    """Return the side of a pixel at the centre [arcsec]; NaN without a WCS."""
    if exposure.wcs is None:
        return float("nan")
    return float(exposure.wcs.pixel_scale(x=exposure.bbox.x.center, y=exposure.bbox.y.center))


def _level_inflation(exposure: Exposure) -> float:
    """Return how much larger the error of a mean over many pixels is than if they were independent."""
    return 1.0 if exposure.noise is None else float(np.sqrt(max(exposure.noise.kernel.sum(), 1.0)))


def _noise_factor(exposure: Exposure, frame: _Frame) -> float:
    """Return how much correlated noise increases the variance of a PSF flux; 1 for white noise."""
    if exposure.noise is None:
        return 1.0
    return exposure.noise.flux_variance_factor(frame.psf.stamp(x=exposure.bbox.x.center, y=exposure.bbox.y.center))
