"""What people say about frames reaches the stages."""

import numpy as np
import pytest

from etendue.camera.frame_override import FrameOverride
from etendue.camera.raw_overrides import apply_overrides
from etendue.errors import AlgorithmError
from etendue.stages.build_bias import BuildBias
from etendue.stages.build_flat import BuildFlat
from etendue.stages.calibrate_image import CalibrateImage


def biases(raw_frame, n=5):
    return tuple(raw_frame(0.0, seed=k, kind="bias", name=f"b{k}.fits", exposure_id=k) for k in range(n))


def said(exposure, **what):
    return FrameOverride.model_validate({"exposure": exposure, "detector": 0, **what})


def test_an_excluded_science_frame_is_the_data_s_failure_with_the_reason(raw_frame, ccd):
    raw = raw_frame(100.0, seed=1, name="s.fits", exposure_id=3)
    with pytest.raises(AlgorithmError, match=r"s\.fits: excluded by overrides\.yaml: trailed"):
        CalibrateImage().run(raws=(raw,), overrides=(said(3, excluded="trailed"),), camera=ccd, bias=None, flat=None,
                             defects=None, ptc=None, reference=())  # fmt: skip


def test_an_excluded_bias_is_left_out_of_the_mean(raw_frame, ccd):
    raws = biases(raw_frame)
    with_it = BuildBias().run(raws=raws, camera=ccd).bias
    without = BuildBias().run(raws=raws, overrides=(said(2, excluded="light leak"),), camera=ccd).bias
    assert with_it.metadata["n_frames"] == 5
    assert without.metadata["n_frames"] == 4


def test_calibrations_without_frames_say_which_were_excluded(raw_frame, ccd):
    raws = biases(raw_frame, 1)
    with pytest.raises(AlgorithmError, match=r"no bias: .*b0\.fits: excluded by overrides\.yaml: light leak"):
        BuildBias().run(raws=raws, overrides=(said(0, excluded="light leak"),), camera=ccd)
    flat = raw_frame(np.full((200, 200), 2e4), seed=1, kind="flat", name="f.fits", exposure_id=9)
    with pytest.raises(AlgorithmError, match=r"no frame refused: 0 flat.*f\.fits: excluded .*: clouds"):
        BuildFlat().run(raws=(flat,), overrides=(said(9, excluded="clouds"),), camera=ccd, bias=None)


def test_frames_of_other_detectors_are_left_alone(raw_frame, ccd):
    raws = biases(raw_frame, 2)
    other = FrameOverride(exposure=0, detector=1, excluded="x")
    assert apply_overrides(raws, (other,), ccd).raws == raws
