import numpy as np
import pytest

from etendue.geom.box import Box
from etendue.image.brighter_fatter import PixelBoundaries
from etendue.image.charge_transfer import AmplifierTransfer, ChargeTransfer, TransferLoss
from etendue.image.crosstalk import Coupling, Crosstalk
from etendue.image.defects import Defects
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.linearizer import AmplifierLinearity, Linearizer
from etendue.image.mask import Mask
from etendue.image.ptc import AmplifierGain, Ptc
from etendue.tasks.calib.verify import VerifyCalibrationsTask
from etendue.tasks.readout.calibrations import Calibrations


def _map(value, error, unit, shape, hurt=None):
    box = Box.from_shape(shape)
    array = np.full(shape, value, np.float32)
    if hurt is not None:
        array[: shape[0] // 4] = hurt
    variance = Image(np.full(shape, error**2, np.float32), box)
    return Exposure(image=Image(array, box), mask=Mask.empty(box), variance=variance, unit=unit)


def _ptc(gain=2.0, error=0.005, noise=6.0):
    return Ptc(tuple(AmplifierGain(name, gain, error, noise, 0.1, 2.0, True) for name in ("left", "right")))


def _line(deviation=0.01, residual=5e-4):
    nodes = np.linspace(0.0, 60_000.0, 7)
    return Linearizer(tuple(AmplifierLinearity(n, "lookup", nodes, deviation * nodes / 60_000.0, residual)
                            for n in ("left", "right")))  # fmt: skip


def _loss(inefficiency):
    return ChargeTransfer(tuple(AmplifierTransfer(n, TransferLoss(inefficiency), None) for n in ("left", "right")))


def _boundaries(sign=1.0):
    shifts = np.array([[2e-7, 3e-8], [2e-8, 5e-9]])
    return PixelBoundaries(sign * shifts, sign * shifts.T)


GOOD = {
    "bias": lambda shape: _map(1.0, 0.8, "adu", shape),
    "dark": lambda shape: _map(0.02, 0.01, "electron", shape),
    "ptc": lambda shape: _ptc(),
    "linearizer": lambda shape: _line(),
    "crosstalk": lambda shape: Crosstalk(("left", "right"), Coupling.of([[0.0, 1e-4], [1e-4, 0.0]])),
    "charge_transfer": lambda shape: _loss(1e-6),
    "brighter_fatter": lambda shape: _boundaries(),
    "defects": lambda shape: Defects(),
}
BAD = {
    "bias": lambda shape: _map(1.0, 0.8, "adu", shape, hurt=np.nan),
    "dark": lambda shape: _map(0.02, 0.01, "electron", shape, hurt=9.0),
    "ptc": lambda shape: _ptc(gain=3.5),
    "linearizer": lambda shape: _line(residual=0.01),
    "crosstalk": lambda shape: Crosstalk(("left", "right"), Coupling.of([[0.0, 0.2], [1e-4, 0.0]])),
    "charge_transfer": lambda shape: _loss(5e-4),
    "brighter_fatter": lambda shape: _boundaries(-1.0),
    "defects": lambda shape: Defects((Box.from_shape((shape[0], shape[1] // 4)),)),
}


def _verdicts(toy_camera, products, flats=None):
    return VerifyCalibrationsTask().run(Calibrations(**products), toy_camera.detectors[0], flats or {})


def test_good_products_pass_every_number(toy_camera, shape):
    found = _verdicts(toy_camera, {k: make(shape) for k, make in GOOD.items()}, {"R": _map(1.0, 2e-3, "", shape)})
    assert {verdict.product for verdict in found} == {*GOOD, "flat"}
    assert [verdict for verdict in found if not verdict.passed] == []


@pytest.mark.parametrize("kind", sorted(BAD))
def test_a_bad_product_fails_and_no_other(kind, toy_camera, shape):
    products = {k: (BAD if k == kind else GOOD)[k](shape) for k in GOOD}
    failed = {verdict.product for verdict in _verdicts(toy_camera, products) if not verdict.passed}
    assert failed == {kind}


def test_losses_whose_model_does_not_describe_the_trails_fail(toy_camera):
    losses = (AmplifierTransfer("left", TransferLoss(1e-6, chi2=1.1), TransferLoss(1e-6, chi2=5.0)),)
    failed = [v for v in _verdicts(toy_camera, {"charge_transfer": ChargeTransfer(losses)}) if not v.passed]
    assert [(verdict.what, verdict.value) for verdict in failed] == [("parallel chi2 of the trails", 5.0)]


def test_a_flat_fails_by_its_filter(toy_camera, shape):
    flats = {"R": _map(1.0, 2e-3, "", shape), "V": _map(1.0, 2e-3, "", shape, hurt=0.1)}
    failed = [verdict for verdict in _verdicts(toy_camera, {}, flats) if not verdict.passed]
    assert [(verdict.product, verdict.where) for verdict in failed] == [("flat", "V")]


def test_an_unknown_number_fails_and_is_written_as_none(toy_camera):
    found = _verdicts(toy_camera, {"linearizer": _line(residual=np.nan)})
    (first, *_) = [verdict.to_dict() for verdict in found if not verdict.passed]
    assert first["value"] is None
    assert not first["passed"]
