"""What share of the light passes the telescope to every pixel: vignetting and dust."""

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.telescope.dust import dust_map
from etendue.simulate.telescope.field_angle import DetectorPlace
from etendue.simulate.telescope.spec import OpticsSpec
from etendue.simulate.telescope.vignetting import vignetting_map


def illumination_map(survey: Survey, detector: Detector, band: str) -> NDArray[np.float32] | None:
    """Return the share of light that passes.

    Parameters
    ----------
    survey : Survey
        The survey.
    detector : Detector
        One of its detectors.
    band : str
        Band.

    Returns
    -------
    ndarray, float32, shape (ny, nx), or None
        None for all of it.
    """
    telescope, place = survey.spec.telescope, DetectorPlace.nominal(survey.camera, detector)
    share = None if telescope.vignetting is None else vignetting_map(telescope.vignetting, detector, place)
    if telescope.dust is None:
        return share
    optics = telescope.optics or OpticsSpec()
    dust = dust_map(telescope.dust, optics, detector, place, band, survey.reach_deg, survey.seed)
    return dust if share is None else share * dust
