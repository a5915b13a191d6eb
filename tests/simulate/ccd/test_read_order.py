import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.camera.detector import Detector
from etendue.camera.read_order import ReadOrder
from etendue.errors import InputError
from etendue.simulate.ccd.ccd import Ccd
from etendue.simulate.ccd.charge_transfer import TransferSpec
from etendue.simulate.ccd.spec import CcdSpec

QUIET = CcdSpec(shot_noise=False)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def exposed(detector: Detector, spec: CcdSpec, light: np.ndarray) -> np.ndarray:
    return Ccd(detector, spec, 1).expose(light, 0.0, rng()).raw


@given(
    columns=st.integers(1, 4),
    stories=st.integers(1, 2),
    flips=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=8, max_size=8),
)
@settings(max_examples=25, deadline=None)
def test_a_perfect_ccd_gives_its_light_back_through_any_flips(columns, stories, flips):
    h, w = 5, 7
    amplifiers = [
        {
            "name": f"{s}{k}",
            "raw_data": f"[{k * (w + 3) + 3}:{k * (w + 3) + w + 2},{s * h + 1}:{s * h + h}]",
            "raw_prescan": f"[{k * (w + 3) + 1}:{k * (w + 3) + 2},{s * h + 1}:{s * h + h}]",
            "bbox": f"[{k * w + 1}:{k * w + w},{s * h + 1}:{s * h + h}]",
            "flip_x": flips[s * columns + k][0],
            "flip_y": flips[s * columns + k][1],
        }
        for s in range(stories)
        for k in range(columns)
    ]
    detector = Detector(id=0, name="D", raw_shape=(stories * h, columns * (w + 3)), amplifiers=amplifiers)
    light = np.arange(detector.bbox.area, dtype=np.float32).reshape(detector.bbox.shape)
    np.testing.assert_array_equal(detector.trim(exposed(detector, QUIET, light)), light)


def test_overscan_and_prescan_get_no_light(make_chip):
    detector = make_chip()
    raw = exposed(detector, QUIET, np.full(detector.bbox.shape, 1000.0, np.float32))
    assert np.count_nonzero(raw) == detector.bbox.area


@pytest.mark.parametrize("number", range(4))
def test_trails_point_away_from_the_register_and_into_the_overscan(make_chip, number):
    detector = make_chip()
    amplifier = detector.amplifiers[number]
    leaky = TransferSpec(inefficiency=1e-3, scatter=0.0)
    light = np.full(detector.bbox.shape, 20000.0, np.float32)
    raw = exposed(detector, CcdSpec(shot_noise=False, parallel_transfer=leaky, serial_transfer=leaky), light)
    over, data = amplifier.raw_serial_overscan, amplifier.raw_data
    nearest = over.x.min if over.x.min > data.x.max else over.x.max
    assert raw[data.y.start, nearest] > 100
    parallel = amplifier.raw_parallel_overscan
    nearest = parallel.y.min if parallel.y.min > data.y.max else parallel.y.max
    assert raw[nearest, data.x.start] > 100
    assert not raw[data.y.start : data.y.stop, amplifier.raw_prescan.x.start].any()


def test_the_order_is_found_without_overscan():
    sections = {"low": "[1:4,1:6]", "high": "[1:4,7:12]"}
    amplifiers = [{"name": name, "raw_data": where, "bbox": where} for name, where in sections.items()]
    detector = Detector(id=0, name="D", raw_shape=(12, 4), amplifiers=amplifiers)
    low, high = (ReadOrder.of(amplifier, detector) for amplifier in detector.amplifiers)
    assert low.bottom
    assert not high.bottom
    flipped = [amplifiers[0], amplifiers[1] | {"flip_y": True}]
    detector = Detector(id=0, name="D", raw_shape=(12, 4), amplifiers=flipped)
    assert ReadOrder.of(detector.amplifiers[1], detector).bottom


def test_amplifiers_of_different_sizes_share_a_detector():
    amplifiers = [
        {"name": "A", "raw_data": "[1:8,1:6]", "bbox": "[1:8,1:6]", "raw_serial_overscan": "[9:12,1:6]"},
        {"name": "B", "raw_data": "[13:16,1:6]", "bbox": "[9:12,1:6]", "raw_parallel_overscan": "[13:16,7:9]"},
    ]
    detector = Detector(id=0, name="D", raw_shape=(9, 16), amplifiers=amplifiers)
    light = np.arange(72, dtype=np.float32).reshape(6, 12)
    spec = CcdSpec(shot_noise=False, crosstalk={"linear": 0.0, "quadratic": 0.0})
    np.testing.assert_array_equal(detector.trim(exposed(detector, spec, light)), light)
    trailing = CcdSpec(shot_noise=False, parallel_transfer=TransferSpec(inefficiency=1e-3, scatter=0.0))
    raw = exposed(detector, trailing, np.full((6, 12), 50000.0, np.float32))
    assert (raw[6, 12:] > 100).all()
    assert not raw[6:, :12].any()


def test_overscans_gathered_at_one_side_belong_to_their_amplifiers():
    amplifiers = [
        {"name": "A", "raw_data": "[1:8,1:6]", "bbox": "[1:8,1:6]", "raw_serial_overscan": "[17:20,1:6]"},
        {"name": "B", "raw_data": "[9:16,1:6]", "bbox": "[9:16,1:6]", "raw_serial_overscan": "[21:24,1:6]"},
    ]
    detector = Detector(id=0, name="D", raw_shape=(6, 24), amplifiers=amplifiers)
    light = np.zeros((6, 16), np.float32)
    light[:, 8:] = 50000.0
    leaky = TransferSpec(inefficiency=1e-3, scatter=0.0)
    raw = exposed(detector, CcdSpec(shot_noise=False, serial_transfer=leaky), light)
    assert not raw[:, 16:20].any()
    assert (raw[:, 20] > 100).all()


def test_pixels_that_no_section_names_carry_bias_and_noise_of_the_nearest_amplifier():
    amplifiers = [{"name": "A", "raw_data": "[11:40,1:30]", "bbox": "[1:30,1:30]", "gain": 2.0, "read_noise": 8.0}]
    detector = Detector(id=0, name="D", raw_shape=(30, 60), amplifiers=amplifiers)
    spec = CcdSpec(bias={"amplifier_rms_adu": 0.0, "drift_adu": 0.0, "jitter_adu": 0.0}, read_noise={"scatter": 0.0})
    raw = exposed(detector, spec, np.zeros((30, 30), np.float32)).astype(float)
    unnamed = np.concatenate([raw[:, :10].ravel(), raw[:, 40:].ravel()])
    assert unnamed.mean() == pytest.approx(1000.0, abs=0.7)
    assert unnamed.std() == pytest.approx(4.0, rel=0.12)


def test_light_of_another_shape_is_refused(make_ccd):
    with pytest.raises(InputError, match="light is not for detector T"):
        make_ccd().expose(np.zeros((4, 4), np.float32), 1.0, rng())
    ccd = make_ccd()
    with pytest.raises(InputError, match="light is not for detector T"):
        ccd.expose(np.zeros(ccd.shape, np.float32), 1.0, rng(), sky=np.zeros((4, 4), np.float32))
    with pytest.raises(InputError, match="not finite"):
        ccd.expose(np.full(ccd.shape, np.nan, np.float32), 1.0, rng())
    with pytest.raises(InputError, match="negative"):
        ccd.expose(np.zeros(ccd.shape, np.float32), -1.0, rng())
