"""Expected electrons of one detector of one visit, with the truth of every source in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.geom.sky_wcs import SkyWcs
from etendue.kernels.render import add_gaussians
from etendue.simulate.optics import psf_covariance, true_wcs
from etendue.simulate.profiles import DE_VAUCOULEURS, EXPONENTIAL, MOFFAT, Mixture
from etendue.simulate.sky import Columns
from etendue.simulate.survey import NJY_ZERO_POINT, Survey, Visit

_FLOOR_ELECTRONS = 0.005  # Gaussians are drawn down to this; the shot noise of the sky is 25 e
_MARGIN_PX = 60.0
_TRAIL_POINTS = 9
_SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Light falling on a detector.

    Parameters
    ----------
    electrons : ndarray, float64, shape (ny, nx)
        Expected sky and sources at unit response [e].
    sources : dict of ndarray
        Truth of the sources whose centre is on the detector: ``object_id``, ``visit``, ``detector``, ``band``,
        ``x``, ``y`` [px], ``ra``, ``dec`` [deg], ``mag``, ``flux_njy``, ``electrons``.
    """

    electrons: NDArray[np.float64]
    sources: Columns


def render_scene(survey: Survey, visit: Visit, detector: Detector) -> Scene:
    """Render sky and sources of one detector of one visit.

    Parameters
    ----------
    survey : Survey
        The survey.
    visit : Visit
        The visit.
    detector : Detector
        The detector.

    Returns
    -------
    Scene
    """
    wcs = true_wcs(survey.camera, detector, visit)
    image = _sky_level(visit, detector)
    fixed = _place_fixed(survey, visit, detector, wcs)
    point = fixed["radius"] == 0.0
    _draw(image, visit, detector, {name: values[point] for name, values in fixed.items()}, None)
    for profile, share in ((EXPONENTIAL, 1.0 - fixed["bulge_fraction"]), (DE_VAUCOULEURS, fixed["bulge_fraction"])):
        part = fixed | {"electrons": fixed["electrons"] * share}
        drawn = ~point & (share > 0.0)
        _draw(image, visit, detector, {name: values[drawn] for name, values in part.items()}, profile)
    movers = _draw_movers(image, survey, visit, detector, wcs)
    names = ("object_id", "ra", "dec", "x", "y", "mag", "electrons")
    columns = {name: np.concatenate([fixed[name], movers[name]]) for name in names}
    return Scene(image, _on_detector(columns, visit, detector))


def _sky_level(visit: Visit, detector: Detector) -> NDArray[np.float64]:
    ny, nx = detector.bbox.shape
    slope_x, slope_y = visit.sky_gradient
    across, up = np.linspace(-0.5, 0.5, nx), np.linspace(-0.5, 0.5, ny)
    return visit.sky_electrons * (1.0 + slope_x * across[None, :] + slope_y * up[:, None])


def _place_fixed(survey: Survey, visit: Visit, detector: Detector, wcs: SkyWcs) -> Columns:
    """Return the fixed sources on or near the detector, with their pixels and electrons."""
    objects = survey.sky.objects
    mag = survey.sky.magnitudes(visit.band, visit.mjd_tai_mid)
    x, y = wcs.sky_to_pixel(ra_deg=objects["ra"], dec_deg=objects["dec"])
    ny, nx = detector.bbox.shape
    near = (np.abs(x - nx / 2) < nx / 2 + _MARGIN_PX) & (np.abs(y - ny / 2) < ny / 2 + _MARGIN_PX) & np.isfinite(mag)
    columns = {name: values[near] for name, values in objects.items() if name not in ("type", "g_mag", "r_mag")}
    return columns | {"x": x[near], "y": y[near], "mag": mag[near], "electrons": visit.electrons(mag[near])}


def _draw(
    image: NDArray[np.float64], visit: Visit, detector: Detector, sources: Columns, profile: Mixture | None
) -> None:
    """Draw sources, convolved with the PSF: variances of Gaussians add."""
    x, y = sources["x"], sources["y"]
    psf = np.stack(psf_covariance(visit, detector, x, y))
    intrinsic = np.zeros_like(psf) if profile is None else _galaxy_covariance(sources)
    amplitudes, variances = (np.ones(1), np.zeros(1)) if profile is None else (profile.amplitude, profile.variance)
    for amplitude, variance in zip(amplitudes, variances, strict=True):
        for psf_amplitude, psf_variance in zip(MOFFAT.amplitude, MOFFAT.variance, strict=True):
            cxx, cyy, cxy = psf_variance * psf + variance * intrinsic
            flux = sources["electrons"] * (amplitude * psf_amplitude)
            add_gaussians(image, x, y, flux, cxx, cyy, cxy, _FLOOR_ELECTRONS)


def _galaxy_covariance(sources: Columns) -> NDArray[np.float64]:
    """Return the ellipse of one half-light radius, shape (3, n) [px**2]; e1, e2 refer to the pixel axes."""
    e1, e2 = sources["e1"], sources["e2"]
    area = (sources["radius"] / 0.5) ** 2 / np.sqrt(1.0 - e1 * e1 - e2 * e2)
    return np.stack([area * (1.0 + e1), area * (1.0 - e1), area * e2])


def _draw_movers(image: NDArray[np.float64], survey: Survey, visit: Visit, detector: Detector, wcs: SkyWcs) -> Columns:
    """Draw the movers, trailed over the exposure, and return their truth at mid-exposure."""
    movers = survey.sky.movers
    steps = (np.arange(_TRAIL_POINTS) + 0.5) / _TRAIL_POINTS
    times = visit.mjd_tai_begin + steps * visit.exposure_time_s / _SECONDS_PER_DAY
    ra_deg, dec_deg = survey.sky.mover_positions(times)
    x, y = wcs.sky_to_pixel(ra_deg=ra_deg, dec_deg=dec_deg)
    mag = movers[f"{visit.band}_mag"]
    electrons = visit.electrons(mag)
    share = np.repeat(electrons / _TRAIL_POINTS, _TRAIL_POINTS)
    _draw(image, visit, detector, {"x": x.ravel(), "y": y.ravel(), "electrons": share}, None)
    middle = _TRAIL_POINTS // 2
    return {
        "object_id": movers["object_id"],
        "ra": ra_deg[:, middle],
        "dec": dec_deg[:, middle],
        "x": x[:, middle],
        "y": y[:, middle],
        "mag": mag,
        "electrons": electrons,
    }


def _on_detector(columns: Columns, visit: Visit, detector: Detector) -> Columns:
    inside = detector.bbox.contains(x=columns["x"], y=columns["y"])
    kept = {name: values[inside] for name, values in columns.items()}
    n = int(inside.sum())
    return kept | {
        "visit": np.full(n, visit.visit),
        "detector": np.full(n, detector.id),
        "band": np.full(n, visit.band),
        "mjd_tai": np.full(n, visit.mjd_tai_mid),
        "flux_njy": 10 ** (-0.4 * (kept["mag"] - NJY_ZERO_POINT)),
    }
