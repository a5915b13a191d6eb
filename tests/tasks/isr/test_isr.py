from dataclasses import replace

import numpy as np
import pytest

from etendue.errors import InputError
from etendue.geom.box import Box, Interval
from etendue.image.crosstalk import Coupling, Crosstalk
from etendue.image.defects import Defects
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.ptc import AmplifierGain, Ptc
from etendue.tasks.isr.amp_offset import LevelAmplifiersConfig
from etendue.tasks.isr.isr import IsrConfig, IsrTask
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.electronics import electronics_of


def _calibration(array, unit, **parts):
    box = Box.from_shape(array.shape)
    plane = Image(array.astype(np.float32), box)
    return Exposure(image=plane, mask=Mask.empty(box), variance=Image(0 * plane.array, box), unit=unit, **parts)


def test_recovers_the_electrons_of_both_amplifiers(toy_camera, make_raw, shape):
    electrons = 5000.0 + 10.0 * np.add.outer(np.arange(shape[0]), np.arange(shape[1]))
    out = IsrTask().run(raw=make_raw(electrons, noise=False), camera=toy_camera)
    np.testing.assert_allclose(out.image.array, electrons, rtol=1e-5, atol=1e-2)
    assert out.unit == "electron"
    assert out.visit_info.visit == 2020010100001


def test_the_variance_plane_is_the_variance(toy_camera, make_raw, shape):
    ramp = np.linspace(200.0, 4000.0, shape[1]) * np.ones((shape[0], 1))
    response = np.linspace(1.0, 0.5, shape[0])[:, None] * np.ones((1, shape[1]))
    flat_adu = response / np.where(np.arange(shape[1]) < shape[1] // 2, 2.0, 3.0) * 2.5
    flat = _calibration(flat_adu, "", physical_filter="R")
    pulls = []
    for seed in range(6):
        raw = make_raw(ramp * response, seed=seed)
        out = IsrTask().run(raw=raw, camera=toy_camera, calibrations=Calibrations(flat=flat))
        pulls.append((out.image.array - ramp) / np.sqrt(out.variance.array))
    pull = np.array(pulls)
    assert abs(pull.std() - 1.0) < 0.02
    assert abs(pull.mean()) < 0.05


def test_saturated_pixels_trails_and_margins_are_masked_and_filled(toy_camera, make_raw, shape):
    electrons = np.full(shape, 1000.0)
    electrons[40:60, 30] = 2.0 * 64000.0  # the full well
    electrons[60:64, 30] = 2.0 * 40000.0  # the end of its trail
    out = IsrTask().run(raw=make_raw(electrons, seed=2), camera=toy_camera)
    saturated = out.mask.any_of(("SAT",))
    assert saturated[38:66, 28:33].all()
    assert saturated.sum() == 28 * 5
    filled = out.image.array[38:66, 28:33]
    assert np.abs(filled - 1000.0).max() < 400.0
    assert (out.mask.any_of(("INTRP",)) == saturated).all()


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_raw_pixels_without_a_value_are_no_data(toy_camera, make_raw, shape, odd):
    raw = make_raw(np.full(shape, 1000.0), seed=2)
    array = raw.array.astype(np.float32)
    array[30:34, 5:9] = odd
    out = IsrTask().run(raw=replace(raw, array=array), camera=toy_camera)
    lost = out.mask.any_of(("NO_DATA",))
    assert lost.sum() == 16
    assert (np.isnan(out.image.array) == lost).all()
    assert not out.mask.any_of(("SAT",)).any()


def test_planes_say_what_the_flat_says(toy_camera, make_raw, shape):
    response = np.ones(shape)
    response[:, :10], response[:, 10], response[0, 40] = 0.3, 0.0, np.nan
    out = IsrTask().run(
        raw=make_raw(np.full(shape, 500.0)),
        camera=toy_camera,
        calibrations=Calibrations(
            flat=_calibration(response, ""), defects=Defects((Box(y=Interval(50, 60), x=Interval(20, 21)),))
        ),
    )
    assert out.mask.any_of(("VIGNETTED",))[:, :11].all()
    assert out.mask.count("VIGNETTED") == 11 * shape[0]
    assert out.mask.any_of(("NO_DATA",))[:, 10].all()
    assert out.mask.count("NO_DATA") == shape[0] + 1
    assert out.mask.count("BAD") == 11
    assert np.isnan(out.image.array).sum() == shape[0] + 1
    assert np.isnan(out.variance.array).sum() == shape[0] + 1
    assert out.mask.any_of(("INTRP",))[50:60, 20].all()


def test_steps_between_amplifiers_are_removed_and_recorded_unless_that_is_switched_off(toy_camera, make_raw, shape):
    raw = make_raw(np.full(shape, 500.0), seed=3)
    right = toy_camera.detectors[0].amplifiers[1]
    raw.array[right.raw_data.slices_in(toy_camera.detectors[0].raw_bbox)] += 20  # not in its overscan: 60 electrons
    config = IsrConfig(level_amplifiers=LevelAmplifiersConfig(cell=16))
    halves = slice(None), [slice(0, right.bbox.x.start), slice(right.bbox.x.start, None)]

    def step(config):
        out = IsrTask(config).run(raw=raw, camera=toy_camera)
        left, beyond = (np.median(out.image.array[halves[0], half]) for half in halves[1])
        return beyond - left, out.metadata

    height, facts = step(config)
    assert abs(height) < 6.0
    assert facts["amplifier_steps"]["subtracted"]
    height, facts = step(config.model_copy(update={"remove_amplifier_steps": False}))
    assert height == pytest.approx(60.0, abs=3.0)
    assert "amplifier_steps" not in facts


def test_crosstalk_of_another_detector_is_taken_out_if_its_frame_is_given(toy_camera, make_raw, shape):
    detector = toy_camera.detectors[0]
    camera = toy_camera.model_copy(
        update={"detectors": (detector, detector.model_copy(update={"id": 1, "name": "other"}))}
    )
    bright = np.full(shape, 100.0)
    bright[20:40, 10:30] = 50000.0
    raw, other = make_raw(np.full(shape, 1000.0), seed=1), make_raw(bright, seed=2)
    left = detector.amplifiers[0].raw_data.slices_in(detector.raw_bbox)
    array = raw.array.astype(np.float32)
    array[left] += 1e-3 * (other.array[left] - 1000.0)
    raw = replace(raw, array=array)
    crosstalk = Crosstalk(("left", "right"), Coupling.of(np.zeros((2, 2))), {1: Coupling.of([[1e-3, 0.0], [0.0, 0.0]])})
    for beside, left_over in (({1: other}, 0.0), ({}, 50.0)):
        out = IsrTask().run(raw=raw, camera=camera, calibrations=Calibrations(crosstalk=crosstalk), beside=beside)
        assert np.median(out.image.array[20:40, 10:30]) == pytest.approx(1000.0 + left_over, abs=6.0)
        assert out.mask.any_of("CROSSTALK")[20:40, 10:30].all() == bool(beside)


def test_bad_pixels_stay_as_they_are_where_interpolation_is_off(toy_camera, make_raw, shape):
    defects = Defects((Box(y=Interval(50, 60), x=Interval(20, 21)),))
    raw = make_raw(np.full(shape, 500.0))
    raw.array[50:60, 20] += 1000
    out = IsrTask(IsrConfig(interpolate_defects=False)).run(
        raw=raw, camera=toy_camera, calibrations=Calibrations(defects=defects)
    )
    assert out.mask.any_of("BAD")[50:60, 20].all()
    assert not out.mask.any_of("INTRP").any()
    assert out.image.array[50:60, 20].mean() == pytest.approx(2500.0, abs=40.0)


def test_pixels_beyond_the_field_of_view_are_vignetted(toy_camera, make_raw, shape):
    detector = toy_camera.detectors[0]
    camera = toy_camera.model_copy(update={"field_radius_mm": 0.3 * max(shape) * detector.pixel_size_mm})
    dim = IsrTask().run(raw=make_raw(np.full(shape, 500.0)), camera=camera).mask.any_of("VIGNETTED")
    assert dim[[0, 0, -1, -1], [0, -1, 0, -1]].all()
    assert not dim[shape[0] // 2, shape[1] // 2]


def test_does_not_touch_its_arguments(toy_camera, make_raw, shape):
    raw, bias = make_raw(np.full(shape, 500.0)), _calibration(np.ones(shape), "adu")
    before = raw.array.copy(), bias.content_hash()
    IsrTask().run(raw=raw, camera=toy_camera, calibrations=Calibrations(bias=bias))
    assert (raw.array == before[0]).all()
    assert bias.content_hash() == before[1]


def test_refuses_a_flat_of_another_filter_by_name(toy_camera, make_raw, shape):
    flat = _calibration(np.ones(shape), "", physical_filter="V")
    with pytest.raises(InputError, match=r"0001.fits: frame was taken with filter 'R', the flat with 'V'"):
        IsrTask().run(raw=make_raw(np.zeros(shape)), camera=toy_camera, calibrations=Calibrations(flat=flat))


def test_refuses_a_calibration_of_another_size(toy_camera, make_raw, shape):
    with pytest.raises(InputError, match="bias covers"):
        IsrTask().run(
            raw=make_raw(np.zeros(shape)),
            camera=toy_camera,
            calibrations=Calibrations(bias=_calibration(np.ones((5, 6)), "adu")),
        )


def test_gain_comes_from_ptc_then_camera_then_header(toy_camera, make_raw, shape):
    detector, info = toy_camera.detectors[0], make_raw(np.zeros(shape)).info
    silent = detector.model_copy(
        update={
            "amplifiers": tuple(
                type(a).model_validate(a.model_dump(exclude={"gain", "read_noise"})) for a in detector.amplifiers
            )
        }
    )
    ptc = Ptc(tuple(AmplifierGain(name, 2.5, 0.01, 5.0, 0.1, 2.0, False) for name in ("left", "right")))
    assert [(e.gain, e.source) for e in electronics_of(detector, ptc, info)] == [(2.5, "ptc")] * 2
    assert [(e.gain, e.source) for e in electronics_of(detector, None, info)] == [(2.0, "camera"), (3.0, "camera")]
    assert [(e.gain, e.read_noise, e.source) for e in electronics_of(silent, None, info)] == [(2.0, 6.0, "header")] * 2


def test_refuses_maps_without_values_and_flats_without_response(toy_camera, make_raw, shape):
    raw = make_raw(np.zeros(shape))
    for kind, array, said in (
        ("bias", np.full(shape, np.nan), "0% of the bias's pixels have a value"),
        ("dark", np.full(shape, np.nan), "0% of the dark's pixels have a value"),
        ("flat", np.zeros(shape), "0% of the flat's pixels have a positive value"),
    ):
        calibrations = Calibrations(**{kind: _calibration(array, "")})
        with pytest.raises(InputError, match=said):
            IsrTask().run(raw=raw, camera=toy_camera, calibrations=calibrations)


def test_a_needed_calibration_that_is_missing_is_named(toy_camera, make_raw, shape):
    with pytest.raises(InputError, match=r"0001.fits: there is no flat"):
        IsrTask(IsrConfig(required=("flat",))).run(raw=make_raw(np.zeros(shape)), camera=toy_camera)


def test_the_dark_current_of_the_exposure_is_subtracted_and_its_noise_kept(toy_camera, make_raw, shape):
    dark = _calibration(np.full(shape, 20.0), "electron")
    raw = make_raw(np.full(shape, 1000.0 + 20.0 * 30.0), seed=4)
    out = IsrTask().run(raw=raw, camera=toy_camera, calibrations=Calibrations(dark=dark))
    assert abs(out.image.array.mean() - 1000.0) < 3.0
    pull = (out.image.array - 1000.0) / np.sqrt(out.variance.array)
    assert abs(pull.std() - 1.0) < 0.02
    assert out.metadata["isr"] == ["dark"]


def test_a_dead_amplifier_is_masked_and_named(toy_camera, make_raw, shape):
    raw = make_raw(np.full(shape, 1000.0), seed=3)
    array = raw.array.copy()
    array[:, : array.shape[1] // 2] = 1017
    out = IsrTask().run(raw=replace(raw, array=array), camera=toy_camera)
    half = shape[1] // 2
    assert out.mask.any_of(("BAD",))[:, :half].all()
    assert np.isnan(out.image.array[:, :half]).all()
    assert np.isfinite(out.image.array[:, half:]).all()
    assert out.metadata["dead_amplifiers"] == {"left": "constant at 1017 ADU"}


def test_pixels_above_the_measured_turn_off_are_saturated_and_those_near_it_suspect(toy_camera, make_raw, shape):
    electrons = np.full(shape, 1000.0)
    electrons[30, 20], electrons[60, 30] = 2.0 * 50_000.0, 2.0 * 41_000.0
    ptc = Ptc(tuple(AmplifierGain(name, gain, 0.01, 5.0, 0.1, 2.0, True, turnoff_adu=45_000.0)
                    for name, gain in (("left", 2.0), ("right", 3.0))))  # fmt: skip
    raw = make_raw(electrons, seed=3)
    out = IsrTask().run(raw=raw, camera=toy_camera, calibrations=Calibrations(ptc=ptc))
    assert out.mask.any_of(("SAT",))[30, 20]
    assert not out.mask.any_of(("SAT",))[60, 30]
    assert out.mask.any_of(("SUSPECT",))[60, 30]
    assert not IsrTask().run(raw=raw, camera=toy_camera).mask.any_of(("SAT", "SUSPECT")).any()


def test_a_step_that_is_skipped_changes_nothing(toy_camera, make_raw, shape):
    dark, raw = _calibration(np.full(shape, 20.0), "electron"), make_raw(np.full(shape, 100.0))
    skipped = IsrTask(IsrConfig(skip=("dark",))).run(raw=raw, camera=toy_camera, calibrations=Calibrations(dark=dark))
    without = IsrTask().run(raw=raw, camera=toy_camera)
    assert skipped.content_hash() == without.content_hash()


def test_a_flat_counted_in_electrons_holds_no_gains(toy_camera, make_raw, shape):
    flat = _calibration(np.ones(shape), "", metadata={"counted_in": "electron"})
    electrons = 1000.0 + np.arange(shape[1]) * np.ones(shape)
    out = IsrTask().run(raw=make_raw(electrons, noise=False), camera=toy_camera, calibrations=Calibrations(flat=flat))
    np.testing.assert_allclose(out.image.array, electrons, rtol=1e-5)
