"""The PSF of a detector: air, rays of the aberrated pupil, diffraction, refraction and jitter."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.random_streams import stream
from etendue.simulate.telescope.atmosphere import kolmogorov_transfer, moffat_transfer, von_karman_transfer
from etendue.simulate.telescope.chip_psf import ChipPsf
from etendue.simulate.telescope.field_angle import DetectorPlace
from etendue.simulate.telescope.pupil import Pupil
from etendue.simulate.telescope.random_field import RandomField, scalar_fields
from etendue.simulate.telescope.refraction import refraction_arcsec
from etendue.simulate.telescope.spec import AirSpec, OpticsSpec, TelescopeSpec

Vector = NDArray[np.float64]

_REFERENCE_S = 30.0
_SQRT_3 = 3.0**0.5


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Samples of a PSF image and its frequencies."""

    size: int
    step_arcsec: float
    kx: Vector
    ky: Vector

    @classmethod
    def of(cls, spec: TelescopeSpec, arcsec_per_px: float) -> "_Grid":
        size = 2 * spec.psf_half_width_px * spec.oversampling + 1
        step = arcsec_per_px / spec.oversampling
        kx, ky = np.meshgrid(np.fft.rfftfreq(size, step), np.fft.fftfreq(size, step))
        return cls(size, step, kx, ky)


def make_chip_psf(
    spec: TelescopeSpec, camera: Camera, detector: Detector, exposure: PlannedExposure, bandpass: Bandpass, seed: int
) -> ChipPsf:
    """Return the PSF of a detector in an exposure.

    Parameters
    ----------
    spec : TelescopeSpec
        Air and optics.
    camera : Camera
        The camera.
    detector : Detector
        One of its detectors.
    exposure : PlannedExposure
        Seeing, zenith distance, rotation.
    bandpass : Bandpass
        The filter, whose pivot wavelength the PSF is for; its width elongates the PSF by refraction.
    seed : int
        Seed of the survey: aberrations and the air's ellipticity change from exposure to exposure.

    Returns
    -------
    ChipPsf
        x and y along the detector's rows and columns.
    """
    place = DetectorPlace.nominal(camera, detector)
    grid = _Grid.of(spec, camera.plate_scale)
    ny, nx = detector.bbox.shape
    nodes_x, nodes_y = _nodes(nx, spec.nodes), _nodes(ny, spec.nodes)
    fx, fy = place.to_field(x=nodes_x[None, :], y=nodes_y[:, None])
    e1, e2 = _air_ellipticity(spec.air, camera, exposure, seed).at(fx, fy)
    common = _common_transfer(spec, grid, exposure, bandpass, camera, place)
    pupil = Pupil.of(spec.optics) if spec.optics is not None else None
    images = np.empty((nodes_y.size, nodes_x.size, grid.size, grid.size), np.float32)
    for row, column in np.ndindex(nodes_y.size, nodes_x.size):
        at = row, column
        air = _air_transfer(spec.air, grid, exposure, bandpass.pivot_nm, float(e1[at]), float(e2[at]))
        transfer: NDArray[Any] = common * air
        if pupil is not None and spec.optics is not None:
            terms = wavefront(spec.optics, detector, exposure, float(fx[at]), float(fy[at]), seed)
            transfer = transfer * _ray_transfer(pupil, grid, *terms, place.turn_deg)
        images[at] = _image(transfer, grid)
    return ChipPsf(nodes_x, nodes_y, images, spec.oversampling, bandpass.pivot_nm, spec.air.chromatic_index)


def _nodes(size: int, count: int) -> Vector:
    return np.linspace(0.0, size - 1.0, count) if count > 1 else np.array([0.5 * (size - 1.0)])


def _air_ellipticity(spec: AirSpec, camera: Camera, exposure: PlannedExposure, seed: int) -> RandomField:
    reach = max(np.hypot(*d.center_mm) / d.pixel_size_mm + np.hypot(*d.bbox.shape) for d in camera.detectors)
    rms = spec.ellipticity * np.sqrt(_REFERENCE_S / max(exposure.exposure_time_s, 1.0))
    return scalar_fields(
        stream(seed, "air ellipticity", exposure.exposure), 2, rms=float(rms), scale_deg=spec.ellipticity_scale_deg,
        reach_deg=float(reach) * camera.plate_scale / 3600.0,
    )  # fmt: skip


def _air_transfer(
    spec: AirSpec, grid: _Grid, exposure: PlannedExposure, wavelength_nm: float, e1: float, e2: float
) -> Vector:
    """Return the air's transfer function, sheared to an ellipticity (a**2 - b**2) / (a**2 + b**2)."""
    root = np.sqrt(max(1.0 - e1**2 - e2**2, 1e-6))
    squares = ((1.0 + e1) * grid.kx**2 + (1.0 - e1) * grid.ky**2 + 2.0 * e2 * grid.kx * grid.ky) / root
    frequency = np.sqrt(np.maximum(squares, 0.0))
    if spec.profile == "kolmogorov":
        return kolmogorov_transfer(frequency, exposure.seeing_arcsec)
    if spec.profile == "moffat":
        return moffat_transfer(frequency, exposure.seeing_arcsec, spec.moffat_beta)
    return _tabulated_von_karman(frequency, exposure.seeing_arcsec, spec.outer_scale_m, wavelength_nm)


def _tabulated_von_karman(frequency: Vector, seeing: float, outer_scale_m: float, wavelength_nm: float) -> Vector:
    """Return the transfer function by a table: Bessel functions of every sample would take longer than the FFT."""
    table = np.linspace(0.0, float(frequency.max()) * 1.001, 4000)
    return np.interp(frequency, table, von_karman_transfer(table, seeing, outer_scale_m, wavelength_nm))


def _common_transfer(
    spec: TelescopeSpec,
    grid: _Grid,
    exposure: PlannedExposure,
    bandpass: Bandpass,
    camera: Camera,
    place: DetectorPlace,
) -> Vector:
    """Return what is the same all over the detector: jitter, diffraction, refraction inside the band."""
    transfer = np.ones_like(grid.kx)
    if spec.optics is not None:
        square = grid.kx**2 + grid.ky**2
        transfer *= np.exp(-2.0 * np.pi**2 * spec.optics.jitter_arcsec**2 * square)
        transfer *= Pupil.of(spec.optics).diffraction_transfer(np.sqrt(square), bandpass.pivot_nm)
    if spec.refraction:
        wave, through = bandpass.wavelength_nm, bandpass.throughput
        shift = refraction_arcsec(wave, exposure.zenith_deg)
        weight = through / np.trapezoid(through, wave)
        mean = np.trapezoid(weight * shift, wave)
        spread = np.sqrt(max(np.trapezoid(weight * (shift - mean) ** 2, wave), 0.0))
        angle = np.radians(exposure.parallactic_deg - exposure.rotation_deg)  # from the focal plane's y axis, eastward
        x, y = _on_rows(-np.sin(angle) if camera.parity_flipped else np.sin(angle), np.cos(angle), place.turn_deg)
        transfer *= np.exp(-2.0 * np.pi**2 * (spread * (x * grid.kx + y * grid.ky)) ** 2)
    return transfer


def _on_rows(x: float, y: float, turn_deg: float) -> tuple[float, float]:
    """Return a direction of the focal plane along the rows and columns of a detector; its sign does not matter."""
    cosine, sine = float(np.cos(np.radians(turn_deg))), float(np.sin(np.radians(turn_deg)))
    return cosine * x + sine * y, cosine * y - sine * x


def wavefront(
    spec: OpticsSpec, detector: Detector, exposure: PlannedExposure, fx: float, fy: float, seed: int
) -> tuple[NDArray[np.int64], Vector]:
    """Return the wavefront at a place of the field.

    Parameters
    ----------
    spec : OpticsSpec
        Aberrations, heights of detectors.
    detector : Detector
        Its height is defocus.
    exposure : PlannedExposure
        Aberrations change from exposure to exposure.
    fx, fy : float
        Field angle along the focal plane's axes [deg].
    seed : int
        Seed of the survey.

    Returns
    -------
    noll : ndarray, int64, shape (m,)
        Zernike terms; one that is named twice adds up. Pupil and focal plane have the same axes.
    amplitude_nm : ndarray, float64, shape (m,)
        Their rms amplitudes [nm].
    """
    rng = stream(seed, "aberrations", exposure.exposure)
    terms, amplitudes = [], []
    for entry in spec.zernikes:
        drawn = rng.standard_normal(3)
        tilt_x, tilt_y = np.asarray(entry.tilt) + entry.tilt_scatter * drawn[1:]
        terms.append(entry.noll)
        amplitudes.append(
            entry.constant + entry.scatter * drawn[0] + tilt_x * fx + tilt_y * fy + entry.bowl * (fx**2 + fy**2)
        )
    height = spec.heights_mm.get(detector.name, 0.0)
    terms.append(4)
    amplitudes.append(height * 1e6 / (16.0 * _SQRT_3 * spec.f_ratio**2))
    return np.array(terms, np.int64), np.array(amplitudes, float)


def _ray_transfer(
    pupil: Pupil, grid: _Grid, noll: NDArray[np.int64], amplitude_nm: Vector, turn_deg: float
) -> NDArray[np.complex128]:
    """Return the transfer function of the rays: their spots on the samples, transformed."""
    x, y = pupil.rays_arcsec(noll, amplitude_nm)
    cosine, sine = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    x, y = cosine * x + sine * y, cosine * y - sine * x
    column, row = x / grid.step_arcsec, y / grid.step_arcsec
    spots = np.zeros((grid.size, grid.size))
    left, low = np.floor(column).astype(int), np.floor(row).astype(int)
    for dx in (0, 1):
        for dy in (0, 1):
            weight = (1.0 - np.abs(column - left - dx)) * (1.0 - np.abs(row - low - dy))
            np.add.at(spots, ((low + dy) % grid.size, (left + dx) % grid.size), weight)
    return np.asarray(rfft2(spots / column.size))


def _image(transfer: NDArray[np.complex128] | Vector, grid: _Grid) -> NDArray[np.float32]:
    """Return the image of a transfer function: its centre in the middle, never negative, of unit sum."""
    image = np.fft.fftshift(irfft2(transfer, s=(grid.size, grid.size)))
    image = np.maximum(image, 0.0)
    return (image / image.sum()).astype(np.float32)
