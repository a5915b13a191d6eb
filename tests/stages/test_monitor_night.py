"""What a night's frames tell about its amplifiers."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.image.ptc import AmplifierGain, Ptc
from etendue.stages.build_bias import BuildBias
from etendue.stages.monitor_night import MonitorNight


class _Handle:
    def __init__(self, raw, exposure):
        self.raw, self.data_id = raw, {"exposure": exposure}

    def get(self, component=None, box=None):
        return self.raw


@pytest.fixture(scope="module")
def frames(raw_frame):
    biases = [raw_frame(0.0, seed=k, kind="bias", name=f"b{k}.fits", exposure_id=k) for k in range(5)]
    flats = [raw_frame(np.full((200, 200), 30_000.0), seed=60 + k, kind="flat", name=f"f{k}.fits", exposure_id=60 + k)
             for k in range(2)]  # fmt: skip
    return biases, flats


def monitored(frames, ccd, gain):
    ptc = Ptc((AmplifierGain("A", gain, 0.002, 6.0, 0.05, 2.0, True),))
    bias = BuildBias().run(raws=tuple(frames[0]), camera=ccd).bias
    handles = tuple(_Handle(raw, k) for k, raw in enumerate([*frames[0], *frames[1]]))
    others = {"linearizer": None, "crosstalk": None, "charge_transfer": None}
    (amplifier,) = MonitorNight().run(raws=handles, camera=ccd, bias=bias, ptc=ptc, **others).amplifiers
    return amplifier


def test_a_night_tells_level_noise_and_gain(frames, ccd):
    amplifier = monitored(frames, ccd, 2.0)
    assert amplifier["frames"] == 7
    assert amplifier["bias_level_adu"] == pytest.approx(float(np.median(frames[0][0].array)), abs=2.0)
    assert amplifier["read_noise_adu"] == pytest.approx(3.0, rel=0.05)
    assert amplifier["gain"] == pytest.approx(2.0, rel=0.04)
    assert not amplifier["gain_changed"]


def test_a_gain_that_is_not_the_curves_is_told(frames, ccd):
    amplifier = monitored(frames, ccd, 2.4)
    assert amplifier["gain_change"] < -0.1
    assert amplifier["gain_changed"]


def test_a_night_without_frames_is_the_nights_failure(ccd):
    with pytest.raises(AlgorithmError, match="no bias and no flat"):
        MonitorNight().run(raws=(), camera=ccd, bias=None, ptc=None, linearizer=None, crosstalk=None,
                           charge_transfer=None)  # fmt: skip
