"""Fluxes, trails and shapes with their noise, and errors that follow from what was measured only."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.catalogs.depth import Noise
from etendue.simulate.catalogs.expected import Expected
from etendue.simulate.catalogs.psf_size import PsfSize
from etendue.simulate.catalogs.trails import along_error, power_fraction, psf_fraction, squared_length_error

Vector = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]

_TRAIL_SNR = 3.0  # a trail is one if its squared length is so many errors above zero
_ANY_DIRECTION = np.sqrt(1.0 / 12.0) * np.pi
_SHAPE_ERROR = 2.0**1.5  # of a second moment, relative, times the signal-to-noise ratio
_EXTENDED_SNR = 3.0
_EXTENDED_LEAST = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Measurements; columns of shape (n,), angles in the frame of the sky.

    Parameters
    ----------
    psf_flux, psf_flux_err : ndarray, float64
        Fit of the PSF [nJy].
    template_flux, template_flux_err : ndarray, float64
        On the template [nJy].
    science_flux, science_flux_err : ndarray, float64
        On the image [nJy].
    trail_flux, trail_flux_err : ndarray, float64
        Fit of a trail [nJy].
    length, length_err : ndarray, float64
        Its length [arcsec].
    bearing_deg, bearing_err_deg : ndarray, float64
        Its direction, from north through east, 0 to 180 [deg].
    is_trail : ndarray, bool
        Whether the length is significant.
    east, north : ndarray, float64
        Error that was made in the position [arcsec].
    east_var, north_var, east_north : ndarray, float64
        Covariance of that error [arcsec**2].
    ixx, iyy, ixy : ndarray, float64
        Second moments along east, along north, mixed [arcsec**2].
    moment_err : ndarray, float64
        Relative error of the first two.
    extendedness : ndarray, float64
        1 for what is larger than the PSF, else 0.
    total_flux, total_flux_err : ndarray, float64
        PSF flux, of what is extended corrected for its size [nJy].
    """

    psf_flux: Vector
    psf_flux_err: Vector
    template_flux: Vector
    template_flux_err: Vector
    science_flux: Vector
    science_flux_err: Vector
    trail_flux: Vector
    trail_flux_err: Vector
    length: Vector
    length_err: Vector
    bearing_deg: Vector
    bearing_err_deg: Vector
    is_trail: NDArray[np.bool_]
    east: Vector
    north: Vector
    east_var: Vector
    north_var: Vector
    east_north: Vector
    ixx: Vector
    iyy: Vector
    ixy: Vector
    moment_err: Vector
    extendedness: Vector
    total_flux: Vector
    total_flux_err: Vector

    @property
    def snr(self) -> Vector:
        """Signal-to-noise ratio of the PSF flux, of either sign."""
        return self.psf_flux / self.psf_flux_err

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Self:
        """Return some rows.

        Parameters
        ----------
        rows : ndarray
            Row numbers or a mask.

        Returns
        -------
        Measured
        """
        return type(self)(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @classmethod
    def concat(cls, parts: "Sequence[Measured]") -> Self:
        """Join rows.

        Parameters
        ----------
        parts : sequence of Measured
            At least one.

        Returns
        -------
        Measured
        """
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})


def measure(
    rng: np.random.Generator, expected: Expected, noise: Noise, psf: PsfSize, *, floor_arcsec: float
) -> Measured:
    """Draw the noise of sources.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    expected : Expected
        Sources.
    noise : Noise
        Noise at their places.
    psf : PsfSize
        The PSF.
    floor_arcsec : float
        Error per axis of the brightest positions [arcsec].

    Returns
    -------
    Measured
        Every error is a function of measured values alone, so that it tells nothing that these do not.
    """
    fluxes = _fluxes(rng, expected, noise)
    trail = _trail(rng, expected, fluxes, psf.sigma_arcsec)
    place = _place(rng, trail, psf, floor_arcsec)
    shape = _shape(rng, expected, fluxes, psf.sigma_arcsec)
    return Measured(**fluxes, **{name: trail[name] for name in _TRAIL_COLUMNS}, **place, **shape)


_TRAIL_COLUMNS = (
    "trail_flux", "trail_flux_err", "length", "length_err", "bearing_deg", "bearing_err_deg", "is_trail",
)  # fmt: skip


def _fluxes(rng: np.random.Generator, expected: Expected, noise: Noise) -> Columns:
    """Draw fluxes on template and image; false detections get the flux that their signal-to-noise ratio needs."""
    on_template, on_image = rng.normal(size=(2, len(expected)))
    template = expected.template + noise.template(expected.template) * on_template
    science = expected.template + expected.psf_flux
    science = science + noise.science(science) * on_image
    psf_flux = science - template
    false = np.flatnonzero(np.isfinite(expected.snr))
    if false.size:
        psf_flux[false] = noise.take(false).flux_of(expected.snr[false], template[false])
        science[false] = template[false] + psf_flux[false]
    return {
        "psf_flux": psf_flux, "psf_flux_err": noise.difference(psf_flux, template), "template_flux": template,
        "template_flux_err": noise.template(template), "science_flux": science,
        "science_flux_err": noise.science(science),
    }  # fmt: skip


def _trail(rng: np.random.Generator, expected: Expected, fluxes: Columns, sigma: float) -> Columns:
    """Draw the fit of a trail; its flux shares the noise of the PSF flux as far as the profiles overlap."""
    own, of_length, of_angle, any_angle = rng.normal(size=(4, len(expected)))
    u, err = expected.length_arcsec / sigma, fluxes["psf_flux_err"]
    fraction, power = psf_fraction(u), power_fraction(u)
    false = np.isfinite(expected.snr)
    total = np.where(false, fluxes["psf_flux"] / fraction, expected.flux)
    residual = np.where(false, 0.0, (fluxes["psf_flux"] - expected.psf_flux) / err)
    shared = np.minimum(fraction / np.sqrt(power), 1.0)
    flux = total + err / np.sqrt(power) * (shared * residual + np.sqrt(1.0 - shared**2) * own * ~false)
    ratio = np.maximum(np.abs(flux) * np.sqrt(power) / err, 1.0)
    square = u**2 + squared_length_error(u) / ratio * of_length
    length = np.sqrt(np.maximum(square, 0.0))
    plain = np.maximum(np.abs(fluxes["psf_flux"]) / err, 1.0)
    is_trail = square > _TRAIL_SNR * squared_length_error(np.zeros(1)) / plain
    flux_err = err / np.sqrt(power_fraction(np.where(is_trail, length, 0.0)))
    flux = np.where(is_trail, flux, fluxes["psf_flux"])  # else the slightest motion would tell a body from noise
    ratio = np.where(is_trail, np.maximum(np.abs(flux) / flux_err, 1.0), plain)
    square_err = squared_length_error(length) / ratio
    angle_err = np.sqrt(24.0) / (ratio * np.maximum(length, 1e-3))
    known = is_trail & (angle_err < _ANY_DIRECTION)
    bearing = np.where(known, np.radians(expected.bearing_deg) + angle_err * of_angle, 1e3 * any_angle)
    return {
        "trail_flux": flux, "trail_flux_err": flux_err, "length": sigma * length,
        "length_err": sigma * np.minimum(square_err / np.maximum(2.0 * length, 1e-9), np.sqrt(square_err)),
        "bearing_deg": np.degrees(bearing) % 180.0,
        "bearing_err_deg": np.degrees(np.where(known, angle_err, _ANY_DIRECTION)),
        "is_trail": is_trail, "ratio": ratio, "stretch": along_error(np.where(is_trail, length, 0.0)),
    }  # fmt: skip


def _place(rng: np.random.Generator, trail: Columns, psf: PsfSize, floor: float) -> Columns:
    """Draw errors of positions: larger along a trail than across it."""
    on_axis, off_axis, east, north = rng.normal(size=(4, trail["ratio"].size))
    across = psf.centroid_arcsec / trail["ratio"]
    along = across * trail["stretch"]
    sine, cosine = np.sin(np.radians(trail["bearing_deg"])), np.cos(np.radians(trail["bearing_deg"]))
    return {
        "east": along * on_axis * sine + across * off_axis * cosine + floor * east,
        "north": along * on_axis * cosine - across * off_axis * sine + floor * north,
        "east_var": (along * sine) ** 2 + (across * cosine) ** 2 + floor**2,
        "north_var": (along * cosine) ** 2 + (across * sine) ** 2 + floor**2,
        "east_north": (along**2 - across**2) * sine * cosine,
    }


def _shape(rng: np.random.Generator, expected: Expected, fluxes: Columns, sigma: float) -> Columns:
    """Draw second moments, and from their size whether a source is extended."""
    noise = rng.normal(size=(3, len(expected)))
    sine, cosine = np.sin(np.radians(expected.bearing_deg)), np.cos(np.radians(expected.bearing_deg))
    drawn_out = expected.length_arcsec**2 / 12.0
    error = _SHAPE_ERROR / np.maximum(np.abs(fluxes["psf_flux"] / fluxes["psf_flux_err"]), 1.0)
    ixx = (sigma**2 + expected.moments[:, 0] + drawn_out * sine**2) * np.maximum(1.0 + error * noise[0], 0.1)
    iyy = (sigma**2 + expected.moments[:, 1] + drawn_out * cosine**2) * np.maximum(1.0 + error * noise[1], 0.1)
    ixy = expected.moments[:, 2] + drawn_out * sine * cosine + np.sqrt(0.5 * ixx * iyy) * error * noise[2]
    excess = 0.5 * (ixx + iyy) / sigma**2 - 1.0
    larger = excess > np.maximum(_EXTENDED_SNR * np.sqrt(0.5) * error, _EXTENDED_LEAST)
    lost = np.sqrt(np.maximum((sigma**2 + ixx) * (sigma**2 + iyy) - ixy**2, sigma**4)) / (2.0 * sigma**2)
    lost = np.where(larger, lost, 1.0)
    spread = larger * (ixx / (sigma**2 + ixx) + iyy / (sigma**2 + iyy))  # errors of the moments, in those of the flux
    return {
        "ixx": ixx, "iyy": iyy, "ixy": ixy, "moment_err": error, "extendedness": larger.astype(float),
        "total_flux": fluxes["psf_flux"] * lost,
        "total_flux_err": fluxes["psf_flux_err"] * lost * np.hypot(1.0, spread),
    }  # fmt: skip
