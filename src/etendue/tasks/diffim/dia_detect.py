"""Detect and measure sources of either sign on a difference image."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.spatial import cKDTree

from etendue.errors import InputError
from etendue.image.exposure import Exposure
from etendue.image.footprint import FootprintSet
from etendue.image.psf import Psf
from etendue.kernels.moments import adaptive_moments
from etendue.kernels.photometry import mask_bits
from etendue.tasks.detect.detect import DetectConfig, DetectTask, NoiseModel
from etendue.tasks.diffim.dipole_columns import dipole_columns
from etendue.tasks.diffim.point_source_fit import PointSourceFit, fit_point_sources, gather_stamps
from etendue.tasks.task import Task, TaskConfig

Columns = Mapping[str, NDArray]

_FLAG_PLANES = {
    "bad": "BAD",
    "cr": "CR",
    "edge": "EDGE",
    "nodata": "NO_DATA",
    "interpolated": "INTRP",
    "saturated": "SAT",
    "suspect": "SUSPECT",
    "streak": "STREAK",
    "injected": "INJECTED",
}
_CENTRE_FLAGS = ("cr", "nodata", "interpolated", "saturated", "suspect", "streak", "injected")


class DifferenceDetectTask(DetectTask):
    """Detection that takes the variance plane as it stands.

    On a difference the noise does not follow from the pixel value, so it is not modelled from it as on
    a single exposure; and there is no sky left to subtract.
    """

    def _noise_model(self, exposure: Exposure) -> NoiseModel:
        return NoiseModel(np.zeros((1, 1)), 0, 0.0)


class DiaDetectConfig(TaskConfig):
    """Detection and measurement on differences."""

    detect: DetectConfig = DetectConfig(
        polarity="both", bad_planes=("NO_DATA", "BAD", "SAT", "CR", "EDGE", "VIGNETTED", "STREAK")
    )
    """Matched-filter detection; not where the pupil is vignetted, for there the sky changes from frame to frame."""

    bad_planes: tuple[str, ...] = ("NO_DATA", "BAD", "SAT")
    """Mask planes whose pixels are not measured."""

    fit_widths: float = Field(2.0, gt=0.0)
    """Half-size of fitted stamps in units of the PSF's FWHM."""

    iterations: int = Field(4, ge=0)
    """Position updates."""

    ap_radius: float = Field(6.0, gt=0.0)
    """Radius of the aperture flux [px]."""

    flag_half: int = Field(3, ge=1)
    """Half-size of the square whose mask planes flag a source [px]; the centre's is 1."""

    dipole_widths: float = Field(2.0, gt=0.0)
    """Distance within which a lobe of opposite sign is looked for, in units of the FWHM."""

    dipole_fraction: float = Field(0.4, gt=0.0)
    """Opposite lobe over main lobe, in S/N per pixel, that makes a dipole."""

    dipole_snr: float = Field(3.5, gt=0.0)
    """S/N of the opposite lobe's brightest pixel that makes a dipole."""


@dataclass(frozen=True, slots=True)
class DiaDetectResult:
    """Detections on one difference image.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n,)
        Named as in the ``dia_source`` schema; fluxes in the image's unit, ordered as detected.
    footprints : FootprintSet
        Of all detections.
    exposure : Exposure
        The difference with DETECTED and DETECTED_NEGATIVE set.
    """

    columns: Columns
    footprints: FootprintSet
    exposure: Exposure

    def __len__(self) -> int:
        return int(self.columns["x"].size)


class DiaDetectTask(Task[DiaDetectConfig]):
    """Both polarities; point-source fits on the difference, forced on science and template."""

    def run(self, *, difference: Exposure, science: Exposure, matched_template: Exposure) -> DiaDetectResult:
        """Detect and measure.

        Parameters
        ----------
        difference : Exposure
            With PSF and WCS.
        science, matched_template : Exposure
            On the same box; both are measured with the science PSF, to which the template was matched.

        Returns
        -------
        DiaDetectResult

        Raises
        ------
        InputError
            If the difference has no PSF or no WCS.
        """
        if difference.psf is None or difference.wcs is None:
            raise InputError("a difference image needs PSF and WCS before sources are measured on it")
        found = DifferenceDetectTask(self.config.detect).run(exposure=difference)
        psf = difference.psf
        fwhm = _fwhm(psf, difference)
        bad = difference.mask.any_of(self.config.bad_planes)
        half = max(3, int(np.ceil(self.config.fit_widths * fwhm)))
        fit = fit_point_sources(
            exposure=difference, psf=psf, x=found.x, y=found.y, bad=bad, half=half, iterations=self.config.iterations
        )
        x, y = np.where(np.isfinite(fit.x), fit.x, found.x), np.where(np.isfinite(fit.y), fit.y, found.y)
        columns: dict[str, NDArray] = {
            "x": x,
            "y": y,
            "xErr": fit.x_err,
            "yErr": fit.y_err,
            "x_y_Cov": fit.xy_cov,
            "centroid_flag": ~(fit.x_err < fwhm),
            "isNegative": found.is_negative,
            "snr": found.peak_snr,
            **_psf_columns(fit),
            **_sky_columns(difference, fit, x, y),
            **self._aperture_columns(difference, bad, x, y),
            **self._forced_columns(science, matched_template, psf, bad, x, y, half),
            **self._shape_columns(difference, psf, bad, fit, x, y, half),
            **self._dipole_columns(difference, bad, found.is_negative, x, y, fwhm),
            **self._flag_columns(difference, x, y),
        }
        single = _without_twins(x, y, found.is_negative, np.abs(fit.flux / fit.flux_err), 0.75 * fwhm)
        return DiaDetectResult(
            {name: column[single] for name, column in columns.items()}, found.footprints, found.exposure
        )

    def _aperture_columns(
        self, difference: Exposure, bad: NDArray[np.bool_], x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> dict[str, NDArray]:
        """Sum pixels in a circle, those on its edge by the distance of their centre."""
        radius = self.config.ap_radius
        half = int(np.ceil(radius + 1.0))
        columns, rows = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
        data, weight = gather_stamps(difference, bad, columns, rows, half)
        offset = np.arange(-half, half + 1)
        dx = columns[:, None, None] + offset[None, None, :] - x[:, None, None]
        dy = rows[:, None, None] + offset[None, :, None] - y[:, None, None]
        share = np.clip(radius + 0.5 - np.hypot(dx, dy), 0.0, 1.0)
        truncated = ((share > 0.0) & (weight == 0.0)).any(axis=(1, 2))
        variance = np.where(weight > 0.0, 1.0 / np.where(weight > 0.0, weight, 1.0), 0.0)
        return {
            "apFlux": np.where(truncated, np.nan, (share * data).sum(axis=(1, 2))),
            "apFluxErr": np.where(truncated, np.nan, np.sqrt((share**2 * variance).sum(axis=(1, 2)))),
            "apFlux_flag": truncated,
            "apFlux_flag_apertureTruncated": truncated,
        }

    def _forced_columns(
        self,
        science: Exposure,
        matched_template: Exposure,
        psf: Psf,
        bad: NDArray[np.bool_],
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        half: int,
    ) -> dict[str, NDArray]:
        psf = science.psf or psf
        columns: dict[str, NDArray] = {}
        for name, exposure in (("science", science), ("template", matched_template)):
            forced = fit_point_sources(exposure=exposure, psf=psf, x=x, y=y, bad=bad, half=half, iterations=0)
            columns[f"{name}Flux"], columns[f"{name}FluxErr"] = forced.flux, forced.flux_err
            if name == "science":
                columns["forced_PsfFlux_flag"] = ~np.isfinite(forced.flux)
                columns["forced_PsfFlux_flag_noGoodPixels"] = forced.n_pixels == 0
                columns["forced_PsfFlux_flag_edge"] = forced.truncated
        return columns

    def _shape_columns(
        self,
        difference: Exposure,
        psf: Psf,
        bad: NDArray[np.bool_],
        fit: PointSourceFit,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        half: int,
    ) -> dict[str, NDArray]:
        """Measure adaptive moments [arcsec**2], in pixel axes."""
        columns, rows = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
        data, weight = gather_stamps(difference, bad, columns, rows, half)
        data = np.ascontiguousarray(data * np.where(fit.flux < 0.0, -1.0, 1.0)[:, None, None])
        centre_x, centre_y = x - columns + half, y - rows + half
        moments = adaptive_moments(data, np.ascontiguousarray(weight == 0.0), centre_x, centre_y, 0.5 * half, 100)[:3]
        scale = float(difference.wcs.pixel_scale()) ** 2 if difference.wcs is not None else np.nan
        of_psf = psf.moments(x=x, y=y) if x.size else (x, x, x)
        result = {name: value * scale for name, value in zip(("ixx", "iyy", "ixy"), moments, strict=True)}
        result |= {name: value * scale for name, value in zip(("ixxPSF", "iyyPSF", "ixyPSF"), of_psf, strict=True)}
        return {**result, "shape_flag": ~np.isfinite(moments[0])}

    def _dipole_columns(
        self,
        difference: Exposure,
        bad: NDArray[np.bool_],
        negative: NDArray[np.bool_],
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        fwhm: float,
    ) -> dict[str, NDArray]:
        """Look for a lobe of opposite sign next to each source, and fit both where there is one."""
        reach = self.config.dipole_widths * fwhm
        half = int(np.ceil(reach))
        columns, rows = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
        data, weight = gather_stamps(difference, bad, columns, rows, half)
        offset = np.arange(-half, half + 1)
        near = np.hypot(offset[:, None], offset[None, :]) <= reach
        snr = np.where(near, data * np.sqrt(weight) * np.where(negative, -1.0, 1.0)[:, None, None], 0.0)
        main, opposite = snr.max(axis=(1, 2), initial=0.0), -snr.min(axis=(1, 2), initial=0.0)
        is_dipole = (opposite > self.config.dipole_snr) & (opposite > self.config.dipole_fraction * main)
        return {"isDipole": is_dipole, **dipole_columns(difference, bad, x, y, fwhm, is_dipole)}

    def _flag_columns(self, difference: Exposure, x: NDArray[np.float64], y: NDArray[np.float64]) -> dict[str, NDArray]:
        mask, bbox = difference.mask, difference.bbox
        columns = np.rint(x).astype(np.int64) - bbox.x.start
        rows = np.rint(y).astype(np.int64) - bbox.y.start
        planes = np.ascontiguousarray(mask.array)
        around = mask_bits(planes, columns, rows, self.config.flag_half)
        centre = mask_bits(planes, columns, rows, 1)
        flags = {f"pixelFlags_{name}": (around & mask.bits(plane)) != 0 for name, plane in _FLAG_PLANES.items()}
        flags |= {f"pixelFlags_{name}Center": (centre & mask.bits(_FLAG_PLANES[name])) != 0 for name in _CENTRE_FLAGS}
        flags["pixelFlags_clipped"] = (around & mask.bits("CLIPPED")) != 0
        flags["pixelFlags_offimage"] = ~bbox.contains(x=x, y=y)
        return flags


def _fwhm(psf: Psf, exposure: Exposure) -> float:
    """Return the FWHM of the Gaussian with the PSF's effective area [px]."""
    area = float(psf.effective_area(x=exposure.bbox.x.center, y=exposure.bbox.y.center)[0])
    return float(np.sqrt(area * 2.0 * np.log(2.0) / np.pi))


def _psf_columns(fit: PointSourceFit) -> dict[str, NDArray]:
    missing = ~np.isfinite(fit.flux)
    return {
        "psfFlux": fit.flux,
        "psfFluxErr": fit.flux_err,
        "psfChi2": fit.chi2,
        "psfNdata": fit.n_pixels.astype(np.int32),
        "psfFlux_flag": missing,
        "psfFlux_flag_noGoodPixels": missing,
        "psfFlux_flag_edge": fit.truncated,
    }


def _sky_columns(
    difference: Exposure, fit: PointSourceFit, x: NDArray[np.float64], y: NDArray[np.float64]
) -> dict[str, NDArray]:
    """Propagate positions and their covariance to the sky [deg]."""
    assert difference.wcs is not None
    ra, dec = difference.wcs.pixel_to_sky(x=x, y=y)
    jacobian = difference.wcs.jacobian(x=x, y=y) / 3600.0
    pixel = np.empty((x.size, 2, 2))
    pixel[:, 0, 0], pixel[:, 1, 1] = fit.x_err**2, fit.y_err**2
    pixel[:, 0, 1] = pixel[:, 1, 0] = fit.xy_cov
    sky = jacobian @ pixel @ jacobian.transpose(0, 2, 1)
    return {
        "ra": ra,
        "dec": dec,
        "raErr": np.sqrt(sky[:, 0, 0]),
        "decErr": np.sqrt(sky[:, 1, 1]),
        "ra_dec_Cov": sky[:, 0, 1],
    }


def _without_twins(
    x: NDArray[np.float64], y: NDArray[np.float64], negative: NDArray[np.bool_], snr: NDArray[np.float64], radius: float
) -> NDArray[np.bool_]:
    """Keep one of several peaks of one polarity whose fits fell on the same place.

    The noise of a residual is largest at its centre, so its significance can peak on both sides of it.
    """
    keep = np.ones(x.size, np.bool_)
    pairs = (
        cKDTree(np.stack([x, y], axis=-1)).query_pairs(radius, output_type="ndarray") if x.size else np.zeros((0, 2))
    )
    for first, second in pairs.astype(np.int64):
        if negative[first] == negative[second] and keep[first] and keep[second]:
            keep[second if np.nan_to_num(snr[first]) >= np.nan_to_num(snr[second]) else first] = False
    return keep
