"""What a simulated survey's truth says of its objects: places, light curves, tracks."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from etendue.geom.sphere import separation_deg, tangent_plane
from etendue.qa.survey_preview_plots import Curve
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.population.layer import Columns, Layer
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.moment_table import moment_table
from etendue.simulate.surveys.coverage import detector_of, focal_plane_lights
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.telescope.psf_model import make_chip_psf
from etendue.simulate.telescope.true_wcs import true_wcs

_STEPS = 600
_TRACK_STEPS = 120
_CURVES = 12
_LOOKS = 24  # exposures in which objects are looked for
_MAP_SIDE = 240
_FAINTEST_CURVE_MAG = 22.5
_LEAST_CHANGE_MAG = 0.05
_MANY_DETECTORS, _CIRCLE_POINTS = 25, 49
_TRACK_EXPOSURES = 60
_SIGMA = 5.0
_AREA_OF_SEEING = 3.0  # effective area of the air's PSF in squares of its width
_TITLES = {
    "agn": "active nucleus",
    "sn_ia": "supernova Ia",
    "sn_ii": "supernova II",
    "tde": "tidal disruption",
    "rr_lyrae": "RR Lyrae star",
    "cepheid": "Cepheid",
    "mira": "Mira",
    "eclipsing": "eclipsing binary",
    "flaring": "flare star",
    "spotted": "spotted star",
    "curves": "light curve of a table",
}
Vector = NDArray[np.float64]


def depth_mag(survey: Survey, exposure: PlannedExposure) -> float:
    """Return the magnitude of a star that a PSF fit measures at five sigma in one exposure.

    Parameters
    ----------
    survey : Survey
        The survey.
    exposure : PlannedExposure
        One of its exposures.

    Returns
    -------
    float
        From sky, read noise and the effective area of the PSF in the middle of the first detector in the band's first
        exposure; the area changes with the square of the seeing [mag].
    """
    zero_point, scale = survey.zero_point_mag(exposure), survey.camera.plate_scale
    sky = 10.0 ** (0.4 * (survey.zero_point_mag(exposure, below_air=True) - exposure.sky_mag_arcsec2)) * scale**2
    read_noise = survey.detectors[0].amplifiers[0].read_noise
    area, seeing = _effective_area(survey, exposure.band)
    area += _AREA_OF_SEEING * (exposure.seeing_arcsec**2 - seeing**2) / scale**2
    return float(zero_point - 2.5 * np.log10(_SIGMA * np.sqrt(area * (sky + read_noise**2))))


@lru_cache(maxsize=64)
def _effective_area(survey: Survey, band: str) -> tuple[float, float]:
    """Return 1 / integral(psf**2) [px**2], and the seeing that it is for."""
    exposure = next(exposure for exposure in survey.exposures if exposure.band == band)
    spec = survey.spec.telescope.model_copy(update={"nodes": 1})
    psf = make_chip_psf(spec, survey.camera, survey.detectors[0], exposure, survey.bandpasses[band], survey.seed)
    with_pixel = uniform_filter(psf.images[0, 0].astype(np.float64), psf.oversampling)
    area = with_pixel.sum() ** 2 / np.sum(with_pixel**2) / psf.oversampling**2
    return float(area), exposure.seeing_arcsec


def outlines(survey: Survey, exposure: PlannedExposure, ra_deg: float, dec_deg: float) -> list[NDArray[np.float64]]:
    """Return where the detectors of an exposure lie.

    Parameters
    ----------
    survey : Survey
        The survey.
    exposure : PlannedExposure
        One of its exposures.
    ra_deg, dec_deg : float
        Centre of the offsets [deg].

    Returns
    -------
    list of ndarray, float64, shape (k, 2)
        Offsets of the corners, east and north [deg]; a circle around all if there are more than 25 detectors.
    """
    if len(survey.detectors) > _MANY_DETECTORS:
        east, north = tangent_plane(exposure.ra_deg, exposure.dec_deg, ra_deg, dec_deg)
        turn = np.linspace(0.0, 2.0 * np.pi, _CIRCLE_POINTS)
        return [survey.reach_deg * np.column_stack([np.sin(turn), np.cos(turn)]) + np.array([east, north])]
    corners = []
    for detector in survey.detectors:
        wcs = true_wcs(survey.camera, detector, exposure, survey.spec.telescope.distortion, survey.seed)
        ny, nx = detector.bbox.shape
        sky = wcs.pixel_to_sky(x=np.array([0.0, nx, nx, 0.0]) - 0.5, y=np.array([0.0, 0.0, ny, ny]) - 0.5)
        corners.append(np.column_stack(tangent_plane(*sky, ra_deg, dec_deg)))
    return corners


def coverage(survey: Survey) -> tuple[NDArray[np.int64], tuple[float, float, float, float]]:
    """Return how often places are visited.

    Parameters
    ----------
    survey : Survey
        The survey.

    Returns
    -------
    visits : ndarray, int64, shape (240, 240)
        Visits of places, rows northwards, columns eastwards.
    extent : tuple of float
        West, east, south and north end of that square, offsets from the first pointing [deg].
    """
    first = survey.exposures[0]
    shapes = [outline for e in survey.exposures for outline in outlines(survey, e, first.ra_deg, first.dec_deg)]
    every = np.concatenate(shapes)
    middle, half = 0.5 * (every.max(0) + every.min(0)), 0.52 * float(np.ptp(every, axis=0).max())
    steps = ((np.arange(_MAP_SIDE) + 0.5) / _MAP_SIDE * 2.0 - 1.0) * half
    east, north = middle[0] + steps, middle[1] + steps
    visits = np.zeros((_MAP_SIDE, _MAP_SIDE), np.int64)
    for shape in shapes:
        columns, rows = (slice(*np.searchsorted(axis, (shape[:, k].min(), shape[:, k].max())))
                         for k, axis in enumerate((east, north)))  # fmt: skip
        visits[rows, columns] += _inside(shape, east[columns][None, :], north[rows][:, None])
    low, high = middle - half, middle + half
    return visits, (float(low[0]), float(high[0]), float(low[1]), float(high[1]))


def _inside(outline: NDArray[np.float64], east: Vector, north: Vector) -> NDArray[np.bool_]:
    """Tell which places lie in a convex outline."""
    around = np.roll(outline, -1, axis=0) - outline
    turn = np.sign(np.sum(outline[:, 0] * np.roll(outline[:, 1], -1) - outline[:, 1] * np.roll(outline[:, 0], -1)))
    inside = np.ones((north.size, east.size), bool)
    for (x, y), (dx, dy) in zip(outline, around, strict=True):
        inside &= turn * (dx * (north - y) - dy * (east - x)) >= 0.0
    return inside


def on_detectors(survey: Survey, exposure: PlannedExposure, layer: Layer) -> Lights:
    """Return what a layer puts onto detectors in an exposure.

    Parameters
    ----------
    survey : Survey
        The survey.
    exposure : PlannedExposure
        One of its exposures.
    layer : Layer
        One of its layers.

    Returns
    -------
    Lights
    """
    lights = focal_plane_lights(survey, exposure, layer)
    return lights.take(detector_of(survey, exposure, lights) >= 0)


def truth_curves(survey: Survey) -> list[Curve]:
    """Return true light curves of the objects on the detectors that vary most, some of every kind.

    Parameters
    ----------
    survey : Survey
        The survey.

    Returns
    -------
    list of Curve
        At most 12.
    """
    found: dict[str, list[Curve]] = {}
    for layer in survey.layers:
        if layer.name in ("variables", "agn", "transients", "curves"):
            for kind, curve in _layer_curves(survey, layer):
                found.setdefault(kind, []).append(curve)
    taken: list[Curve] = []
    for turn in range(_CURVES):
        taken += [curves[turn] for curves in found.values() if turn < len(curves)]
    return taken[:_CURVES]


def _layer_curves(survey: Survey, layer: Layer) -> list[tuple[str, Curve]]:
    """Return kinds and curves of a layer, the largest change first."""
    seen = moment_table(layer, [_moment(survey, e, e.mjd_tai_mid) for e in survey.exposures])
    some = np.unique(np.linspace(0, len(survey.exposures) - 1, _LOOKS).astype(int))
    ids = np.unique(np.concatenate([on_detectors(survey, survey.exposures[k], layer).object_id for k in some]))
    start, end = survey.exposures[0].mjd_tai_begin, survey.exposures[-1].mjd_tai_mid
    chosen = [next(e for e in survey.exposures if e.band == band) for band in survey.bands]
    times = np.linspace(start, end, _STEPS)
    drawn = moment_table(layer, [_moment(survey, e, float(t)) for e in chosen for t in times])
    objects = layer.objects
    curves = []
    for number in ids[np.isin(ids, seen["object_id"])]:
        row = int(np.flatnonzero(objects["object_id"] == number)[0])
        kind = str(objects["kind"][row]) if "kind" in objects else layer.name
        at_exposures, between = (_of(table, int(number), start) for table in (seen, drawn))
        change = _change(between)
        if change > 0.0 and np.min(at_exposures["mag"], initial=np.inf) < _FAINTEST_CURVE_MAG:
            period = _period(objects, row, end - start)
            curves.append((change, kind, Curve(_title(kind, objects, row, period), at_exposures, between, period)))
    curves.sort(key=lambda entry: -entry[0])
    return [(kind, curve) for _, kind, curve in curves]


def _moment(survey: Survey, exposure: PlannedExposure, mjd_tai: float) -> Moment:
    return Moment(
        survey.bandpasses[exposure.band], mjd_tai, exposure.exposure_time_s, exposure.ra_deg, exposure.dec_deg,
        1.02 * survey.reach_deg, survey.camera.observatory,
    )  # fmt: skip


def _of(table: Columns, number: int, start: float) -> Columns:
    here = table["object_id"] == number
    return {"day": table["mjd_tai"][here] - start, "mag": table["mag"][here], "band": table["band"][here]}


def _change(curve: Columns) -> float:
    """Return the largest change of flux in any band, in about the noise that its brightest has; 0 below 0.05 mag."""
    if all(np.ptp(curve["mag"][curve["band"] == band]) < _LEAST_CHANGE_MAG for band in np.unique(curve["band"])):
        return 0.0
    flux = 10.0 ** (-0.4 * (curve["mag"] - _FAINTEST_CURVE_MAG))
    bands = [flux[curve["band"] == band] for band in np.unique(curve["band"])]
    return max((float(np.ptp(one) / (1.0 + np.sqrt(one.max()))) for one in bands), default=0.0)


def _period(objects: Columns, row: int, span: float) -> float:
    """Return the period of what repeats within the survey, or is to be folded to be seen; NaN for others."""
    period = float(objects["period_day"][row]) if "period_day" in objects else np.nan
    return period if np.isfinite(period) and 0.0 < period < 0.7 * span else float("nan")


def _title(kind: str, objects: Columns, row: int, period: float) -> str:
    name = _TITLES.get(kind, kind)
    known = float(objects["period_day"][row]) if "period_day" in objects else np.nan
    if np.isfinite(period) or known > 0.0:
        return f"{name}, {known:.3g} d"
    redshift = float(objects["redshift"][row]) if "redshift" in objects else np.nan
    return f"{name}, z = {redshift:.2f}" if redshift > 0.0 else name


def truth_tracks(
    survey: Survey, layers: Sequence[Layer]
) -> tuple[list[NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Return the paths of moving objects through the field of the first exposure.

    Parameters
    ----------
    survey : Survey
        The survey.
    layers : sequence of Layer
        Layers that move.

    Returns
    -------
    tracks : list of ndarray, float64, shape (k, 2)
        Paths through the survey, offsets from the first pointing, east and north [arcmin].
    dots : dict of str to ndarray, float64, shape (m, 3)
        By night: offsets and magnitude of every object on a detector in an exposure; of 60 exposures at most.
    """
    first, last = survey.exposures[0], survey.exposures[-1]
    centre = first.ra_deg, first.dec_deg
    times = np.linspace(first.mjd_tai_begin, last.mjd_tai_mid, _TRACK_STEPS)
    tracks: list[NDArray[np.float64]] = []
    for layer in layers:
        table = moment_table(layer, [_moment(survey, first, float(t)) for t in times])
        places = 60.0 * np.column_stack(tangent_plane(table["ra_deg"], table["dec_deg"], *centre))
        cuts = np.flatnonzero(np.diff(table["object_id"])) + 1
        tracks += [track for track in np.split(places, cuts) if len(track) > 1]
    dots: dict[str, list[NDArray[np.float64]]] = {}
    for exposure in _of_one_field(survey):
        for layer in layers:
            lights = on_detectors(survey, exposure, layer)
            east, north = tangent_plane(lights.ra_deg, lights.dec_deg, *centre)
            rows = np.column_stack([60.0 * east, 60.0 * north, lights.mag])
            dots.setdefault(str(exposure.day_obs), []).append(rows)
    return tracks, {night: np.concatenate(rows) for night, rows in dots.items()}


def _of_one_field(survey: Survey) -> list[PlannedExposure]:
    """Return exposures that overlap with the first, evenly over the survey."""
    first = survey.exposures[0]
    places = np.array([(exposure.ra_deg, exposure.dec_deg) for exposure in survey.exposures])
    near = np.flatnonzero(separation_deg(first.ra_deg, first.dec_deg, *places.T) < survey.reach_deg)
    chosen = near[np.unique(np.linspace(0, near.size - 1, _TRACK_EXPOSURES).astype(int))]
    return [survey.exposures[number] for number in chosen]
