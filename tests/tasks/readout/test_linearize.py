import numpy as np
import pytest

from etendue.camera.segments import Segments
from etendue.errors import InputError
from etendue.image.linearizer import AmplifierLinearity, Linearizer
from etendue.tasks.readout.linearize import LinearizeTask


def linearizer(*names):
    return Linearizer(
        tuple(AmplifierLinearity(name, "polynomial", np.array([1e4]), np.array([0.05])) for name in names)
    )


def test_every_amplifier_gets_its_factor_and_nan_stays(toy_camera):
    detector = toy_camera.detectors[0]
    raw = np.full(detector.raw_shape, 5000.0)
    raw[3, 4] = np.nan
    segments = Segments.of(raw, detector)
    LinearizeTask().run(segments, linearizer("left", "right"))
    assert np.isnan(segments.array).sum() == 1
    assert np.nanmax(np.abs(segments.array - 5000.0 * 1.025)) < 2e-3


def test_a_linearizer_of_another_detector_is_refused_by_name(toy_camera):
    segments = Segments.of(np.zeros(toy_camera.detectors[0].raw_shape), toy_camera.detectors[0])
    with pytest.raises(InputError, match=r"toy: linearizer lacks amplifiers of the detector \(got \['right'\]\)"):
        LinearizeTask().run(segments, linearizer("left"))
