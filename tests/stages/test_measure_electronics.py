"""The stages that measure amplifiers: photon transfer, linearity, crosstalk, charge transfer, brighter-fatter."""

from dataclasses import replace

import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.image.ptc import Ptc
from etendue.stages.build_bias import BuildBias
from etendue.stages.measure_brighter_fatter import MeasureBrighterFatter
from etendue.stages.measure_charge_transfer import MeasureChargeTransfer
from etendue.stages.measure_crosstalk import MeasureCrosstalk
from etendue.stages.measure_photon_transfer import MeasurePhotonTransfer


class _Handle:
    def __init__(self, raw, exposure):
        self.raw, self.data_id = raw, {"exposure": exposure}

    def get(self, component=None, box=None):
        return self.raw


def handles(raws):
    return tuple(_Handle(raw, k) for k, raw in enumerate(raws))


@pytest.fixture(scope="module")
def frames(raw_frame):
    biases = [raw_frame(0.0, seed=k, kind="bias", name=f"b{k}.fits", exposure_id=k) for k in range(6)]
    flats = [
        raw_frame(1000.0 * seconds, seed=100 + 2 * k + half, kind="flat", name=f"f{k}{half}.fits",
                  exposure_id=100 + 2 * k + half, exposure_time_s=seconds)
        for k, seconds in enumerate(np.geomspace(1.0, 60.0, 12)) for half in (0, 1)
    ]  # fmt: skip
    return biases, flats


@pytest.fixture(scope="module")
def bias(frames, ccd):
    return BuildBias().run(raws=tuple(frames[0]), camera=ccd).bias


@pytest.fixture(scope="module")
def measured(frames, ccd, bias):
    raws = handles([*frames[0], *frames[1]])
    return MeasurePhotonTransfer().run(raws=raws, camera=ccd, bias=bias, crosstalk=None, charge_transfer=None)


def test_pairs_at_many_levels_give_gain_noise_and_linearity(measured):
    (amplifier,) = measured.ptc.amplifiers
    assert amplifier.gain == pytest.approx(2.0, rel=0.01)
    assert amplifier.read_noise == pytest.approx(6.0, rel=0.03)
    assert amplifier.transfer is not None
    levels = np.linspace(1000.0, 25_000.0, 5)
    factors = np.interp(levels, measured.linearizer.amplifiers[0].nodes, measured.linearizer.amplifiers[0].values)
    assert np.abs(factors - factors[0]).max() < 3e-3


def _deviation(linearizer):
    levels = np.linspace(1000.0, 25_000.0, 5)
    return np.ptp(np.interp(levels, linearizer.amplifiers[0].nodes, linearizer.amplifiers[0].values))


def _of_a_drifting_shutter(info):
    """A header with the light that a photodiode saw, whose exposure time is not proportional to it."""
    return replace(info, lamp_monitor=info.exposure_time_s, exposure_time_s=info.exposure_time_s**1.02)


def test_a_photodiode_in_the_headers_counts_more_than_exposure_times(frames, ccd, bias):
    flats = [replace(raw, info=_of_a_drifting_shutter(raw.info)) for raw in frames[1]]
    stage = MeasurePhotonTransfer()
    found = stage.run(raws=handles(flats), camera=ccd, bias=bias, crosstalk=None, charge_transfer=None).linearizer
    assert _deviation(found) < 3e-3


def test_frames_come_in_order_of_exposure_whatever_the_order_of_their_handles(frames, ccd, bias, measured):
    raws = tuple(reversed(handles([*frames[0], *frames[1]])))
    again = MeasurePhotonTransfer().run(raws=raws, camera=ccd, bias=bias, crosstalk=None, charge_transfer=None)
    assert again.ptc.to_dict() == measured.ptc.to_dict()


def test_flats_without_an_equal_one_are_the_nights_failure(frames, ccd, bias):
    raws = handles([*frames[0], *frames[1][::2]])
    with pytest.raises(AlgorithmError, match="no pair of flats of one filter and exposure time"):
        MeasurePhotonTransfer().run(raws=raws, camera=ccd, bias=bias, crosstalk=None, charge_transfer=None)


def test_frames_without_bright_light_tell_no_crosstalk(frames, ccd, bias):
    with pytest.raises(AlgorithmError, match="no frame holds bright light"):
        MeasureCrosstalk().run(raws=handles(frames[0]), camera=ccd, bias=bias)


def test_biases_alone_tell_no_charge_transfer(frames, ccd):
    with pytest.raises(AlgorithmError):
        MeasureChargeTransfer().run(raws=handles(frames[0]), camera=ccd)


def test_a_curve_without_covariances_makes_no_brighter_fatter_model(measured):
    plain = Ptc.from_dict({"amplifiers": [{**measured.ptc.to_dict()["amplifiers"][0], "transfer": None}]})
    with pytest.raises(AlgorithmError, match=r"no brighter-fatter model: .*no covariances"):
        MeasureBrighterFatter().run(ptc=plain)


def test_flats_of_an_ideal_detector_show_no_brighter_fatter_effect(measured):
    with pytest.raises(AlgorithmError, match="Flats show no brighter-fatter effect"):
        MeasureBrighterFatter().run(ptc=measured.ptc)
