"""Subtract a matched template from a science image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import binary_dilation, maximum_filter
from scipy.special import ndtri

from etendue.errors import AlgorithmError, InputError
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.noise import NoiseAutocorrelation
from etendue.kernels.diffim import convolve
from etendue.tasks.diffim.decorrelate import convolved_psf, decorrelation_kernel, noise_power
from etendue.tasks.diffim.fit_kernel import FitKernelConfig, FitKernelTask, KernelFit
from etendue.tasks.diffim.matching_kernel import MatchingKernel
from etendue.tasks.diffim.residual_noise import LARGEST_CUT, ResidualNoise, ResidualNoiseConfig, ResidualNoiseTask
from etendue.tasks.task import Task, TaskConfig

_SIGMA_TO_FWHM = float(np.sqrt(8.0 * np.log(2.0)))


class SubtractConfig(TaskConfig):
    """Matching, masking and noise of a difference image."""

    fit_kernel: FitKernelConfig = FitKernelConfig()
    """Fit of the matching kernel."""

    bad_planes: tuple[str, ...] = ("NO_DATA", "SAT", "BAD", "EDGE")
    """Planes of either image whose pixels do not enter the fit and stay flagged in the difference."""

    science_bad_planes: tuple[str, ...] = ("CR", "INTRP")
    """Planes of the science image whose pixels do not enter the fit."""

    template_grow: int = Field(2, ge=0)
    """Growth of the template's bad pixels, for the kernel spreads them [px]."""

    default_fwhm: float = Field(2.0, gt=0.0)
    """FWHM [px] assumed when the science exposure has no PSF."""

    sky_snr: float = Field(5.0, gt=0.0)
    """Template signal over noise per pixel below which a pixel is sky, whose median becomes zero.
    Well above the template's own noise: selecting low noise would select high differences."""

    decorrelate: bool = True
    """Whiten the noise of the difference."""

    decorrelation_half: int = Field(6, ge=1, le=20)
    """Half-size of the whitening filter [px]."""

    measure_noise: bool = False
    """Take the template's noise from the difference, not from its variance: nobody knows that of a foreign image."""

    residual_noise: ResidualNoiseConfig = ResidualNoiseConfig()
    """How that is measured."""

    blank_snr: float = Field(3.0, gt=0.0)
    """Template signal over science noise per pixel below which noise is measured."""

    residual_quantile: float = Field(0.95, gt=0.0, lt=1.0)
    """Quantile of the residuals on bright stars that sets the error of the matched template."""

    residual_min_snr: float = Field(15.0, gt=0.0)
    """Template signal over noise per pixel from which residuals measure that error."""


@dataclass(frozen=True, slots=True)
class SubtractResult:
    """The difference and what it was made of.

    Parameters
    ----------
    difference : Exposure
        Science minus matched template, whitened; flux scale and WCS of the science image; metadata
        ``kernelSum``, ``kernelStars``, ``kernelChi2``, ``modelError``.
    matched_template : Exposure
        Template with the science image's PSF and flux scale, on the same box.
    fit : KernelFit
        Kernel and stars.
    decorrelation : ndarray, float64, shape (k, k)
        Whitening filter; a single 1 if not whitened.
    model_error : float
        Error of the matched template as a fraction of its brightest neighbouring pixel.
    """

    difference: Exposure
    matched_template: Exposure
    fit: KernelFit
    decorrelation: NDArray[np.float64]
    model_error: float

    @property
    def kernel(self) -> MatchingKernel:
        """The matching kernel."""
        return self.fit.kernel


class SubtractTask(Task[SubtractConfig]):
    """Alard-Lupton subtraction that convolves the template, then whitens the noise.

    The template is convolved even where it is the broader image: the polynomial terms of the basis
    sharpen it, and the science image keeps its noise and PSF. What the model cannot describe (pixels
    that undersample the PSF) is measured on the residuals of bright stars and added to the variance.
    """

    def run(self, *, science: Exposure, template: Exposure) -> SubtractResult:
        """Subtract.

        Parameters
        ----------
        science : Exposure
            Background-subtracted; its PSF sets the scale of the kernel basis.
        template : Exposure
            On the same box (see `WarpTask`) and in the same unit.

        Returns
        -------
        SubtractResult
            Pixels that either image lacks are NaN and NO_DATA.

        Raises
        ------
        InputError
            If boxes or units differ.
        AlgorithmError
            If the images share too few pixels or stars.
        """
        _require_same_frame(science, template)
        config = self.config
        missing = _missing(science) | _missing(template)
        template_bad = self._grown(template.mask.any_of(config.bad_planes))
        bad = missing | template_bad | science.mask.any_of((*config.bad_planes, *config.science_bad_planes))
        if bad.all():
            raise AlgorithmError("Science image and template share no usable pixel")
        target, target_variance = _filled(science.image, missing), _filled(science.variance, missing)
        source, source_variance = _filled(template.image, missing), _filled(template.variance, missing)
        fit = FitKernelTask(config.fit_kernel).run(
            source=source, target=target, variance=target_variance + source_variance, bad=bad, bbox=science.bbox,
            psf_sigma=self._psf_sigma(science),
        )  # fmt: skip
        matched = fit.kernel.apply(source)
        peak = maximum_filter(matched, 3)
        difference = target - matched - fit.kernel.background_image()
        difference -= _pedestal(difference, bad | (peak > self.config.sky_snr * np.sqrt(target_variance)))
        kernels = _kernel_samples(fit.kernel)
        template_variance = _convolved_variance(source_variance, kernels.mean(axis=0), template.noise)
        measured = self._measured_noise(difference, science, target_variance, template_variance, bad, peak)
        template_variance = template_variance if measured is None else measured.variance
        levels = target_variance, template_variance
        filter_, gain, factor = self._decorrelation(science, template, kernels, levels, bad, measured)
        variance = np.float32(factor) * (np.float32(gain) * target_variance + template_variance)
        if filter_.size > 1:
            difference = convolve(difference, filter_.astype(np.float32))
        model_error = self._model_error(difference, variance, peak, bad)
        variance = variance + (np.float32(model_error) * np.maximum(peak, np.float32(0.0))) ** 2
        mask = self._mask(science, template_bad, template, missing)
        output = science.replace(
            image=_masked(difference, missing, science),
            variance=_masked(variance, missing, science),
            mask=mask,
            psf=self._psf(science, filter_),
            noise=NoiseAutocorrelation.white(),
            background=None,
            metadata={**science.metadata, **_facts(fit, model_error)},
        )
        matched_template = science.replace(
            image=_masked(matched, missing, science),
            variance=_masked(np.maximum(template_variance, np.float32(0.0)), missing, science),
            mask=mask,
            noise=template.noise,
            background=None,
            inputs=template.inputs,
        )
        return SubtractResult(output, matched_template, fit, filter_, model_error)

    def _grown(self, where: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return template pixels grown by what the kernel spreads."""
        if self.config.template_grow == 0 or not where.any():
            return where
        return np.asarray(binary_dilation(where, iterations=self.config.template_grow))

    def _psf_sigma(self, science: Exposure) -> float:
        if science.psf is None:
            return self.config.default_fwhm / _SIGMA_TO_FWHM
        area = float(science.psf.effective_area(x=science.bbox.x.center, y=science.bbox.y.center)[0])
        return float(np.sqrt(area / (4.0 * np.pi)))  # of the Gaussian with the same effective area

    def _measured_noise(
        self,
        difference: NDArray[np.float32],
        science: Exposure,
        science_variance: NDArray[np.float32],
        template_variance: NDArray[np.float32],
        bad: NDArray[np.bool_],
        peak: NDArray[np.float32],
    ) -> ResidualNoise | None:
        """Return what the template adds to the noise of the difference, if that is to be measured."""
        if not self.config.measure_noise:
            return None
        blank = ~bad & (peak < self.config.blank_snr * np.sqrt(science_variance))
        return ResidualNoiseTask(self.config.residual_noise).run(
            difference=difference, sky=blank, science_variance=science_variance, science_noise=science.noise,
            spread=template_variance,
        )  # fmt: skip

    def _decorrelation(
        self,
        science: Exposure,
        template: Exposure,
        kernels: NDArray[np.float64],
        variances: tuple[NDArray[np.float32], NDArray[np.float32]],
        bad: NDArray[np.bool_],
        measured: ResidualNoise | None,
    ) -> tuple[NDArray[np.float64], float, float]:
        """Return the whitening filter, the science noise power over variance, and the excess of the cut filter."""
        science_power = noise_power(science.noise)
        if not self.config.decorrelate:
            return np.ones((1, 1)), 1.0, 1.0
        good = ~bad[::4, ::4]
        level, template_level = (float(np.median(variance[::4, ::4][good])) for variance in variances)
        if measured is not None:  # the power of what was convolved already
            template_power = np.maximum(measured.power, -LARGEST_CUT * level * science_power)
            kernels = np.ones((1, 1, 1))
        else:
            power = noise_power(template.noise)
            template_power = template_level * power / (power[0, 0] * kernels.sum(axis=(1, 2)).mean() ** 2)
        filter_, factor = decorrelation_kernel(
            science_power=level * science_power,
            template_power=template_power,
            kernels=kernels,
            half=self.config.decorrelation_half,
        )
        return filter_, float(science_power[0, 0]), factor

    def _model_error(
        self,
        difference: NDArray[np.float32],
        variance: NDArray[np.float32],
        peak: NDArray[np.float32],
        bad: NDArray[np.bool_],
    ) -> float:
        """Return the fraction of the brightest neighbouring pixel that residuals exceed the noise by."""
        bright = ~bad & (peak > self.config.residual_min_snr * np.sqrt(variance))
        if np.count_nonzero(bright) < 50:
            return 0.0
        excess = np.maximum(difference[bright] ** 2 - variance[bright], 0.0) / peak[bright] ** 2
        limit = float(np.quantile(excess, self.config.residual_quantile))
        return float(np.sqrt(limit)) / _normal_quantile(self.config.residual_quantile)

    def _mask(
        self, science: Exposure, template_bad: NDArray[np.bool_], template: Exposure, missing: NDArray[np.bool_]
    ) -> Mask:
        """Return the science mask without detections, with the template's saturated and missing pixels."""
        detected = np.int32(science.mask.bits(("DETECTED", "DETECTED_NEGATIVE")))
        mask = Mask(science.mask.array & ~detected, science.bbox, science.mask.planes)
        saturated = self._grown(template.mask.any_of("SAT"))
        mask.set_plane("SAT", saturated)
        mask.set_plane("BAD", template_bad & ~saturated & ~missing)
        mask.set_plane("NO_DATA", missing)
        return mask

    def _psf(self, science: Exposure, filter_: NDArray[np.float64]) -> object:
        if science.psf is None or filter_.size == 1:
            return science.psf
        return convolved_psf(science.psf, filter_, x=science.bbox.x.center, y=science.bbox.y.center)


def _require_same_frame(science: Exposure, template: Exposure) -> None:
    if science.bbox != template.bbox:
        raise InputError(
            f"science image covers {science.bbox.to_list()}, template {template.bbox.to_list()}",
            remedy="warp the template to the science image first",
        )
    if science.unit != template.unit:
        raise InputError(f"science image is in {science.unit!r}, template in {template.unit!r}")


def _missing(exposure: Exposure) -> NDArray[np.bool_]:
    """Return the pixels without value or without noise."""
    finite = np.isfinite(exposure.image.array) & np.isfinite(exposure.variance.array)
    return exposure.mask.any_of("NO_DATA") | ~finite


def _filled(image: Image, missing: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(missing, np.float32(0.0), image.array)


def _masked(array: NDArray[np.float32], missing: NDArray[np.bool_], science: Exposure) -> Image:
    return Image(np.where(missing, np.float32(np.nan), array), science.bbox)


def _pedestal(difference: NDArray[np.float32], excluded: NDArray[np.bool_]) -> np.float32:
    """Return the median of the sky: the fit's mean is drawn by transients in the stamps."""
    sky = difference[~excluded]
    return np.float32(np.median(sky)) if sky.size >= 100 else np.float32(0.0)


def _kernel_samples(kernel: MatchingKernel) -> NDArray[np.float64]:
    """Return the kernel at 3 x 3 places, shape (9, k, k)."""
    x = np.linspace(kernel.bbox.x.start, kernel.bbox.x.stop - 1, 7)[1::2]
    y = np.linspace(kernel.bbox.y.start, kernel.bbox.y.stop - 1, 7)[1::2]
    return np.array([kernel.at(x=float(xi), y=float(yi)) for yi in y for xi in x])


def _convolved_variance(
    variance: NDArray[np.float32], kernel: NDArray[np.float64], noise: NoiseAutocorrelation | None
) -> NDArray[np.float32]:
    """Return the template's noise power at zero frequency after convolution: what remains once white."""
    total = 1.0 if noise is None else max(float(noise.kernel.sum()), 1e-6)
    square = kernel**2
    spread = convolve(np.ascontiguousarray(variance), (square / square.sum()).astype(np.float32))
    return np.asarray(spread * np.float32(total * kernel.sum() ** 2))


def _normal_quantile(probability: float) -> float:
    """Return the limit below which the absolute value of a standard normal lies with this probability."""
    return float(ndtri(0.5 + 0.5 * probability))


def _facts(fit: KernelFit, model_error: float) -> dict[str, float]:
    """Return what the report shows, JSON-able."""
    bbox = fit.kernel.bbox
    ratio = fit.kernel.flux_ratio(x=np.array([bbox.x.center]), y=np.array([bbox.y.center]))
    return {
        "kernelSum": float(ratio[0]),
        "kernelStars": int(fit.used.sum()),
        "kernelChi2": fit.chi2_per_pixel,
        "modelError": model_error,
    }
