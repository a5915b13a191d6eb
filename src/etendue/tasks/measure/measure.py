"""Measure positions, fluxes and shapes of the sources of an exposure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from etendue.errors import AlgorithmError, InputError
from etendue.image.exposure import Exposure
from etendue.image.psf import PixelBasisPsf, Psf, pixel_basis_of
from etendue.kernels.fisher import count_neighbours, fit_covariances
from etendue.kernels.moments import adaptive_moments
from etendue.kernels.photometry import aperture_sums, broad_fraction, isolated_stamps, stamp_chi2
from etendue.kernels.point_sources import PointSources, fit_point_sources, narrow_components
from etendue.tasks.measure.pixel_flags import pixel_flags
from etendue.tasks.measure.source_columns import SourceColumns
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]


class MeasureConfig(TaskConfig):
    """Choices of the measurement."""

    aperture_radii: tuple[float, ...] = (3.0, 6.0, 9.0, 12.0)
    """Aperture radii [px], rising."""

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

    bad_planes: tuple[str, ...] = ("BAD", "SAT", "CR", "NO_DATA", "INTRP", "VIGNETTED")
    """Planes whose pixels are not used."""

    broad_sigma: float = Field(0.6, gt=0.0)
    """Width of the Gaussian that broadens the PSF for extendedness, in units of the PSF's sigma."""

    extended_fraction: float = Field(0.3, gt=0.0)
    """Broad fraction above which a source counts as extended..."""

    extended_sigma: float = Field(3.0, gt=0.0)
    """...if it also exceeds this many errors."""

    correction_snr: float = Field(100.0, gt=0.0)
    """Faintest star that enters the aperture-correction curve."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """The arrays of an exposure in the types of the kernels, and its PSF on a pixel basis."""

    variance: Real
    bad: NDArray[np.bool_]
    x0: int
    y0: int
    psf: PixelBasisPsf
    fwhm: float


@dataclass(frozen=True, slots=True)
class _Shapes:
    """Moments and broad fractions of the sources."""

    moments: tuple[Real, ...]
    psf_moments: tuple[Real, ...]
    broad: Real
    broad_err: Real


class MeasureTask(Task[MeasureConfig]):
    """Joint PSF fit of all sources, then apertures, moments and flags with the neighbours subtracted."""

    def run(self, *, exposure: Exposure, x: ArrayLike, y: ArrayLike, forced: bool = False) -> SourceColumns:
        """Measure sources near, or in forced mode exactly at, given positions.

        Parameters
        ----------
        exposure : Exposure
            Background-subtracted, with PSF, variance and mask.
        x, y : array, shape (n,)
            Positions, parent pixels; NaN is not allowed.
        forced : bool
            Keep the positions; fit fluxes only.

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
        x, y = np.atleast_1d(np.asarray(x, np.float64)), np.atleast_1d(np.asarray(y, np.float64))
        if x.shape != y.shape or x.ndim != 1 or not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise InputError("positions must be finite columns of one length", value=(x.shape, y.shape))
        frame = self._frame(exposure)
        fit = self._fit(exposure, frame, x, y, forced)
        if fit.diverged:
            raise AlgorithmError("The fluxes of overlapping sources do not settle", sources=x.size)
        return self._columns(exposure, frame, fit, np.full(x.size, not forced), x, y)

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

    def _fit(self, exposure: Exposure, frame: _Frame, x: Real, y: Real, forced: bool) -> PointSources:
        return fit_point_sources(
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
        )

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
        self, exposure: Exposure, frame: _Frame, fit: PointSources, free: NDArray[np.bool_], x: Real, y: Real
    ) -> SourceColumns:
        covariance = self._covariances(frame, fit, free, _noise_factor(exposure, frame))
        stamps, stamp_x0, stamp_y0 = frame.psf.draw(x=fit.x + frame.x0, y=fit.y + frame.y0)
        origin = (stamp_x0 - frame.x0, stamp_y0 - frame.y0)
        radii = np.asarray(self.config.aperture_radii)
        ap_flux, ap_flux_err = aperture_sums(
            fit.residual, frame.variance, frame.bad, stamps, *origin, fit.flux, fit.x, fit.y, radii
        )
        shapes = self._shapes(frame, fit, stamps, origin)
        psf_flux_err, x_err, y_err = np.sqrt(np.einsum("ijj->ji", covariance))
        failed = ~np.isfinite(psf_flux_err)
        flux = np.where(failed, np.nan, fit.flux)
        shift = self.config.max_shift * frame.fwhm
        stuck = (np.abs(fit.x + frame.x0 - x) > 0.99 * shift) | (np.abs(fit.y + frame.y0 - y) > 0.99 * shift)
        fit_radius = self.config.fit_radius * frame.fwhm
        extended = self._extendedness(shapes)
        background = exposure.background
        return SourceColumns(
            x=fit.x + frame.x0,
            y=fit.y + frame.y0,
            x_err=x_err,
            y_err=y_err,
            xy_cov=covariance[:, 1, 2],
            psf_flux=flux,
            psf_flux_err=psf_flux_err,
            psf_flux_flag=failed,
            centroid_flag=failed | stuck | (free & ~np.isfinite(x_err)),
            psf_chi2_dof=stamp_chi2(fit.residual, fit.weight_variance, *origin, frame.psf.size, fit_radius, 3.0),
            ap_radii=self.config.aperture_radii,
            ap_flux=ap_flux,
            ap_flux_err=ap_flux_err,
            ap_correction=self._aperture_corrections(flux, psf_flux_err, ap_flux, extended),
            ixx=shapes.moments[0],
            iyy=shapes.moments[1],
            ixy=shapes.moments[2],
            ixx_psf=shapes.psf_moments[0],
            iyy_psf=shapes.psf_moments[1],
            ixy_psf=shapes.psf_moments[2],
            shape_flag=~np.isfinite(shapes.moments[0]),
            broad=shapes.broad,
            broad_err=shapes.broad_err,
            extendedness=extended,
            sky=fit.sky + (background.at(x=fit.x + frame.x0, y=fit.y + frame.y0) if background else 0.0),
            n_neighbours=count_neighbours(fit.x, fit.y, self.config.blend_radius * frame.fwhm),
            pixel_flags=pixel_flags(exposure.mask, fit.x + frame.x0, fit.y + frame.y0, frame.fwhm),
        )

    def _shapes(
        self, frame: _Frame, fit: PointSources, stamps: Real, origin: tuple[NDArray[np.int64], NDArray[np.int64]]
    ) -> _Shapes:
        moments = self._moments(frame, fit, stamps, origin)
        fraction, error = self._broad_fraction(frame, fit, stamps, origin)
        return _Shapes(moments, _psf_moments_at(frame, fit.x + frame.x0, fit.y + frame.y0), fraction, error)

    def _moments(
        self, frame: _Frame, fit: PointSources, stamps: Real, origin: tuple[NDArray[np.int64], NDArray[np.int64]]
    ) -> tuple[Real, ...]:
        """Return the adaptive moments of the sources, each without its neighbours."""
        cut = max(0, stamps.shape[1] // 2 - int(np.ceil(3.5 * frame.fwhm)) - 3)
        inner = np.ascontiguousarray(stamps[:, cut : stamps.shape[1] - cut, cut : stamps.shape[2] - cut])
        data, bad = isolated_stamps(fit.residual, frame.bad, inner, origin[0] + cut, origin[1] + cut, fit.flux)
        centre = fit.x - origin[0] - cut, fit.y - origin[1] - cut
        return adaptive_moments(data, bad, *centre, frame.fwhm / 2.3548, 60)[:3]

    def _broad_fraction(
        self, frame: _Frame, fit: PointSources, stamps: Real, origin: tuple[NDArray[np.int64], NDArray[np.int64]]
    ) -> tuple[Real, Real]:
        """Return which part of the light of each source is in a profile broader than the PSF, and its error."""
        broader = frame.psf.broadened(self.config.broad_sigma * frame.fwhm / 2.3548)
        return broad_fraction(
            fit.residual,
            fit.weight_variance,
            frame.variance,
            stamps,
            broader.draw(x=fit.x + frame.x0, y=fit.y + frame.y0).value,
            *origin,
            fit.flux,
            self.config.fit_radius * frame.fwhm,
            self.config.softening,
        )

    def _extendedness(self, shapes: _Shapes) -> Real:
        limit = np.maximum(self.config.extended_fraction, self.config.extended_sigma * shapes.broad_err)
        return np.where(np.isfinite(shapes.broad), (shapes.broad > limit).astype(np.float64), np.nan)

    def _aperture_corrections(
        self, flux: Real, flux_err: Real, ap_flux: Real, extendedness: Real
    ) -> tuple[tuple[float, float], ...]:
        """Return the median PSF-to-aperture flux ratio of bright stars and its error, per radius."""
        with np.errstate(invalid="ignore"):
            bright = (flux > self.config.correction_snr * flux_err) & (extendedness == 0.0)
        ratio = flux[bright, np.newaxis] / ap_flux[bright]
        ratio = ratio[np.isfinite(ratio).all(axis=1)]
        if len(ratio) < 5:
            return tuple((float("nan"), float("nan")) for _ in self.config.aperture_radii)
        low, middle, high = np.percentile(ratio, [25.0, 50.0, 75.0], axis=0)
        error = 1.253 * (high - low) / 1.349 / np.sqrt(len(ratio))
        return tuple((float(m), float(e)) for m, e in zip(middle, error, strict=True))


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


def _psf_moments_at(frame: _Frame, x: Real, y: Real) -> tuple[Real, ...]:
    """Interpolate the PSF's moments between 9 x 9 positions over the image: they vary slowly."""
    ny, nx = frame.variance.shape
    u, v = np.linspace(0.0, nx - 1.0, 9), np.linspace(0.0, ny - 1.0, 9)
    grid_x, grid_y = np.meshgrid(u + frame.x0, v + frame.y0)
    col = np.clip((x - frame.x0) / max(nx - 1.0, 1.0) * 8.0, 0.0, 8.0)
    row = np.clip((y - frame.y0) / max(ny - 1.0, 1.0) * 8.0, 0.0, 8.0)
    i, j = np.minimum(col.astype(np.int64), 7), np.minimum(row.astype(np.int64), 7)
    a, b = col - i, row - j
    tables = [m.reshape(9, 9) for m in frame.psf.moments(x=grid_x.ravel(), y=grid_y.ravel())]
    return tuple(
        (1 - b) * ((1 - a) * m[j, i] + a * m[j, i + 1]) + b * ((1 - a) * m[j + 1, i] + a * m[j + 1, i + 1])
        for m in tables
    )


def _noise_factor(exposure: Exposure, frame: _Frame) -> float:
    """Return how much correlated noise increases the variance of a PSF flux; 1 for white noise."""
    if exposure.noise is None:
        return 1.0
    return exposure.noise.flux_variance_factor(frame.psf.stamp(x=exposure.bbox.x.center, y=exposure.bbox.y.center))
