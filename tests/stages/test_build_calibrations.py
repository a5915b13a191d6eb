"""The stages that make bias, flat, gain and defects."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.stages.build_bias import BuildBias
from etendue.stages.build_dark import BuildDark
from etendue.stages.build_defects import BuildDefects
from etendue.stages.build_flat import BuildFlat
from etendue.stages.build_sky_pattern import BuildSkyPattern
from etendue.stages.measure_gain import MeasureGain, MeasureGainStageConfig
from etendue.tasks.calib.gain import MeasureGainConfig

GAIN = MeasureGainStageConfig(gain=MeasureGainConfig(box_size=160))


@pytest.fixture(scope="module")
def bias(raw_frame, ccd):
    raws = tuple(raw_frame(0.0, seed=k, kind="bias", name=f"b{k}.fits") for k in range(5))
    return BuildBias().run(raws=raws, camera=ccd).bias


def flats(raw_frame, n, level=30000.0, column=None, **info):
    light = np.full((200, 200), level)
    if column is not None:
        light[:, column] *= 0.2
    return tuple(
        raw_frame(light * (1 + 0.02 * k), seed=10 + k, kind="flat", name=f"f{k}.fits", seq=k, exposure_id=k, **info)
        for k in range(n)
    )


def test_the_bias_is_the_mean_of_the_frames_and_knows_the_read_noise(bias):
    assert abs(np.median(bias.image.array)) < 0.5
    assert bias.metadata["read_noise_adu"]["A"] == pytest.approx(3.0, rel=0.03)
    assert bias.unit == "adu"


def test_the_flat_has_mean_one_and_its_filter(raw_frame, ccd, bias):
    flat = BuildFlat().run(raws=flats(raw_frame, 4), camera=ccd, bias=bias).flat
    assert flat.image.array.mean() == pytest.approx(1.0, abs=1e-3)
    assert flat.physical_filter == "VR"


def test_too_few_flats_of_a_filter_are_named(raw_frame, ccd, bias):
    with pytest.raises(AlgorithmError, match=r"f0\.fits refused: 1 flat in filter V, 3 make one"):
        BuildFlat().run(raws=flats(raw_frame, 1, physical_filter="V"), camera=ccd, bias=bias)


def test_the_gain_is_measured_and_a_wrong_header_told(raw_frame, ccd, bias):
    ptc = MeasureGain(GAIN).run(raws=flats(raw_frame, 6), camera=ccd, bias=bias).ptc
    (amplifier,) = ptc.amplifiers
    assert amplifier.gain == pytest.approx(2.0, rel=0.02)
    assert amplifier.consistent
    wrong = MeasureGain(GAIN).run(raws=flats(raw_frame, 6, header_gain=2.7), camera=ccd, bias=bias).ptc.amplifiers[0]
    assert not wrong.consistent
    assert wrong.header_gain == 2.7


def test_darks_of_a_night_give_a_rate_and_hot_pixels(raw_frame, ccd, bias):
    light = np.zeros((200, 200))
    light[50, 60] = 3000.0
    raws = tuple(raw_frame(light, seed=90 + k, kind="dark", name=f"d{k}.fits", exposure_time_s=100.0) for k in range(4))
    dark = BuildDark().run(raws=raws, camera=ccd, bias=bias, ptc=None).dark
    assert dark.image.array[50, 60] == pytest.approx(30.0, rel=0.05)
    assert dark.metadata["refused"] == {}
    found = BuildDefects().run(bias=bias, dark=dark, flats=()).defects
    assert found.mask(dark.bbox)[50, 60]
    assert found.mask(dark.bbox).sum() == 1


def test_too_few_darks_are_named(raw_frame, ccd, bias):
    raws = (raw_frame(0.0, kind="dark", name="d0.fits", exposure_time_s=100.0),)
    with pytest.raises(AlgorithmError, match=r"no dark: 1 dark frames \(d0.fits\) are too few"):
        BuildDark().run(raws=raws, camera=ccd, bias=bias, ptc=None)


def test_a_night_without_a_pair_of_flats_is_the_data_s_failure(raw_frame, ccd, bias):
    with pytest.raises(AlgorithmError, match="flat"):
        MeasureGain(GAIN).run(raws=flats(raw_frame, 1), camera=ccd, bias=bias)


def test_defects_of_all_filters_are_united(raw_frame, ccd, bias):
    task = BuildFlat()
    red = task.run(raws=flats(raw_frame, 3, column=40), camera=ccd, bias=bias).flat
    green = task.run(raws=flats(raw_frame, 3, column=90, physical_filter="V"), camera=ccd, bias=bias).flat
    bad = BuildDefects().run(bias=bias, flats=(red, green)).defects.mask(bias.bbox)
    assert bad[:, 40].all()
    assert bad[:, 90].all()
    assert bad.sum() < 2.2 * 200
    assert BuildDefects().run(bias=bias, flats=()).defects.mask(bias.bbox).sum() < 10


@pytest.mark.parametrize("stage", [BuildBias, BuildFlat, MeasureGain])
def test_raw_frames_enter_by_their_type(stage):
    wanted = "bias" if stage is BuildBias else "flat"
    assert stage.inputs()["raws"].observation_types == (wanted,)


@pytest.mark.parametrize("stage", [BuildBias, BuildFlat, MeasureGain, BuildDefects])
def test_products_can_be_certified(stage):
    assert all(output.calibration for output in stage.outputs().values())


class _Handle:
    def __init__(self, raw):
        self.raw, self.data_id = raw, {"exposure": raw.info.exposure_id}

    def get(self, component=None, box=None):
        return self.raw


def test_fringes_and_sky_are_built_from_science_frames(raw_frame, ccd):
    _, x = np.mgrid[:200, :200]
    fringes = 0.05 * np.sin(x / 8.0)
    handles = tuple(
        _Handle(raw_frame(4000.0 * (1.0 + fringes), seed=200 + k, name=f"s{k}.fits", exposure_id=k)) for k in range(8)
    )
    built = BuildSkyPattern().run(raws=handles, camera=ccd)
    assert np.corrcoef(built.fringe.image.array.ravel(), fringes.ravel())[0, 1] > 0.95
    assert built.sky.image.array.mean() == pytest.approx(1.0, abs=0.01)
    assert built.fringe.physical_filter == "VR"


def test_a_sky_without_a_pattern_makes_no_frame(raw_frame, ccd):
    handles = tuple(_Handle(raw_frame(4000.0, seed=300 + k, name=f"s{k}.fits", exposure_id=k)) for k in range(8))
    with pytest.raises(AlgorithmError, match="no fringe frame: the sky has no pattern above its noise"):
        BuildSkyPattern().run(raws=handles, camera=ccd)
