import numpy as np
import pytest

from etendue.camera.segments import Segments
from etendue.errors import InputError
from etendue.image.charge_transfer import AmplifierTransfer, ChargeTransfer, TransferLoss
from etendue.tasks.readout.charge_transfer import CorrectChargeTransferConfig, CorrectChargeTransferTask
from etendue.tasks.readout.overscan import SubtractOverscanTask

SERIAL = {"inefficiency": 2e-5, "scatter": 0.0, "release_px": 0.7, "trap_electrons": 40.0}
PARALLEL = {"inefficiency": 1e-5, "scatter": 0.0, "release_px": 0.5}
GAIN = 1.5


def losses(detector):
    serial = TransferLoss(2e-5, release_px=0.7, trap_electrons=40.0, trap_fill=0.1, trap_release_px=3.0)
    parallel = TransferLoss(1e-5, release_px=0.5)
    return ChargeTransfer(tuple(AmplifierTransfer(a.name, serial, parallel) for a in detector.amplifiers))


def stars(shape, positions, flux=600000.0, sky=100.0):
    y, x = np.mgrid[: shape[0], : shape[1]]
    light = np.full(shape, sky)
    for x0, y0 in positions:
        light += flux / (2.0 * np.pi * 1.5**2) * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / 1.5**2)
    return light


def electrons(raw, detector):
    segments = Segments.of(raw, detector)
    SubtractOverscanTask().run(segments)
    segments.array[...] *= np.float32(GAIN)
    return segments


def moments(image, x0, y0, half=7):
    x0, y0 = round(x0), round(y0)
    stamp = image[y0 - half : y0 + half + 1, x0 - half : x0 + half + 1] - 100.0
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    return stamp.sum(), (stamp * x).sum() / stamp.sum(), (stamp * y).sum() / stamp.sum()


def test_stars_get_their_flux_and_place_back(make_ccd, make_chip, even_bias):
    detector = make_chip(256, 256, stories=1, gain=GAIN)
    spec = {"serial_transfer": SERIAL, "parallel_transfer": PARALLEL}
    ccd = make_ccd(detector, shot_noise=False, bias=even_bias, **spec)
    places = [(100.0, 40.0), (60.0, 200.0), (150.0, 230.0), (230.0, 120.0)]
    light = stars(ccd.shape, places)
    segments = electrons(ccd.expose(light.astype(np.float32), 1.0, np.random.default_rng(1)).raw, detector)
    before = segments.assemble()
    CorrectChargeTransferTask(CorrectChargeTransferConfig(quiet=0.0)).run(segments, losses(detector))
    after = segments.assemble()
    true, lost, back = (np.array([moments(image, *place) for place in places]) for image in (light, before, after))
    assert np.abs(lost[:, 1:] - true[:, 1:]).max() > 1e-3
    assert np.abs(back[:, 1:] - true[:, 1:]).max() < 1e-4
    np.testing.assert_allclose(back[:, 0], true[:, 0], rtol=1e-4)
    assert np.abs(after - light).max() < 3.0  # counts are integers


def test_steps_can_be_left_out(make_ccd, make_chip, expose, even_bias):
    ccd = make_ccd(make_chip(gain=GAIN), bias=even_bias)
    segments = electrons(expose(ccd, np.full(ccd.shape, 1000.0)), ccd.detector)
    before = segments.array.copy()
    CorrectChargeTransferTask(CorrectChargeTransferConfig(serial=False, parallel=False)).run(
        segments, losses(ccd.detector)
    )
    assert (segments.array == before).all()
    CorrectChargeTransferTask(CorrectChargeTransferConfig(serial=False)).run(segments, losses(ccd.detector))
    assert (segments.array != before).any()


def test_losses_of_other_amplifiers_are_refused(make_ccd, make_chip, expose, even_bias):
    ccd = make_ccd(make_chip(), bias=even_bias)
    with pytest.raises(InputError, match="no such amplifier"):
        CorrectChargeTransferTask().run(electrons(expose(ccd, np.zeros(ccd.shape)), ccd.detector), ChargeTransfer(()))
