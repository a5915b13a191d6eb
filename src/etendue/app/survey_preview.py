"""Pictures of a simulated survey: what a user looks at before rendering all of it."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from etendue.app.survey_preview_counts import clustering, count_panels
from etendue.app.survey_preview_frames import Mosaic, focal_plane
from etendue.app.survey_preview_sky import coverage, depth_mag, outlines, truth_curves, truth_tracks
from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.qa import survey_preview_plots as plots
from etendue.qa.survey_count_plots import clustering_plot, counts_plot
from etendue.simulate.drawing.psf_summary import summarize_psf
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.population.layer import Layer
from etendue.simulate.surveys.calibration_plan import calibration_frames
from etendue.simulate.surveys.frames import calibration_frame
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.telescope.chip_psf import ChipPsf
from etendue.simulate.telescope.field_angle import DetectorPlace
from etendue.simulate.telescope.psf_model import make_chip_psf

Progress = Callable[[int, int], None]
Vector = NDArray[np.float64]

_PSF_HALF_WIDTHS = 3.0
_DONUT_PX = 32  # PSF images wider than that are wanted where stars are wide
_DEPTHS = 1000


@dataclass(frozen=True, slots=True)
class _Step:
    """One picture."""

    name: str
    draw: Callable[[], bytes]


def write_preview(
    survey: Survey, folder: Path, progress: Progress | None = None, names: Collection[str] = ()
) -> list[Path]:
    """Write pictures of a survey.

    Parameters
    ----------
    survey : Survey
        The survey.
    folder : Path
        Made if needed.
    progress : callable, optional
        Called with the number of pictures that are made, and that are wanted.
    names : collection of str
        Pictures that are wanted, without ``.png``; all by default.

    Returns
    -------
    list of Path
        ``cadence.png``; of surveys with pixels ``focal-plane.png`` (raw, in one band or three) and ``psf.png``; and
        where there is something to see, ``counts.png``, ``clustering.png``, ``light-curves.png``, ``movers.png``,
        ``photon-transfer.png``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    steps = [step for step in _steps(survey) if not names or step.name in names]
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
    panels = count_panels(survey)
    if panels:
        yield _Step("counts", lambda: counts_plot(panels))
    clumps = clustering(survey)
    if clumps is not None:
        yield _Step("clustering", lambda: clustering_plot(clumps))
    if names & {"variables", "agn", "transients", "curves"}:
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
    depth = np.full(len(exposures), np.nan)
    for number in np.unique(np.linspace(0, len(exposures) - 1, _DEPTHS).astype(int)):
        depth[number] = depth_mag(survey, exposures[number])
    return plots.cadence_plot(
        *coverage(survey),
        np.array([exposure.mjd_tai_begin for exposure in exposures]),
        np.array([exposure.band for exposure in exposures]),
        np.array([exposure.seeing_arcsec for exposure in exposures]),
        depth,
    )


def _psf(survey: Survey) -> bytes:
    """Draw the PSF in the corners and the middle of every detector: as pictures if stars are donuts."""
    exposure, spec = survey.exposures[0], survey.spec.telescope
    chips = [
        (d, make_chip_psf(spec, survey.camera, d, exposure, survey.bandpasses[exposure.band], survey.seed))
        for d in survey.detectors
    ]
    if spec.psf_half_width_px > _DONUT_PX:
        return _donuts(survey, exposure, chips)
    found = [_psf_over(survey, detector, psf) for detector, psf in chips]
    psf = chips[0][1]
    middle = psf.images.shape[-1] // 2
    half = min(int(_PSF_HALF_WIDTHS * exposure.seeing_arcsec / survey.camera.plate_scale * psf.oversampling), middle)
    image = psf.images[psf.nodes_y.size // 2, psf.nodes_x.size // 2]
    cut = image[middle - half : middle + half + 1, middle - half : middle + half + 1]
    width = cut.shape[0] / psf.oversampling * survey.camera.plate_scale
    x, y, fwhm, e1, e2 = (np.concatenate([one[k] for one in found]) for k in range(5))
    return plots.psf_map_plot(x, y, fwhm, e1, e2, cut, width, f"PSF in {exposure.band}")


def _psf_over(survey: Survey, detector: Detector, psf: ChipPsf) -> tuple[Vector, ...]:
    """Return places on the focal plane [mm], FWHM [arcsec] and ellipticity along its axes, at 3 x 3 places."""
    ny, nx = detector.bbox.shape
    places = [(x, y) for y in np.linspace(0.1, 0.9, 3) * ny for x in np.linspace(0.1, 0.9, 3) * nx]
    found = [summarize_psf(psf, x=float(x), y=float(y)) for x, y in places]
    place = DetectorPlace.nominal(survey.camera, detector)
    fx, fy = place.to_field(x=np.array([x for x, _ in places]), y=np.array([y for _, y in places]))
    per_mm = place.deg_per_px / detector.pixel_size_mm
    turn = 2.0 * np.radians(detector.rotation_deg)
    e1, e2 = np.array([one.e1 for one in found]), np.array([one.e2 for one in found])
    fwhm = np.array([one.fwhm_px for one in found]) * survey.camera.plate_scale
    return fx / per_mm, fy / per_mm, fwhm, np.cos(turn) * e1 - np.sin(turn) * e2, np.sin(turn) * e1 + np.cos(turn) * e2


def _donuts(survey: Survey, exposure: PlannedExposure, chips: Sequence[tuple[Detector, ChipPsf]]) -> bytes:
    across, up = (sorted({d.center_mm[k] for d in survey.detectors}) for k in (0, 1))
    images = []
    for detector, psf in chips:
        rows, columns = (np.unique([0, size // 2, size - 1]) for size in psf.images.shape[:2])
        column, row = across.index(detector.center_mm[0]), up.index(detector.center_mm[1])
        for y, node_y in enumerate(rows):
            for x, node_x in enumerate(columns):
                name = detector.name if (y, x) == (rows.size - 1, columns.size // 2) else ""
                images.append((name, 4.0 * column + x, 4.0 * row + y, psf.images[node_y, node_x]))
    return plots.psf_plot(images, f"PSF in {exposure.band}, square root of the surface brightness")


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
