"""Raw frames: visits, biases and flats. Any one can be made alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.camera.header_writer import write_header
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.raw import RawFrame
from etendue.camera.translate import translate
from etendue.geom.wcs_header import write_wcs
from etendue.kernels.render import add_tracks
from etendue.simulate.optics import header_wcs
from etendue.simulate.scene import Scene, render_scene
from etendue.simulate.sensor import leaked_electrons, read_out, response
from etendue.simulate.sky import Columns
from etendue.simulate.survey import Survey, Visit, describe_frame, describe_visit

FLAT_ELECTRONS = 30000.0
_COSMIC_RAYS_PER_SECOND = 0.2  # per detector
_FLAT_TIME_S = 5.0
_CALIBRATION_LEAD_DAY = 0.1


def render_visit(survey: Survey, visit: Visit | int, detector: int) -> tuple[RawFrame, Scene, Columns]:
    """Render one detector of one visit.

    Parameters
    ----------
    survey : Survey
        The survey.
    visit : Visit or int
        The visit, or its id.
    detector : int
        Detector id.

    Returns
    -------
    frame : RawFrame
        What the camera would write.
    scene : Scene
        What fell on the detector, with the truth of the sources.
    cosmic_rays : dict of ndarray
        Truth of the cosmic rays: ``visit``, ``detector``, ``x``, ``y`` (beginning [px]), ``length`` [px],
        ``angle`` [rad], ``electrons``.
    """
    chosen = survey.visit(visit) if isinstance(visit, int) else visit
    ccd = survey.camera.detector(detector)
    rng = np.random.default_rng([survey.seed, 10, chosen.visit, detector])
    scene = render_scene(survey, chosen, ccd)
    expected = scene.electrons * response(ccd, chosen.band, survey.seed) + leaked_electrons(ccd, survey.seed)
    charge = rng.poisson(expected).astype(np.float64)
    cosmic_rays = _draw_cosmic_rays(rng, chosen, ccd)
    places = (cosmic_rays[name] for name in ("x", "y", "length", "angle", "electrons"))
    add_tracks(charge, *places)
    info = describe_visit(survey, chosen, detector)
    cards, _ = write_wcs(header_wcs(survey.camera, ccd, chosen), ccd.bbox)
    return _frame(survey, info, read_out(charge, ccd, survey.seed, rng), cards), scene, cosmic_rays


def render_bias(survey: Survey, index: int, detector: int) -> RawFrame:
    """Render a bias frame.

    Parameters
    ----------
    survey : Survey
        The survey.
    index : int
        Number of the bias, from 0.
    detector : int
        Detector id.

    Returns
    -------
    RawFrame
    """
    ccd = survey.camera.detector(detector)
    rng = np.random.default_rng([survey.seed, 11, index, detector])
    begin = survey.preset.start_mjd_tai - _CALIBRATION_LEAD_DAY + index * 20.0 / 86400.0
    info = describe_frame(survey, "bias", "", detector, 1 + index, begin, 0.0)
    leaked = np.broadcast_to(leaked_electrons(ccd, survey.seed), ccd.bbox.shape)
    charge = rng.poisson(leaked).astype(np.float64)
    return _frame(survey, info, read_out(charge, ccd, survey.seed, rng), {})


def render_flat(survey: Survey, band: str, index: int, detector: int) -> RawFrame:
    """Render a flat; its level changes by a few percent from one to the next.

    Parameters
    ----------
    survey : Survey
        The survey.
    band : str
        Band.
    index : int
        Number of the flat in its band, from 0.
    detector : int
        Detector id.

    Returns
    -------
    RawFrame
    """
    ccd = survey.camera.detector(detector)
    order = survey.preset.filters.index(band) * survey.preset.n_flat + index
    rng = np.random.default_rng([survey.seed, 12, order, detector])
    level = FLAT_ELECTRONS * (1.0 + 0.03 * index)
    expected = level * response(ccd, band, survey.seed) + leaked_electrons(ccd, survey.seed)
    charge = rng.poisson(expected).astype(np.float64)
    begin = survey.preset.start_mjd_tai - 0.5 * _CALIBRATION_LEAD_DAY + order * 40.0 / 86400.0
    seq = 1 + survey.preset.n_bias + order
    info = describe_frame(survey, "flat", band, detector, seq, begin, _FLAT_TIME_S)
    return _frame(survey, info, read_out(charge, ccd, survey.seed, rng), {})


def _frame(survey: Survey, info: ObservationInfo, pixels: NDArray[np.uint16], cards: dict[str, Any]) -> RawFrame:
    """Return a raw frame whose information has gone through the camera's own header."""
    header = write_header(info, survey.camera) | cards
    name = f"sc_{info.exposure_id}_{info.detector_id}.fits.fz"
    read_back = translate(header, survey.camera, name)
    return RawFrame(array=pixels, header=header, detector_id=info.detector_id, path=name, info=read_back)


def _draw_cosmic_rays(rng: np.random.Generator, visit: Visit, detector: Detector) -> Columns:
    n = rng.poisson(_COSMIC_RAYS_PER_SECOND * visit.exposure_time_s)
    ny, nx = detector.bbox.shape
    length = rng.exponential(6.0, n)
    return {
        "visit": np.full(n, visit.visit),
        "detector": np.full(n, detector.id),
        "x": rng.uniform(0.0, nx - 1.0, n),
        "y": rng.uniform(0.0, ny - 1.0, n),
        "length": length,
        "angle": rng.uniform(0.0, 2.0 * np.pi, n),
        "electrons": rng.lognormal(np.log(600.0), 0.5, n) * (1.0 + length),
    }
