import math

import pytest

from etendue.errors import InputError
from etendue.image.ptc import AmplifierGain, Ptc


def test_survives_json():
    ptc = Ptc((AmplifierGain("A", 3.66, 0.01, 4.26, 0.02, 4.95, False),))
    assert Ptc.from_dict(ptc.to_dict()) == ptc
    silent = Ptc((AmplifierGain("A", 3.66, 0.01, 4.26, 0.02, math.nan, True),))
    assert silent.to_dict()["amplifiers"][0]["header_gain"] is None
    assert math.isnan(Ptc.from_dict(silent.to_dict())["A"].header_gain)


def test_names_the_amplifiers_it_has():
    ptc = Ptc((AmplifierGain("A", 3.66, 0.01, 4.26, 0.02, 4.95, False),))
    assert ptc["A"].read_noise_adu == pytest.approx(4.26 / 3.66)
    with pytest.raises(InputError, match="it has A"):
        ptc["B"]


def test_refuses_a_gain_that_is_not_positive():
    with pytest.raises(InputError, match="A: gain is not positive"):
        Ptc((AmplifierGain("A", 0.0, 0.01, 4.26, 0.02, 4.95, False),))
