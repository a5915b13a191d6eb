"""Noise of the fluxes of one exposure, and how deep it goes."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.simulate.catalogs.psf_size import PsfSize, psf_size
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.surveys.catalog_spec import CatalogSpec
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.telescope.spec import VignettingSpec
from etendue.simulate.telescope.vignetting import vignetting_at

Vector = NDArray[np.float64]

NJY_ZERO_POINT = 31.4
_DEPTH_SNR = 5.0
_LEAST_SHARE = 1e-3
_DOUBLINGS = 60
_HALVINGS = 42
_BELOW_FLOOR = 0.9  # no source has a higher signal-to-noise ratio than 1 / floor


@dataclass(frozen=True, slots=True)
class Depth:
    """What decides the noise of an exposure's fluxes.

    Parameters
    ----------
    psf : PsfSize
        The PSF.
    zero_point_mag : float
        AB magnitude above the air that yields one electron.
    sky_electrons : float
        Sky of a pixel on the axis [e].
    sky_gradient : (float, float)
        Its relative change along the focal plane's axes [1/deg].
    read_variance : float
        Square of the read noise of a pixel [e**2].
    psf_px : float
        Noise-equivalent area [px].
    vignetting : VignettingSpec or None
        Loss of light.
    floor : float
        Relative error of the brightest fluxes.
    given_mag : float or None
        Depth that replaces sky and read noise [AB mag].
    """

    psf: PsfSize
    zero_point_mag: float
    sky_electrons: float
    sky_gradient: tuple[float, float]
    read_variance: float
    psf_px: float
    vignetting: VignettingSpec | None
    floor: float
    given_mag: float | None = None

    @classmethod
    def of(cls, survey: Survey, spec: CatalogSpec, exposure: PlannedExposure, read_variance: float) -> Self:
        """Return the depth of an exposure.

        Parameters
        ----------
        survey : Survey
            The survey.
        spec : CatalogSpec
            Depths that are given, floor.
        exposure : PlannedExposure
            One of the survey's exposures.
        read_variance : float
            Square of the read noise of a pixel [e**2].

        Returns
        -------
        Depth
        """
        scale = survey.camera.plate_scale
        bandpass = survey.bandpasses[exposure.band]
        psf = psf_size(survey.spec.telescope, exposure.seeing_arcsec, bandpass.pivot_nm, scale)
        # The sky's brightness is that below the air: it is not dimmed once more.
        clear = survey.zero_point_mag(exposure, below_air=True)
        return cls(
            psf, survey.zero_point_mag(exposure), scale**2 * 10.0 ** (-0.4 * (exposure.sky_mag_arcsec2 - clear)),
            exposure.sky_gradient, read_variance, psf.area_arcsec2 / scale**2,
            survey.spec.telescope.vignetting, spec.photometric_floor, spec.depth_mag.get(exposure.band),
        )  # fmt: skip

    def at(self, field_x: Vector, field_y: Vector) -> "Noise":
        """Return the noise at places of the focal plane.

        Parameters
        ----------
        field_x, field_y : ndarray, float64, shape (n,)
            Field angles [deg].

        Returns
        -------
        Noise
        """
        share = np.ones(field_x.size)
        if self.vignetting is not None:
            share = np.maximum(vignetting_at(self.vignetting, np.hypot(field_x, field_y)), _LEAST_SHARE)
        electron_njy = 10.0 ** (0.4 * (NJY_ZERO_POINT - self.zero_point_mag)) / share
        if self.given_mag is not None:
            flux = njy(self.given_mag)
            variance = np.maximum(
                (flux / _DEPTH_SNR) ** 2 - flux * electron_njy - (self.floor * flux) ** 2, 1e-6 * flux
            )
            return Noise(variance, electron_njy, self.floor)
        sky = self.sky_electrons * (1.0 + self.sky_gradient[0] * field_x + self.sky_gradient[1] * field_y)
        return Noise(self.psf_px * (sky * share + self.read_variance) * electron_njy**2, electron_njy, self.floor)

    @property
    def magnitude(self) -> float:
        """Magnitude on the axis of a point with a signal-to-noise ratio of 5 [AB mag]."""
        return float(self.at(np.zeros(1), np.zeros(1)).five_sigma_mag()[0])


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """Noise of PSF fluxes at n places.

    Parameters
    ----------
    variance : ndarray, float64, shape (n,)
        Where there is no source [nJy**2].
    electron_njy : ndarray, float64, shape (n,)
        Flux of one electron [nJy].
    floor : float
        Relative error of the brightest fluxes.
    images : int
        Number of images in the template, 0 for no template.
    """

    variance: Vector
    electron_njy: Vector
    floor: float
    images: int = 0

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "Noise":
        """Return the noise at some of the places.

        Parameters
        ----------
        rows : ndarray
            Row numbers or a mask.

        Returns
        -------
        Noise
        """
        return replace(self, variance=self.variance[rows], electron_njy=self.electron_njy[rows])

    def science(self, flux: Vector) -> Vector:
        """Return errors of fluxes on the image [nJy].

        Parameters
        ----------
        flux : ndarray, float64, shape (n,)
            Fluxes on the image [nJy].

        Returns
        -------
        ndarray, float64, shape (n,)
        """
        light = np.maximum(flux, 0.0)
        return np.sqrt(self.variance + self.electron_njy * light + (self.floor * light) ** 2)

    def template(self, flux: Vector) -> Vector:
        """Return errors of fluxes on the template [nJy].

        Parameters
        ----------
        flux : ndarray, float64, shape (n,)
            Fluxes on the template [nJy].

        Returns
        -------
        ndarray, float64, shape (n,)
            0 without a template.
        """
        if self.images == 0:
            return np.zeros(flux.size)
        return np.sqrt((self.variance + self.electron_njy * np.maximum(flux, 0.0)) / self.images)

    def difference(self, flux: Vector, template: Vector) -> Vector:
        """Return errors of differences between image and template [nJy].

        Parameters
        ----------
        flux : ndarray, float64, shape (n,)
            Differences [nJy].
        template : ndarray, float64, shape (n,)
            Fluxes on the template [nJy].

        Returns
        -------
        ndarray, float64, shape (n,)
        """
        return np.hypot(self.science(flux + template), self.template(template))

    def flux_of(self, snr: Vector, template: Vector) -> Vector:
        """Return the differences that have some signal-to-noise ratios.

        Parameters
        ----------
        snr : ndarray, float64, shape (n,)
            Ratios, negative ones for negative differences; at most 0.9 of what the floor allows is reached.
        template : ndarray, float64, shape (n,)
            Fluxes on the template [nJy].

        Returns
        -------
        ndarray, float64, shape (n,)
            Differences [nJy].
        """
        sign, ratio = np.sign(snr), np.abs(snr)
        if self.floor > 0.0:
            ratio = np.minimum(ratio, _BELOW_FLOOR / self.floor)
        low, high = np.zeros(snr.size), 2.0 * ratio * self.difference(np.zeros(snr.size), template)
        for _ in range(_DOUBLINGS):
            short = high < ratio * self.difference(sign * high, template)
            if not short.any():
                break
            high = np.where(short, 2.0 * high, high)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            short = middle < ratio * self.difference(sign * middle, template)
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        return sign * high

    def five_sigma_mag(self) -> Vector:
        """Return the magnitudes of points with a signal-to-noise ratio of 5.

        Returns
        -------
        ndarray, float64, shape (n,)
            [AB mag].
        """
        five = np.full(self.variance.size, _DEPTH_SNR)
        return np.asarray(NJY_ZERO_POINT - 2.5 * np.log10(self.flux_of(five, np.zeros(five.size))))


def njy(mag: ArrayLike) -> Vector:
    """Return the fluxes of AB magnitudes.

    Parameters
    ----------
    mag : array_like
        Magnitudes; what is not a number has no light [AB mag].

    Returns
    -------
    ndarray, float64
        [nJy].
    """
    values = np.asarray(mag, np.float64)
    finite = np.isfinite(values)
    return np.where(finite, 10.0 ** (-0.4 * (np.where(finite, values, 0.0) - NJY_ZERO_POINT)), 0.0)
