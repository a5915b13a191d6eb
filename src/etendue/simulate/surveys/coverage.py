"""Which detector of an exposure a light falls on."""

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.population.layer import Layer
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.telescope.true_wcs import true_wcs


def focal_plane_lights(survey: Survey, exposure: PlannedExposure, layer: Layer) -> Lights:
    """Return what a layer shines anywhere near the focal plane.

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
        All that falls on a detector, and some that falls beside.
    """
    return layer.lights(
        Moment(
            survey.bandpasses[exposure.band], exposure.mjd_tai_mid, exposure.exposure_time_s, exposure.ra_deg,
            exposure.dec_deg, 1.02 * survey.reach_deg, survey.camera.observatory,
        )
    )  # fmt: skip


def detector_of(survey: Survey, exposure: PlannedExposure, lights: Lights) -> NDArray[np.int64]:
    """Return the detector that each light's centre falls on, displacements by the air apart.

    Parameters
    ----------
    survey : Survey
        The survey.
    exposure : PlannedExposure
        One of its exposures.
    lights : Lights
        For example from `focal_plane_lights`.

    Returns
    -------
    ndarray, int64, shape (n,)
        Detector id; -1 for none that is read.
    """
    found = np.full(len(lights), -1, np.int64)
    for detector in survey.detectors:
        wcs = true_wcs(survey.camera, detector, exposure, survey.spec.telescope.distortion, survey.seed)
        fx, fy = wcs.sky_to_field(ra_deg=lights.ra_deg, dec_deg=lights.dec_deg)
        x, y = wcs.place.to_pixel(field_x=fx, field_y=fy)
        ny, nx = detector.bbox.shape
        found[(x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)] = detector.id
    return found
