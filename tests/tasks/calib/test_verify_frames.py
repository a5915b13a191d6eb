from dataclasses import replace

import numpy as np
import pytest

from etendue.geom.box import Box
from etendue.image.charge_transfer import AmplifierTransfer, ChargeTransfer, TransferLoss
from etendue.image.crosstalk import Coupling, Crosstalk
from etendue.image.defects import Defects
from etendue.image.image import Image
from etendue.image.linearizer import AmplifierLinearity, Linearizer
from etendue.image.ptc import AmplifierGain, Ptc
from etendue.tasks.calib.bias import BuildBiasTask
from etendue.tasks.calib.check_defects import OddPixelConfig, OddPixels
from etendue.tasks.calib.dark import BuildDarkTask
from etendue.tasks.calib.exposed import LevelConfig
from etendue.tasks.calib.flat import BuildFlatConfig, BuildFlatTask
from etendue.tasks.calib.frame_check import residual_of
from etendue.tasks.calib.verify_frames import VerifyFramesConfig, VerifyFramesTask
from etendue.tasks.readout.calibrations import Calibrations

LEVELS = (8_000.0, 16_000.0, 24_000.0, 32_000.0, 40_000.0)
DEAD = (50, 60)
# 9,600 pixels of an amplifier know a noise to 0.7% and the gain of a pair to 1.5%.
TASK = VerifyFramesTask(VerifyFramesConfig(noise=(-0.04, 0.04), flat_scatter=(-0.04, 0.04), gain=(-0.03, 0.03)))


@pytest.fixture(scope="module")
def frames(make_raw, shape):
    light = np.ones(shape) * np.linspace(0.9, 1.1, shape[1])
    light[DEAD] = 0.3
    spot = np.zeros(shape)
    spot[40:80, 20:60] = 60_000.0

    def many(kind, lights, seconds, **more):
        return [make_raw(one, seed=100 * ord(kind[0]) + k, observation_type=kind, exposure_time_s=s,
                         file_name=f"{kind}{k}.fits", **more)
                for k, (one, s) in enumerate(zip(lights, seconds, strict=True))]  # fmt: skip

    biases = many("bias", [np.zeros(shape)] * 8, [0.0] * 8)
    darks = many("dark", [np.full(shape, 60.0)] * 6, [300.0] * 6)
    flats = many("flat", [light * level for level in LEVELS for _ in (0, 1)], [x / 1e3 for x in LEVELS for _ in (0, 1)])
    return biases, darks, flats, many("test", [spot], [5.0])


@pytest.fixture(scope="module")
def products(frames, toy_camera):
    biases, darks, flats, _ = frames
    names = ("left", "right")
    ptc = Ptc(tuple(AmplifierGain(n, g, 0.01, 3.0 * g, 0.1, g, True) for n, g in zip(names, (2.0, 3.0), strict=True)))
    bias = BuildBiasTask().run(biases, toy_camera).exposure
    known = Calibrations(bias=bias, ptc=ptc)
    dark = BuildDarkTask().run(darks, toy_camera, known).exposure
    bright = BuildFlatConfig(level=LevelConfig(minimum_adu=5000.0), on_odd="drop")
    flat = BuildFlatTask(bright).run(flats, toy_camera, replace(known, dark=dark)).exposure
    nodes = np.linspace(0.0, 30_000.0, 7)
    return {
        "bias": bias, "ptc": ptc, "dark": dark, "defects": Defects((Box.from_shape((1, 1), y0=DEAD[0], x0=DEAD[1]),)),
        "linearizer": Linearizer(tuple(AmplifierLinearity(n, "lookup", nodes, 0.0 * nodes) for n in names)),
        "crosstalk": Crosstalk(names, Coupling.of(np.zeros((2, 2)))),
        "charge_transfer": ChargeTransfer(tuple(AmplifierTransfer(n, TransferLoss(0.0), None) for n in names)),
    }, {"R": flat}  # fmt: skip


def _failed(found):
    return {verdict.product for verdict in found.verdicts if not verdict.passed}


def _run(frames, camera, products, flats):
    return TASK.run([raw for kind in frames for raw in kind], camera, Calibrations(**products), flats)


def test_what_good_products_leave_is_noise(frames, products, toy_camera):
    found = _run(frames, toy_camera, *products)
    assert {verdict.product for verdict in found.verdicts} == {*products[0], "flat"}
    assert [v for v in found.verdicts if not v.passed] == []
    assert {check.frame for check in found.checks} >= {"bias0.fits", "dark0.fits", "flat0.fits", "test0.fits"}


def _shifted(exposure, pixels):
    return replace(exposure, image=Image(np.asarray(exposure.image.array + pixels, np.float32), exposure.bbox))


def _with_noise(exposure, rms):
    return _shifted(exposure, np.random.default_rng(0).normal(0.0, rms, exposure.image.array.shape))


WORSE = {
    "bias": lambda bias: _with_noise(bias, 2.0),
    "dark": lambda dark: _shifted(dark, 0.1),
    "ptc": lambda ptc: Ptc(
        tuple(replace(a, gain=1.06 * a.gain, read_noise=1.06 * a.read_noise) for a in ptc.amplifiers)
    ),
    "linearizer": lambda line: Linearizer(
        tuple(AmplifierLinearity(a.name, "lookup", a.nodes, 0.03 * a.nodes / 3e4) for a in line.amplifiers)
    ),
    "crosstalk": lambda crosstalk: Crosstalk(crosstalk.amplifiers, Coupling.of([[0.0, 1e-3], [1e-3, 0.0]])),
    "charge_transfer": lambda old: ChargeTransfer(
        tuple(replace(a, serial=TransferLoss(3e-5)) for a in old.amplifiers)
    ),
    "defects": lambda defects: Defects(),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(WORSE))
def test_a_product_that_does_not_fit_its_frames_fails(kind, frames, products, toy_camera):
    task = TASK if kind != "defects" else VerifyFramesTask(VerifyFramesConfig(left_out=(0.0, 1e-5)))
    spoilt = products[0] | {kind: WORSE[kind](products[0][kind])}
    found = task.run([raw for part in frames for raw in part], toy_camera, Calibrations(**spoilt), products[1])
    assert kind in _failed(found)


@pytest.mark.parametrize("hurt", ["scatter", "step"])
def test_a_flat_of_another_lamp_fails(hurt, frames, products, toy_camera, shape):
    good = products[1]["R"]
    step = 0.06 * (np.arange(shape[1]) > shape[1] // 2) * np.ones(shape)
    flat = _with_noise(good, 0.01) if hurt == "scatter" else _shifted(good, step)
    found = TASK.run(frames[2], toy_camera, Calibrations(**products[0]), {"R": flat})
    assert any(hurt in v.what for v in found.verdicts if v.product == "flat" and not v.passed)


def test_frames_that_a_master_was_not_made_of_have_more_noise_and_pass(frames, products, toy_camera):
    bias = products[0]["bias"]
    apart = BuildBiasTask().run(frames[0][:4], toy_camera).exposure
    apart = replace(apart, metadata=apart.metadata | {"files": [raw.info.file_name for raw in frames[0][4:]]})
    found = TASK.run(frames[0], toy_camera, Calibrations(bias=apart), {})
    noise = [c.value for c in found.checks if c.what.startswith("noise")]
    assert np.median(noise) > 0.2  # sqrt((1 + 1/4) / (1 - 1/4)): taken for its own frames
    assert np.median([c.value for c in TASK.run(frames[0], toy_camera, Calibrations(bias=bias), {}).checks
                      if c.what.startswith("noise")]) == pytest.approx(0.0, abs=0.01)  # fmt: skip


def test_nothing_is_said_without_frames(products, toy_camera):
    assert _run((), toy_camera, *products) == ((), ())


def test_residuals_are_told_apart():
    rng = np.random.default_rng(3)
    noise = rng.normal(0.0, 2.0, (256, 320)).astype(np.float32)
    waves = np.repeat(np.repeat(rng.normal(0.0, 0.5, (4, 5)), 64, axis=0), 64, axis=1).astype(np.float32)
    noise[3, 4] = 1e4
    left = residual_of(noise + waves + np.float32(3.0))
    assert left.mean == pytest.approx(3.0 + waves.mean(), abs=0.05)
    assert left.noise == pytest.approx(2.0, rel=0.01)
    assert left.structure == pytest.approx(waves.std(), rel=0.1)


def test_edges_of_vignetting_are_no_bad_pixels_and_bad_columns_are(toy_camera, shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    light = 20_000.0 * np.clip((np.hypot(x, y) - 30.0) / 4.0, 0.0, 1.0)  # a dark corner with a sharp edge
    light[:, 100], light[60, 60], light[90, 120] = 100.0, 6000.0, 60_000.0
    odd = OddPixels(OddPixelConfig())
    rng = np.random.default_rng(1)
    for _ in range(4):
        odd.add_flat(rng.poisson(light).astype(np.float32))
    (check,) = odd.checks(Defects(), toy_camera.detectors[0])
    assert check.value * light.size == pytest.approx(shape[0] + 2)


def test_a_dead_amplifier_costs_the_others_nothing(frames, products, toy_camera):
    def silenced(raw):
        array = raw.array.copy()
        array[:, array.shape[1] // 2 :] = 0
        return replace(raw, array=array)

    dead = [[silenced(raw) for raw in kind] for kind in frames]
    biases, darks, flats, _ = dead
    bias = BuildBiasTask().run(biases, toy_camera).exposure
    known = Calibrations(bias=bias, ptc=products[0]["ptc"])
    dark = BuildDarkTask().run(darks, toy_camera, known).exposure
    bright = BuildFlatConfig(level=LevelConfig(minimum_adu=10.0), on_odd="drop")
    flat = BuildFlatTask(bright).run(flats, toy_camera, replace(known, dark=dark)).exposure
    found = _run(dead, toy_camera, products[0] | {"bias": bias, "dark": dark}, {"R": flat})
    assert {v.where for v in found.verdicts if v.product in ("bias", "dark")} == {"left"}
    assert [v for v in found.verdicts if v.product in ("bias", "dark") and not v.passed] == []
