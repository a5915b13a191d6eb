"""What falls on one detector in one exposure, and the truth about its sources."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.simulate.drawing.draw import draw
from etendue.simulate.drawing.psf_summary import PsfSummary, summarize_psf
from etendue.simulate.drawing.sources import Sources
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.population.layer import kind_of
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment
from etendue.simulate.surveys.illumination import illumination_map
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.telescope.chip_psf import ChipPsf
from etendue.simulate.telescope.field_angle import DetectorPlace
from etendue.simulate.telescope.frame_wcs import FrameWcs
from etendue.simulate.telescope.psf_model import make_chip_psf
from etendue.simulate.telescope.refraction import colour_shift_arcsec
from etendue.simulate.telescope.stray_light import add_stray_light
from etendue.simulate.telescope.true_wcs import TrueWcs, true_wcs
from etendue.simulate.telescope.turbulence import turbulence

Vector = NDArray[np.float64]
Plane = NDArray[np.float32]
Columns = dict[str, NDArray]

_MARGIN_PX = 300.0  # sources so far outside still send light in
_HALF_TRAIL = 0.55  # of its length, and of what distortion adds
_HOUR_S = 3600.0
_NJY_ZERO_POINT = 31.4
_FAINTEST_ELECTRONS = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Light on a detector before the CCD.

    Parameters
    ----------
    expected : ndarray, float32, shape (ny, nx)
        Electrons that a perfect CCD is expected to collect: sources and sky, vignetting and dust apart [e].
    sky : ndarray, float32, shape (ny, nx)
        The sky's part [e].
    illumination : ndarray, float32, shape (ny, nx), or None
        Share of the light that passes the telescope; None for all of it.
    wcs : TrueWcs
        Sky to pixels, turbulence and refraction apart.
    zero_point_mag : float
        AB magnitude above the atmosphere that yields one electron in the exposure.
    sources : dict of ndarray
        Truth, one row per source on the detector.
    psf : PsfSummary
        The PSF in the middle of the detector.
    streaks : ndarray, float32, shape (ny, nx), or None
        The part of ``expected`` that trails of satellites and of fast movers give [e]; None without any.
    """

    expected: Plane
    sky: Plane
    illumination: Plane | None
    wcs: TrueWcs
    zero_point_mag: float
    sources: Columns
    psf: PsfSummary
    streaks: Plane | None = None


def make_scene(survey: Survey, exposure: PlannedExposure, detector: Detector) -> Scene:
    """Draw everything that shines onto a detector.

    Parameters
    ----------
    survey : Survey
        The survey.
    exposure : PlannedExposure
        One of its exposures.
    detector : Detector
        One of its detectors.

    Returns
    -------
    Scene
    """
    telescope = survey.spec.telescope
    wcs = frame_wcs(survey, exposure, detector)
    zero_point = survey.zero_point_mag(exposure)
    lights = _lights(survey, exposure, detector, wcs.optics)
    placed = _place(survey, exposure, detector, wcs, lights, zero_point)
    image = np.zeros(detector.bbox.shape, np.float32)
    psf = make_chip_psf(telescope, survey.camera, detector, exposure, survey.bandpasses[exposure.band], survey.seed)
    drawn = draw(image, placed.sources, psf, survey.spec.draw)
    streaks = _streaks(survey, exposure, placed, psf, image.shape) if survey.spec.truth.masks else None
    if telescope.stray is not None:
        add_stray_light(image, placed.sources.x, placed.sources.y, placed.sources.electrons, telescope.stray,
                        telescope.optics, detector, wcs.optics.place)  # fmt: skip
    sky = _sky(survey, exposure, detector, zero_point)
    illumination = illumination_map(survey, detector, exposure.band)
    psf_truth = {"psf_ixx": drawn.ixx, "psf_iyy": drawn.iyy, "psf_ixy": drawn.ixy, "psf_area": drawn.effective_area}
    truth = _on_detector(placed.truth | psf_truth, exposure, detector)
    middle = summarize_psf(psf, x=detector.bbox.x.center, y=detector.bbox.y.center)
    return Scene(image + sky, sky, illumination, wcs.optics, zero_point, truth, middle, streaks)


def frame_wcs(survey: Survey, exposure: PlannedExposure, detector: Detector) -> FrameWcs:
    """Return where sources are seen on a detector in an exposure.

    Parameters
    ----------
    survey : Survey
        The survey; its sky is not needed.
    exposure : PlannedExposure
        One of its exposures.
    detector : Detector
        One of its detectors.

    Returns
    -------
    FrameWcs
        Exact for sources of the band's pivot wavelength; refraction shifts others by their colour.
    """
    spec = survey.spec.telescope
    optics = true_wcs(survey.camera, detector, exposure, spec.distortion, survey.seed)
    if spec.turbulence is None:
        return FrameWcs(optics)
    return FrameWcs(optics, turbulence(spec.turbulence, exposure, reach_deg=survey.reach_deg, seed=survey.seed))


def _streaks(
    survey: Survey, exposure: PlannedExposure, placed: "_Placed", psf: ChipPsf, shape: tuple[int, int]
) -> Plane | None:
    """Draw the trails of satellites, and of movers that cross some widths of the seeing, once more and alone."""
    longest = survey.spec.truth.streak_fwhm * exposure.seeing_arcsec / survey.camera.plate_scale
    moved = np.hypot(placed.sources.trail_dx, placed.sources.trail_dy)
    satellite = kind_of(placed.truth["object_id"]) == "satellites"
    rows = np.flatnonzero((moved > longest) | ((moved > 0.0) & satellite))
    if rows.size == 0:
        return None
    plane = np.zeros(shape, np.float32)
    draw(plane, placed.sources.take(rows), psf, survey.spec.draw)
    return plane


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """Sources in pixels, and what is true of each."""

    sources: Sources
    truth: Columns


def _lights(survey: Survey, exposure: PlannedExposure, detector: Detector, wcs: TrueWcs) -> Lights:
    box = detector.bbox
    ra, dec = wcs.pixel_to_sky(x=box.x.center, y=box.y.center)
    radius = (0.5 * np.hypot(*box.shape) + 2.0 * _MARGIN_PX) * survey.camera.plate_scale / 3600.0
    moment = Moment(
        survey.bandpasses[exposure.band], exposure.mjd_tai_mid, exposure.exposure_time_s, float(ra), float(dec),
        float(radius), survey.camera.observatory,
    )  # fmt: skip
    return Lights.concat([layer.lights(moment) for layer in survey.layers])


def _place(
    survey: Survey, exposure: PlannedExposure, detector: Detector, frame: FrameWcs, lights: Lights, zero_point: float
) -> _Placed:
    """Return the lights in pixels, where air and telescope put them."""
    wcs, electrons = (
        frame.optics,
        10.0 ** (-0.4 * (lights.mag + _colour_extinction(survey, exposure, lights) - zero_point)),
    )
    fx, fy = wcs.sky_to_field(ra_deg=lights.ra_deg, dec_deg=lights.dec_deg)
    x, y = wcs.place.to_pixel(field_x=fx, field_y=fy)
    ny, nx = detector.bbox.shape
    length = np.hypot(lights.rate_ra, lights.rate_dec) * exposure.exposure_time_s / _HOUR_S / survey.camera.plate_scale
    reach = _MARGIN_PX * (1.0 + (electrons > 1e6)) + _HALF_TRAIL * length
    near = (x > -reach) & (x < nx + reach) & (y > -reach) & (y < ny + reach) & (electrons > _FAINTEST_ELECTRONS)
    kept = np.flatnonzero(near)
    lights, electrons, x, y, fx, fy = lights.take(kept), electrons[kept], x[kept], y[kept], fx[kept], fy[kept]
    jacobian = wcs.pixels_per_arcsec(x=x, y=y)
    shift = np.stack(frame.air_shift(field_x=fx, field_y=fy)) + _colour_shift(survey, exposure, lights, jacobian)
    trail = _in_pixels(jacobian, lights.rate_ra, lights.rate_dec) * exposure.exposure_time_s / _HOUR_S
    to_sky = np.asarray(np.linalg.inv(jacobian), np.float64)
    sources = Sources.of_shapes(
        x=x + shift[0], y=y + shift[1], electrons=electrons, wavelength_nm=lights.wavelength_nm, shape=lights.shape,
        shapes=lights.shapes, jacobian=to_sky, trail_dx=trail[0], trail_dy=trail[1],
    )  # fmt: skip
    truth = {
        "object_id": lights.object_id, "ra": lights.ra_deg, "dec": lights.dec_deg, "x": sources.x, "y": sources.y,
        "mag": lights.mag, "flux_njy": 10.0 ** (-0.4 * (lights.mag - _NJY_ZERO_POINT)), "electrons": electrons,
        "wavelength_nm": lights.wavelength_nm, "air_dx": shift[0], "air_dy": shift[1], "trail_dx": trail[0],
        "trail_dy": trail[1],
    }  # fmt: skip
    return _Placed(sources, truth)


def _colour_extinction(survey: Survey, exposure: PlannedExposure, lights: Lights) -> Vector | float:
    """Return how much more light sources lose in the air than one of constant f_nu does [mag]."""
    if not survey.spec.air.by_colour:
        return 0.0
    slope, reference = survey.spec.air.colour_slope(survey.bandpasses[exposure.band], exposure.airmass)
    return slope * (lights.wavelength_nm - reference)


def _colour_shift(
    survey: Survey, exposure: PlannedExposure, lights: Lights, jacobian: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return shifts by differential refraction, shape (2, n) [px]."""
    if not survey.spec.telescope.refraction:
        return np.zeros((2, len(lights)))
    reference = survey.bandpasses[exposure.band].pivot_nm
    return _in_pixels(jacobian, *colour_shift_arcsec(lights.wavelength_nm, reference, exposure))


def _in_pixels(jacobian: NDArray[np.float64], east: Vector, north: Vector) -> NDArray[np.float64]:
    return np.einsum("nij,jn->in", jacobian, np.stack([east, north]))


def _sky(survey: Survey, exposure: PlannedExposure, detector: Detector, zero_point: float) -> Plane:
    """Return the electrons of the sky, with its gradient over the focal plane."""
    area = survey.camera.plate_scale**2
    # The sky's brightness is that below the air: it is not dimmed once more.
    clear = survey.zero_point_mag(exposure, below_air=True)
    level = area * 10.0 ** (-0.4 * (exposure.sky_mag_arcsec2 - clear))
    ny, nx = detector.bbox.shape
    place = DetectorPlace.nominal(survey.camera, detector)
    fx, fy = place.to_field(x=np.arange(nx)[None, :], y=np.arange(ny)[:, None])
    slope_x, slope_y = exposure.sky_gradient
    return (level * (1.0 + slope_x * fx + slope_y * fy)).astype(np.float32)


def _on_detector(truth: Columns, exposure: PlannedExposure, detector: Detector) -> Columns:
    inside = detector.bbox.contains(x=truth["x"], y=truth["y"]) | _crosses(truth, detector)
    kept = {name: values[inside] for name, values in truth.items()}
    n = int(np.count_nonzero(inside))
    return kept | {
        "visit": np.full(n, exposure.exposure), "detector": np.full(n, detector.id),
        "band": np.full(n, exposure.band), "mjd_tai": np.full(n, exposure.mjd_tai_mid),
    }  # fmt: skip


def _crosses(truth: Columns, detector: Detector) -> NDArray[np.bool_]:
    """Tell which trails touch the detector, wherever their middle is (Liang & Barsky 1984)."""
    enter, leave = np.full(truth["x"].size, -0.5), np.full(truth["x"].size, 0.5)
    for middle, way, edge in (("x", "trail_dx", detector.bbox.x), ("y", "trail_dy", detector.bbox.y)):
        with np.errstate(divide="ignore", invalid="ignore"):
            one, other = ((at - 0.5 - truth[middle]) / truth[way] for at in (edge.start, edge.stop))
        enter, leave = np.fmax(enter, np.fmin(one, other)), np.fmin(leave, np.fmax(one, other))
    return np.asarray((np.hypot(truth["trail_dx"], truth["trail_dy"]) > 0.0) & (enter <= leave))
