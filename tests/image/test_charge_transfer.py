import json
from math import exp, isnan

import pytest

from etendue.errors import InputError
from etendue.image.charge_transfer import AmplifierTransfer, ChargeTransfer, TransferLoss


def test_survives_json_with_what_was_not_measured():
    before = ChargeTransfer((AmplifierTransfer("A", TransferLoss(2e-6, 1e-8, trap_electrons=5.0), None),))
    after = ChargeTransfer.from_dict(json.loads(json.dumps(before.to_dict())))
    assert after["A"].parallel is None
    serial = after["A"].serial
    assert serial is not None
    assert (serial.inefficiency, serial.inefficiency_err, serial.trap_electrons) == (2e-6, 1e-8, 5.0)
    assert isnan(serial.chi2)
    assert serial.numbers == pytest.approx((2e-6, 1.0 - exp(-2.0), 5.0, 0.1, 1.0 - exp(-1.0 / 3.0)))


@pytest.mark.parametrize(
    "values",
    [
        {"inefficiency": -1e-6},
        {"inefficiency": float("nan")},
        {"inefficiency": 0.2},
        {"inefficiency": 1e-6, "release_px": 0.0},
        {"inefficiency": 1e-6, "trap_electrons": -1.0},
    ],
)
def test_losses_that_cannot_be_are_refused(values):
    with pytest.raises(InputError, match="losses that cannot be"):
        TransferLoss(**values)


def test_an_amplifier_that_is_missing_is_named():
    with pytest.raises(InputError, match="no such amplifier"):
        ChargeTransfer(())["B"]
