"""Pictures of a simulated survey: what a user looks at before rendering all of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from etendue.app.survey_preview_frames import Mosaic, focal_plane
from etendue.app.survey_preview_sky import depth_mag, on_detectors, outlines, truth_curves, truth_tracks
from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.qa import survey_preview_plots as plots
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.population.layer import Layer
from etendue.simulate.surveys.calibration_plan import calibration_frames
from etendue.simulate.surveys.frames import calibration_frame
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.telescope.psf_model import make_chip_psf

Progress = Callable[[int, int], None]
Vector = NDArray[np.float64]

_PSF_HALF_WIDTHS = 3.0
_DONUT_PX = 32  # PSF images wider than that are wanted where stars are wide
_OUTLINES = 60
_POINTS_AND_GALAXIES = {"stars": ("stars", "crowded", "table"), "galaxies": ("galaxies",)}


@dataclass(frozen=True, slots=True)
class _Step:
    """One picture."""

    name: str
    draw: Callable[[], bytes]


def write_preview(survey: Survey, folder: Path, progress: Progress | None = None) -> list[Path]:
    """Write pictures of a survey.

    Parameters
    ----------
    survey : Survey
        The survey.
    folder : Path
        Made if needed.
    progress : callable, optional
        Called with the number of pictures that are made, and that are wanted.

    Returns
    -------
    list of Path
        ``cadence.png``; of surveys with pixels ``focal-plane.png`` (raw, in one band or three) and ``psf.png``; and
        where there is something to see, ``counts.png``, ``light-curves.png``, ``movers.png``,
        ``photon-transfer.png``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    steps = list(_steps(survey))
    written = []
    for done, step in enumerate(steps, start=1):
        path = folder / f"{step.name}.png"
        path.write_bytes(step.draw())
        written.append(path)
        if progress is not None:
            progress(done, len(steps))
    return written


def _steps(survey: Survey) -> Iterator[_Step]:
    names = {layer.name for layer in survey.layers}
    yield _Step("cadence", lambda: _cadence(survey))
    if survey.spec.catalog is None:
        yield _Step("focal-plane", lambda: _focal_plane(survey))
        yield _Step("psf", lambda: _psf(survey))
    if names & {"stars", "crowded", "table", "galaxies"}:
        yield _Step("counts", lambda: _counts(survey))
    if names & {"variables", "agn", "transients"}:
        curves = truth_curves(survey)
        if curves:
            yield _Step("light-curves", lambda: plots.curves_plot(curves))
    if names & {"moving", "comets"}:
        yield _Step("movers", lambda: _movers(survey))
    if survey.spec.calibrations.flat_pairs:
        yield _Step("photon-transfer", lambda: _photon_transfer(survey))


def picture_bands(bands: Sequence[str]) -> tuple[str, ...]:
    """Return the bands of a picture, from red to blue.

    Parameters
    ----------
    bands : sequence of str
        Bands in use, in order of wavelength.

    Returns
    -------
    tuple of str
        i, r, g where there are; the reddest, a middle and the bluest of others; two bands, or one.
    """
    if {"i", "r", "g"} <= set(bands):
        return ("i", "r", "g")
    if len(bands) > 3:
        return (bands[-1], bands[len(bands) // 2], bands[0])
    return tuple(bands[::-1])


def _focal_plane(survey: Survey) -> bytes:
    first = survey.exposures[0]
    mosaics = [focal_plane(survey, _in_band(survey, first, band)) for band in picture_bands(survey.bands)]
    red, blue = mosaics[0], mosaics[-1]
    green = mosaics[1] if len(mosaics) == 3 else _mean(red, blue)
    planes = [mosaic.pixels for mosaic in (red, green, blue)]
    return plots.focal_plane_png(plots.lupton(*planes, noise=[m.noise for m in (red, green, blue)]))


def _mean(one: Mosaic, other: Mosaic) -> Mosaic:
    return Mosaic(0.5 * (one.pixels + other.pixels), float(0.5 * np.hypot(one.noise, other.noise)))


def _in_band(survey: Survey, first: PlannedExposure, band: str) -> PlannedExposure:
    """Return the first exposure as it would have been in another band."""
    other = next(exposure for exposure in survey.exposures if exposure.band == band)
    return replace(
        first, band=band, exposure_time_s=other.exposure_time_s, seeing_arcsec=other.seeing_arcsec,
        sky_mag_arcsec2=other.sky_mag_arcsec2, cloud_mag=other.cloud_mag,
    )  # fmt: skip


def _cadence(survey: Survey) -> bytes:
    exposures = survey.exposures
    fields = np.unique([exposure.field for exposure in exposures], return_index=True)[1]
    chosen = np.union1d(fields, np.linspace(0, len(exposures) - 1, _OUTLINES).astype(int))
    first = exposures[0].ra_deg, exposures[0].dec_deg
    return plots.cadence_plot(
        [outline for number in chosen for outline in outlines(survey, exposures[number], *first)],
        np.array([exposure.mjd_tai_begin for exposure in exposures]),
        np.array([exposure.band for exposure in exposures]),
        np.array([exposure.seeing_arcsec for exposure in exposures]),
        np.array([depth_mag(survey, exposure) for exposure in exposures]),
    )


def _psf(survey: Survey) -> bytes:
    """Draw the PSF in the corners and the middle of every detector."""
    exposure = survey.exposures[0]
    places = sorted({d.center_mm[0] for d in survey.detectors}), sorted({d.center_mm[1] for d in survey.detectors})
    images = []
    for detector in survey.detectors:
        psf = make_chip_psf(
            survey.spec.telescope, survey.camera, detector, exposure, survey.bandpasses[exposure.band], survey.seed
        )
        middle = psf.images.shape[-1] // 2
        near = int(_PSF_HALF_WIDTHS * exposure.seeing_arcsec / survey.camera.plate_scale * psf.oversampling)
        half = middle if survey.spec.telescope.psf_half_width_px > _DONUT_PX else min(near, middle)
        cut = np.s_[middle - half : middle + half + 1, middle - half : middle + half + 1]
        rows, columns = (np.unique([0, size // 2, size - 1]) for size in psf.images.shape[:2])
        column, row = places[0].index(detector.center_mm[0]), places[1].index(detector.center_mm[1])
        for y, node_y in enumerate(rows):
            for x, node_x in enumerate(columns):
                name = detector.name if (y, x) == (rows.size - 1, columns.size // 2) else ""
                images.append((name, 4.0 * column + x, 4.0 * row + y, psf.images[node_y, node_x][cut]))
    return plots.psf_plot(images, f"PSF in {exposure.band}, square root of the surface brightness")


def _counts(survey: Survey) -> bytes:
    exposure = next((one for one in survey.exposures if one.band == "r"), survey.exposures[0])
    mags = {}
    for kind, names in _POINTS_AND_GALAXIES.items():
        found = [on_detectors(survey, exposure, layer).mag for layer in survey.layers if layer.name in names]
        if found and np.concatenate(found).size:
            mags[kind] = np.concatenate(found)
    pixels = sum(detector.bbox.area for detector in survey.detectors)
    area = pixels * (survey.camera.plate_scale / 3600.0) ** 2
    return plots.counts_plot(mags, area, exposure.band, depth_mag(survey, exposure))


def _movers(survey: Survey) -> bytes:
    layers: list[Layer] = [layer for layer in survey.layers if layer.name in ("moving", "comets")]
    tracks, dots = truth_tracks(survey, layers)
    first = survey.exposures[0]
    edges = [60.0 * outline for outline in outlines(survey, first, first.ra_deg, first.dec_deg)]
    return plots.movers_plot(tracks, dots, edges)


def _photon_transfer(survey: Survey) -> bytes:
    """Take the pairs of flats of the first detector."""
    detector = survey.detectors[0]
    first = survey.exposures[0].day_obs
    pairs = [frame for frame in calibration_frames(survey) if frame.kind == "flat" and frame.day_obs == first]
    pairs = pairs[-2 * len(survey.spec.calibrations.flat_pairs) :]
    flats = [calibration_frame(survey, frame, detector).raw for frame in pairs]
    curves = {}
    for number, amplifier in enumerate(detector.amplifiers):
        points = [_pair(detector, number, one, other) for one, other in zip(flats[::2], flats[1::2], strict=True)]
        signal, variance = np.array(points).T
        curves[f"{detector.name} {amplifier.name}"] = signal, variance, survey.ccd(detector).gains[number]
    return plots.photon_transfer_plot(curves)


def _pair(detector: Detector, number: int, one: RawFrame, other: RawFrame) -> tuple[float, float]:
    """Return signal above overscan [ADU] and half the variance of the difference [ADU**2], robustly."""
    amplifier = detector.amplifiers[number]
    over = amplifier.raw_serial_overscan
    inside = amplifier.raw_data.slices_in(detector.raw_bbox)
    light = [frame.array[inside].astype(np.float64) for frame in (one, other)]
    level = (
        0.0
        if over is None
        else float(np.mean([np.median(f.array[over.slices_in(detector.raw_bbox)]) for f in (one, other)]))
    )
    difference = light[0] - light[1]
    low, high = np.percentile(difference, [15.8655, 84.1345])
    return float(np.mean(light)) - level, 0.5 * (0.5 * (high - low)) ** 2
