"""The gain and read noise to use for each amplifier."""

from dataclasses import dataclass
from math import isfinite

from etendue.camera.amplifier import Amplifier
from etendue.camera.detector import Detector
from etendue.camera.observation_info import ObservationInfo
from etendue.image.ptc import Ptc


@dataclass(frozen=True, slots=True)
class Electronics:
    """Gain and read noise of one amplifier, and who says so."""

    name: str
    """Amplifier."""

    gain: float
    """Gain [e-/ADU]."""

    read_noise: float
    """Read noise [e-]."""

    source: str
    """``ptc``, ``camera``, ``header`` or ``none``: where the gain comes from."""


def electronics_of(detector: Detector, ptc: Ptc | None, info: ObservationInfo) -> tuple[Electronics, ...]:
    """Choose gain and read noise for each amplifier: measured, else described, else claimed by the header.

    Parameters
    ----------
    detector : Detector
        The detector; what its description leaves out counts as unknown.
    ptc : Ptc, optional
        Measured values.
    info : ObservationInfo
        Translated header.

    Returns
    -------
    tuple of Electronics
        In the order of ``detector.amplifiers``; gain 1 and read noise 0 where nobody knows.

    Raises
    ------
    InputError
        If the ptc lacks an amplifier.
    """
    return tuple(_electronics(amplifier, ptc, info) for amplifier in detector.amplifiers)


def _electronics(amplifier: Amplifier, ptc: Ptc | None, info: ObservationInfo) -> Electronics:
    if ptc is not None:
        measured = ptc[amplifier.name]
        return Electronics(amplifier.name, measured.gain, measured.read_noise, "ptc")
    described = amplifier.model_fields_set
    read_noise = amplifier.read_noise
    if "read_noise" not in described and isfinite(info.header_read_noise):
        read_noise = info.header_read_noise
    if "gain" in described:
        return Electronics(amplifier.name, amplifier.gain, read_noise, "camera")
    if isfinite(info.header_gain) and info.header_gain > 0.0:
        return Electronics(amplifier.name, info.header_gain, read_noise, "header")
    return Electronics(amplifier.name, amplifier.gain, read_noise, "none")
