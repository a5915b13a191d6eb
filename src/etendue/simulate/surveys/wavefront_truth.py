"""Truth of the wavefronts: Zernike amplitudes over every detector in every exposure."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.telescope.field_angle import DetectorPlace
from etendue.simulate.telescope.psf_model import wavefront

_PLACES = 3


def wavefront_truth(survey: Survey, exposure: PlannedExposure, detector: Detector) -> dict[str, NDArray]:
    """Return the wavefront at the corners, sides and centre of a detector.

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
    dict of str to ndarray
        ``visit``, ``detector``, ``x``, ``y`` [px], ``noll`` and ``amplitude_nm`` (rms; defocus by the detector's height
        in it), one row per place and term; no rows without optics.
    """
    optics, (ny, nx) = survey.spec.telescope.optics, detector.bbox.shape
    found: list[tuple[float, float, int, float]] = []
    if optics is not None:
        place = DetectorPlace.nominal(survey.camera, detector)
        for y, x in product(*(np.linspace(0.0, size - 1.0, _PLACES) for size in (ny, nx))):
            fx, fy = place.to_field(x=x, y=y)
            terms, amplitudes = wavefront(optics, detector, exposure, float(fx), float(fy), survey.seed)
            for term in np.unique(terms).tolist():
                found.append((float(x), float(y), term, float(amplitudes[terms == term].sum())))
    columns = np.array(found, float).reshape(-1, 4).T
    count = columns.shape[1]
    return {
        "visit": np.full(count, exposure.exposure), "detector": np.full(count, detector.id), "x": columns[0],
        "y": columns[1], "noll": columns[2].astype(np.int64), "amplitude_nm": columns[3],
    }  # fmt: skip
