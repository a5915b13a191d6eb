import numpy as np

from etendue.image.linearizer import AmplifierLinearity, Linearizer
from etendue.image.photon_transfer import PhotonTransfer
from etendue.image.ptc import AmplifierGain, Ptc
from etendue.qa.photon_transfer_plot import photon_transfer_plot


def test_curves_of_some_amplifiers_and_linearity_are_drawn():
    signal, lags = np.linspace(0.0, 5e4, 9), np.full((9, 3, 3), 1e-8)
    covariance = lags.copy()
    covariance[:, 0, 0] = signal / 1.5 + 9.0
    curve = PhotonTransfer(signal, covariance, lags, signal > 0, lags[0], lags[0], lags[0], lags[0], 1.0)
    known = AmplifierGain("A", 1.5, 0.0, 5.0, 0.0, np.nan, True, 5e4, curve)
    ptc = Ptc((known, AmplifierGain("B", 1.5, 0.0, 5.0, 0.0, np.nan, True)))
    linearizer = Linearizer((AmplifierLinearity("A", "polynomial", np.array([5e4]), np.array([0.01])),))
    two, three = photon_transfer_plot(ptc), photon_transfer_plot(ptc, linearizer)
    assert two.startswith(b"\x89PNG")
    assert len(three) > len(two)
