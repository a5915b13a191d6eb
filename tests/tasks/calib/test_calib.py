import numpy as np
import pytest

from etendue.camera.raw import read_raw
from etendue.camera.shipped import load_camera
from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.calib.bias import BuildBiasConfig, BuildBiasTask
from etendue.tasks.calib.defects import BuildDefectsTask
from etendue.tasks.calib.flat import BuildFlatConfig, BuildFlatTask
from etendue.tasks.calib.gain import MeasureGainTask
from etendue.tasks.isr.isr import IsrTask
from etendue.tasks.readout.calibrations import Calibrations


def _response(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 1.0 - 0.3 * ((y / shape[0] - 0.5) ** 2 + (x / shape[1] - 0.5) ** 2)


@pytest.fixture(scope="module")
def biases(make_raw, shape):
    return [
        make_raw(np.zeros(shape), seed=i, observation_type="bias", physical_filter="", file_name=f"bias{i}.fits")
        for i in range(12)
    ]


@pytest.fixture(scope="module")
def flats(make_raw, shape):
    """Twilight: falling level, changing gradient, a star that moves."""
    frames = []
    for i in range(7):
        light = (40000.0 - 3000.0 * i) * _response(shape) * (1.0 + 0.01 * (i - 3) * np.linspace(-0.5, 0.5, shape[1]))
        light[20 * i : 20 * i - 5 + 10, 50:55] *= 1.5
        frames.append(make_raw(light, seed=50 + i, observation_type="flat", seq=i, file_name=f"flat{i}.fits"))
    return frames


@pytest.fixture(scope="module")
def bias(biases, toy_camera):
    return BuildBiasTask().run(biases, toy_camera).exposure


def test_bias_has_the_read_noise_and_calibrated_errors(bias):
    assert bias.metadata["n_frames"] == 12
    for value in bias.metadata["read_noise_adu"].values():
        assert abs(value - 3.0) < 0.05
    error = np.sqrt(bias.variance.array.mean())
    assert abs(bias.image.array[:, 5:].std() / error - 1.0) < 0.06


def test_bias_refuses_another_type_by_name(biases, flats, toy_camera):
    with pytest.raises(InputError, match=r"flat0.fits: is a flat frame, not a bias"):
        BuildBiasTask().run([*biases, flats[0]], toy_camera)
    result = BuildBiasTask(BuildBiasConfig(on_odd="drop")).run([*biases, flats[0]], toy_camera)
    assert [refusal.file for refusal in result.refused] == ["flat0.fits"]


def test_flat_recovers_the_response_without_stars(flats, bias, toy_camera, shape):
    flat = BuildFlatTask().run(flats, toy_camera, Calibrations(bias=bias)).exposure
    gain = np.where(np.arange(shape[1]) < shape[1] // 2, 2.0, 3.0)
    truth = _response(shape) / gain
    ratio = flat.image.array / truth * np.median(truth)
    assert np.nanmedian(flat.image.array) == pytest.approx(1.0, abs=1e-6)
    assert abs(ratio - np.median(ratio)).max() < 0.04  # 8 sigma, a star would be 0.07 and more
    assert flat.physical_filter == "R"
    assert flat.unit == ""


def test_a_frame_calibrated_with_the_flat_is_flat(flats, bias, toy_camera, make_raw, shape):
    flat = BuildFlatTask().run(flats, toy_camera, Calibrations(bias=bias)).exposure
    out = IsrTask().run(
        raw=make_raw(20000.0 * _response(shape), seed=9),
        camera=toy_camera,
        calibrations=Calibrations(bias=bias, flat=flat),
    )
    left, right = np.split(out.image.array, 2, axis=1)
    assert abs(left.mean() / right.mean() - 1.0) < 0.01
    assert out.image.array.std() / out.image.array.mean() < 0.015


def test_flat_refuses_another_filter_naming_file_and_both_filters(flats, toy_camera, make_raw, shape):
    odd = make_raw(np.full(shape, 3e4), observation_type="flat", physical_filter="V", file_name="odd.fits")
    with pytest.raises(InputError, match=r"odd.fits: filter is 'V', the other frames have 'R'"):
        BuildFlatTask().run([odd, *flats], toy_camera)
    result = BuildFlatTask(BuildFlatConfig(on_odd="drop")).run([odd, *flats], toy_camera)
    assert [refusal.file for refusal in result.refused] == ["odd.fits"]
    assert result.exposure.metadata["n_frames"] == 7
    with pytest.raises(InputError, match=r"1 flat \(filter 'V'\) frames \(odd.fits\) are too few"):
        BuildFlatTask().run([odd], toy_camera)


@pytest.mark.parametrize(("electrons", "reason"), [(118000.0, "saturated"), (500.0, "underexposed")])
def test_flat_refuses_bad_levels_by_name(flats, toy_camera, make_raw, shape, electrons, reason):
    odd = make_raw(np.full(shape, electrons), observation_type="flat", file_name="odd.fits")
    with pytest.raises(InputError, match=f"odd.fits: is {reason}"):
        BuildFlatTask().run([*flats, odd], toy_camera)


def test_gain_of_each_amplifier_and_the_header_at_odds(flats, biases, bias, toy_camera):
    ptc = MeasureGainTask().run([*flats, *biases], toy_camera, bias)
    for name, truth in (("left", 2.0), ("right", 3.0)):
        assert abs(ptc[name].gain - truth) < 4.0 * ptc[name].gain_err
        assert ptc[name].gain_err < 0.02 * truth
        assert ptc[name].read_noise_adu == pytest.approx(3.0, abs=0.05)
    assert ptc["left"].consistent
    assert not ptc["right"].consistent


def test_gain_takes_the_read_noise_of_the_bias(flats, bias, toy_camera):
    ptc = MeasureGainTask().run(flats, toy_camera, bias)
    assert ptc["left"].read_noise_adu == pytest.approx(bias.metadata["read_noise_adu"]["left"])
    with pytest.raises(InputError, match="nothing tells the read noise"):
        MeasureGainTask().run(flats, toy_camera)


def test_gain_needs_two_flats_of_one_filter(flats, bias, toy_camera):
    with pytest.raises(InputError, match="too few"):
        MeasureGainTask().run(flats[:1], toy_camera, bias)


def _exposure(array, **metadata):
    box = Box.from_shape(array.shape)
    plane = Image(array.astype(np.float32), box)
    return Exposure(image=plane, mask=Mask.empty(box), variance=plane, unit="", metadata=metadata)


def test_defects_are_hot_dead_and_dim_pixels_and_columns():
    rng = np.random.default_rng(1)
    flat, bias = rng.normal(1.0, 0.01, (100, 120)), rng.normal(0.0, 0.5, (100, 120))
    flat *= np.linspace(1.0, 0.5, 120)
    flat[30, 40], flat[31, 41], flat[5, 5] = 0.3, 2.0, np.nan
    flat[20:90, 70] *= 0.5
    flat[:, 90] = 0.004
    bias[60, 20] = 100.0
    mask = (
        BuildDefectsTask()
        .run(_exposure(bias, read_noise_adu={"A": 1.5}), _exposure(flat))
        .mask(Box.from_shape(flat.shape))
    )
    expected = np.zeros(flat.shape, bool)
    expected[[30, 31, 5, 60], [40, 41, 5, 20]], expected[:, [70, 90]] = True, True
    assert (mask == expected).all()


@pytest.mark.realdata
def test_lowell_gain_disagrees_with_its_header_and_the_v_flat_is_refused(shared_data):
    camera = load_camera("lowell42")
    folder = shared_data / "lowell42"
    biases = [read_raw(folder / "bias" / f"20190326.{i:04d}.fits.fz", camera) for i in (3, 4, 5, 6)]
    flats = [read_raw(path, camera) for path in sorted((folder / "flat").glob("*.fits.fz"))]
    bias = BuildBiasTask().run(biases, camera).exposure
    ptc = MeasureGainTask().run(flats, camera, bias)
    assert ptc["A"].gain == pytest.approx(3.66, rel=0.02)
    assert ptc["A"].header_gain == 4.95
    assert not ptc["A"].consistent
    assert ptc["A"].read_noise_adu == pytest.approx(1.17, abs=0.02)
    with pytest.raises(InputError, match=r"20190326.0100.fits.fz: filter is 'V', the other frames have 'VR'"):
        BuildFlatTask().run(flats, camera, Calibrations(bias=bias))
