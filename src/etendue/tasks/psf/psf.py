"""Fit the PSF of an exposure to its stars."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from scipy.spatial import cKDTree

from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.image.psf import PixelBasisPsf
from etendue.kernels.moments import adaptive_moments
from etendue.kernels.photometry import isolated_stamps, mask_bits
from etendue.kernels.point_sources import PixelNoise, PointSources, fit_point_sources, pixel_noise
from etendue.kernels.psf import draw_pixel_basis
from etendue.kernels.psf_fit import (
    Wings,
    aperture_scale,
    centred,
    flattened,
    light_beyond,
    normalised,
    radial_profile,
    renormalised,
    ring_profile,
    solve_components,
    with_wings,
)
from etendue.tasks.psf.random_field import Places, with_random_field
from etendue.tasks.psf.star_selection import select_stars
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]

_WIDE_SNR = 100.0  # fainter sources have no wings that matter
_FEWEST = 3  # stars without which the fit has nothing to average


class FitPsfConfig(TaskConfig):
    """Choices of the PSF model."""

    order: int = Field(2, ge=0, le=4)
    """Total degree of the spatial polynomial; lowered when there are too few stars."""

    variation: Literal["polynomial", "gaussian_process"] = "polynomial"
    """What besides the polynomial the shape follows over the detector: nothing, or Gaussian processes, for short
    exposures in which turbulence does not average out."""

    field_rounds: int = Field(2, ge=1)
    """Last rounds in which such fields are found anew."""

    min_field_gain: float = Field(3.0, ge=0.0)
    """Natural logarithm of how much more likely the stars' shapes must become by a field."""

    stars_per_term: int = Field(8, ge=2)
    """Stars needed per spatial term."""

    min_snr: float = Field(30.0, gt=0.0)
    """Faintest star."""

    max_stars: int = Field(300, ge=10)
    """Brightest stars used at most."""

    max_peak: float | None = Field(None, gt=0.0)
    """Brightest pixel of a star [unit of the image]: brighter stars are broader, as charge repels charge."""

    min_known_stars: int | None = Field(60, ge=1)
    """Stars of a catalog, where there are as many, are the only ones used; fewer tell where the stellar locus is, and
    what else lies on it is used too. None leaves the catalog aside."""

    min_stars: int = Field(5, ge=1)
    """Fewer usable stars make the exposure fail."""

    reserved_fraction: float = Field(0.2, ge=0.0, le=0.5)
    """Stars kept out of the fit for validation."""

    size: int | None = Field(None, ge=11)
    """Stamp side [px], odd; by default 24 FWHM, within 51 and 101."""

    core_radius: float = Field(4.0, gt=2.0)
    """Distance [FWHM] to which the PSF is free; beyond it is the mean radial profile of the stars."""

    samples_per_fwhm: float = Field(4.0, ge=2.0)
    """Grid samples per FWHM; the grid spacing stays within 0.4 and 1 px."""

    fit_radius: float = Field(3.0, gt=1.0)
    """Radius of the flux and position fit of each star, in FWHM."""

    aperture_radius: float = Field(2.0, gt=0.5)
    """Radius, in FWHM, of the apertures whose fluxes of stars fix the normalisation over the field."""

    sky_cell: int = Field(24, ge=0)
    """Cell side [px] of the local background around the stars, in the rounds that know their wings; 0 for none."""

    wing_rounds: int = Field(3, ge=1)
    """Rounds in which the wings are measured, on the sky as it is: a local background would take them too."""

    rounds: int = Field(4, ge=1)
    """Alternations of star fits and PSF fits."""

    iterations: int = Field(30, ge=1)
    """Conjugate-gradient steps per round."""

    spatial_prior: float = Field(0.15, gt=0.0)
    """Expected relative change of the profile over the detector, per spatial term."""

    wing_prior: float = Field(0.05, gt=0.0)
    """Freedom of the mean profile's wings, relative to its peak at one FWHM from the centre."""

    bad_planes: tuple[str, ...] = ("BAD", "SAT", "CR", "NO_DATA", "INTRP", "VIGNETTED")
    """Planes whose pixels are not used, and whose presence within 3 px disqualifies a star."""

    final_mismatch: float = Field(0.003, ge=0.0)
    """Relative error of the model, added to the noise of bright stars; the first rounds allow more."""

    robust_sigma: float = Field(4.0, gt=0.0)
    """Pixels further from the model than this weigh less (Huber)."""

    max_chi2_sigma: float = Field(4.0, gt=0.0)
    """Stars whose normalised chi-square is further above the median than this many robust sigmas are outliers."""


@dataclass(frozen=True, slots=True)
class PsfResult:
    """The model and the part that each input source played."""

    psf: PixelBasisPsf
    candidate: NDArray[np.bool_]  # (n,) taken for a star
    used: NDArray[np.bool_]  # (n,) fitted and not rejected
    reserved: NDArray[np.bool_]  # (n,) kept for validation
    statistics: dict[str, float]  # n_used, n_reserved, fwhm [px], order, fields, step, used_chi2, ...


@dataclass(frozen=True, slots=True)
class _Frame:
    """The arrays of an exposure in the types of the kernels, and all its sources in array pixels."""

    image: Real
    variance: Real
    bad: NDArray[np.bool_]
    x: Real
    y: Real
    noise: PixelNoise
    color: Real | None

    def of(self, rows: NDArray[np.int64]) -> "_Frame":
        """Return the frame with some of its sources."""
        return replace(self, x=self.x[rows], y=self.y[rows], color=None if self.color is None else self.color[rows])


@dataclass(frozen=True, slots=True)
class Core:
    """The middle of stamps and of the PSF's grid."""

    cut_pixels: int
    cut_samples: int

    @classmethod
    def of(cls, psf: PixelBasisPsf, radius: float) -> "Core":
        """Return the core that holds a circle of a radius [px], no larger than the PSF."""
        half, m = min(int(np.ceil(radius)), psf.size // 2), psf.components.shape[1]
        return cls(psf.size // 2 - half, max(0, int(0.5 * (m - 1) - (half + 0.5) / psf.step - 3.0)))

    def pixels(self, stamps: Real) -> Real:
        """Return the middle of stamps of shape (n, k, k)."""
        inner = slice(self.cut_pixels, stamps.shape[1] - self.cut_pixels)
        return np.ascontiguousarray(stamps[:, inner, inner])

    def samples(self, grids: Real) -> Real:
        """Return the middle of grids of shape (n_terms, m, m)."""
        inner = slice(self.cut_samples, grids.shape[1] - self.cut_samples)
        return np.ascontiguousarray(grids[:, inner, inner])

    def with_samples(self, grids: Real, middle: Real) -> Real:
        """Return grids with another middle."""
        inner = slice(self.cut_samples, grids.shape[1] - self.cut_samples)
        result = grids.copy()
        result[:, inner, inner] = middle
        return result


class FitPsfTask(Task[FitPsfConfig]):
    """Pixel-basis PSF by regularised least squares on all stars at once.

    Star positions and fluxes, with neighbours subtracted, and the PSF are fitted in turn; the grid is finer than the
    pixels, so marginally sampled images are modelled without interpolating them.
    """

    def run(
        self,
        *,
        exposure: Exposure,
        x: ArrayLike,
        y: ArrayLike,
        snr: ArrayLike,
        known: NDArray[np.bool_] | None = None,
        scale: int = 1,
        color: ArrayLike | None = None,
        in_halo: NDArray[np.bool_] | None = None,
    ) -> PsfResult:
        """Fit the PSF.

        Parameters
        ----------
        exposure : Exposure
            Background-subtracted, with variance and mask.
        x, y : array, shape (n,)
            All detected sources, parent pixels (stars to fit and neighbours to subtract).
        snr : array, shape (n,)
            Their detection signal-to-noise ratios.
        known : ndarray, bool, shape (n,), optional
            Which of them a catalog knows as stars.
        scale : int
            Width of stars over that of ordinary ones (of up to 6 px FWHM), on which the first look at them depends.
        color : array, shape (n,), optional
            Their colours, NaN where unknown [mag]: the PSF then has a term that is linear in colour, if enough stars
            have one.
        in_halo : ndarray, bool, shape (n,), optional
            Which stand in the light of something large, that would count as wings of theirs: no stars of the PSF.

        Returns
        -------
        PsfResult
            The PSF and which sources were used.

        Raises
        ------
        AlgorithmError
            If fewer than ``min_stars`` stars are usable, or they do not agree, or the fluxes of all sources diverge.
        """
        frame = self._frame(exposure, x, y, color)
        snr = np.asarray(snr, np.float64) if in_halo is None else np.where(in_halo, 0.0, snr)
        candidate, width = self._candidates(frame, snr, known, scale)
        stars = np.flatnonzero(candidate)
        stars = stars[np.argsort(-snr[stars], kind="stable")][: self.config.max_stars]
        if stars.size < self.config.min_stars:
            raise AlgorithmError(
                "Too few stars for a PSF: give one (psf, fit_psf=False), or lower psf.min_stars or psf.min_snr",
                stars=int(stars.size), needed=self.config.min_stars,
            )  # fmt: skip
        reserved = self._reserve(stars)
        psf = self._first_model(exposure, width, frame, stars[~reserved])
        beside = self._beside(frame, snr, stars, psf)
        frame, stars = frame.of(beside), np.searchsorted(beside, stars)
        good, chi2, wings = np.ones(stars.size, np.bool_), np.ones(stars.size), None
        for k in range(self.config.rounds):
            mismatch = max(self.config.final_mismatch, 0.1 * 0.3**k)
            behind = wings if k >= self.config.wing_rounds else None
            fields = self.config.variation == "gaussian_process" and k >= self.config.rounds - self.config.field_rounds
            psf, good, chi2, wings = self._improved(frame, psf, exposure, stars, reserved, mismatch, behind, fields)
        return self._result(exposure, psf, candidate, beside[stars], reserved, good, chi2)

    def _frame(self, exposure: Exposure, x: ArrayLike, y: ArrayLike, color: ArrayLike | None) -> _Frame:
        image, variance = exposure.image.array.astype(np.float64), exposure.variance.array.astype(np.float64)
        bad = exposure.mask.any_of(self.config.bad_planes) | ~np.isfinite(image) | ~(variance > 0)
        return _Frame(
            image,
            variance,
            bad,
            np.asarray(x, np.float64) - exposure.bbox.x.start,
            np.asarray(y, np.float64) - exposure.bbox.y.start,
            pixel_noise(image, variance, bad),
            None if color is None else np.asarray(color, np.float64),
        )

    def _candidates(
        self, frame: _Frame, snr: Real, known: NDArray[np.bool_] | None, scale: int
    ) -> tuple[NDArray[np.bool_], Real]:
        """Return which sources look like stars, and their median moments."""
        col, row = np.rint(frame.x).astype(np.int64), np.rint(frame.y).astype(np.int64)
        bright = self._usable(frame, col, row, snr, 8 * scale)
        half = 7 * scale
        nothing = np.zeros((bright.size, 2 * half + 1, 2 * half + 1))
        stamps, bad = isolated_stamps(
            frame.image, frame.bad, nothing, col[bright] - half, row[bright] - half, snr[bright]
        )
        offset_x, offset_y = frame.x[bright] - col[bright] + half, frame.y[bright] - row[bright] + half
        ixx, iyy, ixy, _ = adaptive_moments(stamps, bad, offset_x, offset_y, float(scale), 100)
        enough = self.config.min_known_stars
        of_catalog = known[bright] if known is not None and enough is not None else None
        chosen, width = select_stars(ixx, iyy, ixy, snr[bright], of_catalog, enough or 1)
        candidate = np.zeros(snr.size, np.bool_)
        candidate[bright[chosen]] = True
        return candidate, width

    def _usable(
        self, frame: _Frame, col: NDArray[np.int64], row: NDArray[np.int64], snr: Real, margin: int
    ) -> NDArray[np.int64]:
        """Return the sources away from edges and bad pixels, neither too faint nor too bright."""
        ny, nx = frame.image.shape
        inside = (col >= margin) & (row >= margin) & (col < nx - margin) & (row < ny - margin)
        clean = mask_bits(np.ascontiguousarray(frame.bad, np.int32), col, row, 3) == 0
        usable = np.flatnonzero(inside & clean & (snr > self.config.min_snr))
        if self.config.max_peak is None:
            return usable
        near = np.arange(-1, 2)
        peak = frame.image[row[usable, None, None] + near[:, None], col[usable, None, None] + near].max(axis=(1, 2))
        return usable[peak <= self.config.max_peak]

    def _beside(self, frame: _Frame, snr: Real, stars: NDArray[np.int64], psf: PixelBasisPsf) -> NDArray[np.int64]:
        """Return the sources that reach into the stamps of the stars or the cells of sky under them, in order."""
        place = np.stack([frame.x, frame.y], axis=1)
        distance, _ = cKDTree(place[stars]).query(place, p=np.inf)
        near = psf.size // 2 + self.config.fit_radius * psf.fwhm(x=psf.x_center, y=psf.y_center)[0] + 2.0
        reach = np.where(snr > _WIDE_SNR, psf.size + 1.0, near + self.config.sky_cell)
        return np.flatnonzero(distance <= reach)

    def _reserve(self, stars: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Keep every k-th star in order of brightness for validation."""
        fraction = self.config.reserved_fraction
        if fraction == 0.0 or stars.size < 2 * self.config.min_stars:
            return np.zeros(stars.size, np.bool_)
        period = max(2, round(1.0 / fraction))
        return np.arange(stars.size) % period == period - 1

    def _first_model(self, exposure: Exposure, width: Real, frame: _Frame, stars: NDArray[np.int64]) -> PixelBasisPsf:
        """Return a Gaussian of the stars' median moments on the grid of the final model."""
        order, color = self.config.order, self._middle_color(frame, stars)
        while order > 0 and stars.size < self.config.stars_per_term * (order + 1) * (order + 2) // 2:
            order -= 1
        fwhm = 2.3548 * float(np.sqrt(0.5 * (width[0] + width[1])))
        step = float(np.clip(fwhm / self.config.samples_per_fwhm, 0.4, 1.0))
        size = self.config.size or int(np.clip(2 * round(12.0 * fwhm) + 1, 51, 101))
        half = int(np.ceil(0.5 * (size + 1) / step)) + 3
        offset = (np.arange(2 * half + 1) - half) * step
        det = width[0] * width[1] - width[2] ** 2
        rho2 = width[1] * offset**2 - 2.0 * width[2] * offset * offset[:, None] + width[0] * offset[:, None] ** 2
        n_terms = PixelBasisPsf.n_smooth_terms(order) + (color is not None)
        components = np.zeros((n_terms, 2 * half + 1, 2 * half + 1))
        components[0] = np.exp(-0.5 * rho2 / det)
        box = exposure.bbox
        return PixelBasisPsf(
            normalised(components, step),
            step=step,
            order=order,
            x_center=box.x.center,
            y_center=box.y.center,
            x_scale=0.5 * box.x.size,
            y_scale=0.5 * box.y.size,
            size=size,
            color=color,
        )

    def _middle_color(self, frame: _Frame, stars: NDArray[np.int64]) -> float | None:
        """Return the median colour of the stars; None if too few have one for a term of colour."""
        known = np.zeros(0) if frame.color is None else frame.color[stars][np.isfinite(frame.color[stars])]
        return float(np.median(known)) if known.size >= 2 * self.config.stars_per_term else None

    def _improved(
        self,
        frame: _Frame,
        psf: PixelBasisPsf,
        exposure: Exposure,
        stars: NDArray[np.int64],
        reserved: NDArray[np.bool_],
        mismatch: float,
        wings: Wings | None,
        fields: bool,
    ) -> tuple[PixelBasisPsf, NDArray[np.bool_], Real, Wings]:
        """Refit all sources with the current PSF, then the PSF with the stars' isolated stamps."""
        fit = self._fit_sources(frame, psf, exposure, 0 if wings is None else self.config.sky_cell)
        data, weight, dx, dy, chi2 = self._star_stamps(frame, psf, exposure, fit, stars, mismatch)
        good = _without_outliers(chi2, fit.flux[stars], self.config.max_chi2_sigma)
        train = good & ~reserved
        if np.count_nonzero(train) < min(self.config.min_stars, _FEWEST):
            raise AlgorithmError("The stars do not agree on a PSF", stars=int(stars.size), agreeing=int(train.sum()))
        fwhm = float(psf.fwhm(x=psf.x_center, y=psf.y_center)[0])
        flux = fit.flux[stars]
        reach = self.config.core_radius * fwhm
        if wings is None:
            wings = ring_profile(data[train], weight[train], flux[train], 0.75 * reach)
            data -= wings.sky / np.where(good, flux, np.inf)[:, None, None]
        if fields:
            psf = self._with_fields(frame, psf, exposure, fit, stars[train], data[train], weight[train])
        terms = psf.terms(**self._places(frame, exposure, fit, stars))
        core = Core.of(psf, reach)
        solved = solve_components(
            core.pixels(data[train]),
            core.pixels(weight[train]),
            terms=terms[train],
            dx=dx[train],
            dy=dy[train],
            start=core.samples(psf.components),
            step=psf.step,
            prior=core.samples(self._prior(psf)),
            iterations=self.config.iterations,
        )
        components = core.with_samples(psf.components, solved)
        components = with_wings(components, wings, step=psf.step, inner=0.75 * reach, outer=reach)
        components = normalised(centred(flattened(components, psf.step), fwhm / psf.step), psf.step)
        components *= 1.0 - light_beyond(wings)
        if not np.isfinite(components).all():
            raise AlgorithmError("The PSF fit diverged", stars=int(train.sum()))
        model = draw_pixel_basis(components, terms[good], psf.step, dx[good], dy[good], psf.size)
        radius = self.config.aperture_radius * fwhm
        scale = aperture_scale(data[good], weight[good], model, terms[good], radius)
        return psf.with_components(renormalised(components, scale)), good, chi2, wings

    def _places(self, frame: _Frame, exposure: Exposure, fit: PointSources, stars: NDArray[np.int64]) -> Places:
        """Return parent positions and colours of stars."""
        x, y = fit.x[stars] + exposure.bbox.x.start, fit.y[stars] + exposure.bbox.y.start
        return {"x": x, "y": y, "color": None if frame.color is None else frame.color[stars]}

    def _with_fields(
        self,
        frame: _Frame,
        psf: PixelBasisPsf,
        exposure: Exposure,
        fit: PointSources,
        stars: NDArray[np.int64],
        data: Real,
        weight: Real,
    ) -> PixelBasisPsf:
        """Find the fields that the PSF follows besides its polynomial."""
        places, fwhm = self._places(frame, exposure, fit, stars), _width(psf, exposure)
        return with_random_field(
            psf, data=data, weight=weight, places=places, fwhm=fwhm, min_gain=self.config.min_field_gain
        )

    def _fit_sources(self, frame: _Frame, psf: PixelBasisPsf, exposure: Exposure, sky_cell: int) -> PointSources:
        x0, y0 = exposure.bbox.x.start, exposure.bbox.y.start
        fwhm = _width(psf, exposure)
        fit = fit_point_sources(
            frame.image,
            frame.variance,
            frame.bad,
            components=psf.components,
            terms=psf.terms(x=frame.x + x0, y=frame.y + y0, color=frame.color),
            step=psf.step,
            size=psf.size,
            x=frame.x,
            y=frame.y,
            free=np.ones(frame.x.size, np.bool_),
            radius=self.config.fit_radius * fwhm,
            sweeps=(2, 1),
            sky_cell=sky_cell,
            noise=frame.noise,
        )
        if fit.diverged:
            raise AlgorithmError("The fluxes of overlapping sources do not settle", sources=int(frame.x.size))
        return fit

    def _star_stamps(
        self,
        frame: _Frame,
        psf: PixelBasisPsf,
        exposure: Exposure,
        fit: PointSources,
        stars: NDArray[np.int64],
        mismatch: float,
    ) -> tuple[Real, ...]:
        """Return unit-flux stamps, weights, sub-pixel offsets and reduced chi-squares of the stars."""
        places, flux = self._places(frame, exposure, fit, stars), fit.flux[stars]
        model = psf.draw(**places)
        x0, y0 = model.x0 - exposure.bbox.x.start, model.y0 - exposure.bbox.y.start
        data, bad = isolated_stamps(fit.residual, frame.bad, model.value, x0, y0, flux)
        variance, _ = isolated_stamps(fit.weight_variance, frame.bad, model.value, x0, y0, np.zeros(flux.size))
        scale = np.maximum(flux, 1e-30)[:, None, None]
        softened = np.where(bad, np.inf, variance + (mismatch * scale * model.value) ** 2)
        misfit = np.where(bad, 0.0, (data - scale * model.value) ** 2 / softened)
        softened *= np.maximum(1.0, np.sqrt(misfit) / self.config.robust_sigma)
        core = slice(psf.size // 2 - 4, psf.size // 2 + 5)
        chi2 = misfit[:, core, core].sum(axis=(1, 2)) / np.maximum((~bad[:, core, core]).sum(axis=(1, 2)), 1)
        dx, dy = (fit.x[stars] - np.rint(fit.x[stars]), fit.y[stars] - np.rint(fit.y[stars]))
        return data / scale, scale**2 / softened, dx, dy, chi2

    def _prior(self, psf: PixelBasisPsf) -> Real:
        """Let the mean profile grow wings like a Moffat profile's, and the spatial terms follow the mean profile."""
        m = psf.components.shape[1]
        offset = (np.arange(m) - 0.5 * (m - 1)) * psf.step
        fwhm = float(psf.fwhm(x=psf.x_center, y=psf.y_center)[0])
        wings = (1.0 + (np.hypot(offset[:, None], offset) / fwhm) ** 2) ** -1.5
        profile = radial_profile(psf.components[0])
        relative = np.full(len(psf.components), self.config.spatial_prior)
        prior = relative[:, None, None] * (profile + 1e-6 * profile.max())
        prior[0] = profile + self.config.wing_prior * profile.max() * wings
        return prior

    def _result(
        self,
        exposure: Exposure,
        psf: PixelBasisPsf,
        candidate: NDArray[np.bool_],
        stars: NDArray[np.int64],
        reserved: NDArray[np.bool_],
        good: NDArray[np.bool_],
        chi2: Real,
    ) -> PsfResult:
        used, held = np.zeros(candidate.size, np.bool_), np.zeros(candidate.size, np.bool_)
        used[stars[good & ~reserved]] = True
        held[stars[reserved]] = True
        centre = {"x": exposure.bbox.x.center, "y": exposure.bbox.y.center}
        statistics = {
            "n_used": float(used.sum()),
            "n_reserved": float(held.sum()),
            "n_rejected": float((~good).sum()),
            "fwhm": _width(psf, exposure),
            "effective_area": float(psf.effective_area(**centre)[0]),
            "order": float(psf.order),
            "fields": float(0 if psf.field is None else len(psf.field)),
            "step": psf.step,
            "used_chi2": float(np.median(chi2[good & ~reserved])),
            "reserved_chi2": float(np.median(chi2[reserved])) if reserved.any() else float("nan"),
        }
        return PsfResult(psf, candidate, used, held, statistics)


def _width(psf: PixelBasisPsf, exposure: Exposure) -> float:
    """Return the FWHM at the centre [px]; a profile without one is none of a star."""
    fwhm = float(psf.fwhm(x=exposure.bbox.x.center, y=exposure.bbox.y.center)[0])
    if not np.isfinite(fwhm):
        raise AlgorithmError("The PSF has no width: what was taken for stars has no common profile")
    return fwhm


def _without_outliers(chi2: Real, flux: Real, n_sigma: float) -> NDArray[np.bool_]:
    """Tell which stars fit about as well as the others."""
    usable = np.isfinite(chi2) & (flux > 0.0)
    if not usable.any():
        return usable
    logs = np.log(np.maximum(chi2, 1e-3))
    low, middle, high = np.percentile(logs[usable], [25.0, 50.0, 75.0])
    return usable & (logs < middle + n_sigma * max((high - low) / 1.349, 0.1))
