"""Gain and read noise of a detector's amplifiers, measured by photon transfer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import isnan, nan
from typing import Any

from etendue.errors import InputError
from etendue.image.photon_transfer import PhotonTransfer


@dataclass(frozen=True, slots=True)
class AmplifierGain:
    """What was measured for one amplifier.

    Parameters
    ----------
    name : str
        Amplifier.
    gain, gain_err : float
        Gain and its error [e-/ADU].
    read_noise, read_noise_err : float
        Noise of a pixel without light, quantisation included, and its error [e-].
    header_gain : float
        Gain that the frames' headers claim [e-/ADU]; NaN if they are silent.
    consistent : bool
        Whether the header agrees within the tolerance of the measurement; True if it is silent.
    turnoff_adu : float
        Signal above bias, before linearity is corrected, at which the variance begins to drop: pixels are full [ADU];
        NaN if no flat was that bright.
    transfer : PhotonTransfer, optional
        The curve with its covariances; None where the gain comes from too few levels for one.
    """

    name: str
    gain: float
    gain_err: float
    read_noise: float
    read_noise_err: float
    header_gain: float
    consistent: bool
    turnoff_adu: float = nan
    transfer: PhotonTransfer | None = field(default=None, compare=False)

    @property
    def read_noise_adu(self) -> float:
        """Read noise [ADU]."""
        return self.read_noise / self.gain


@dataclass(frozen=True, slots=True)
class Ptc:
    """Gains and read noises of one detector.

    Parameters
    ----------
    amplifiers : tuple of AmplifierGain
        One entry for each amplifier.
    """

    amplifiers: tuple[AmplifierGain, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "amplifiers", tuple(self.amplifiers))
        for amplifier in self.amplifiers:
            if not amplifier.gain > 0.0:
                raise InputError("gain is not positive", source=amplifier.name, value=amplifier.gain)

    def __getitem__(self, name: str) -> AmplifierGain:
        """Return the entry of an amplifier."""
        for amplifier in self.amplifiers:
            if amplifier.name == name:
                return amplifier
        known = ", ".join(amplifier.name for amplifier in self.amplifiers)
        raise InputError("ptc has no such amplifier", value=name, remedy=f"it has {known}")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; NaN becomes None.

        Returns
        -------
        dict
        """
        return {
            "amplifiers": [
                {entry.name: _plain(getattr(amplifier, entry.name)) for entry in fields(amplifier)}
                for amplifier in self.amplifiers
            ]
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Ptc":
        """Return the table written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        Ptc
        """
        return cls(tuple(_amplifier(entry) for entry in state["amplifiers"]))


def _plain(value: Any) -> Any:
    if isinstance(value, PhotonTransfer):
        return value.to_dict()
    return None if isinstance(value, float) and isnan(value) else value


def _amplifier(entry: Mapping[str, Any]) -> AmplifierGain:
    known: dict[str, Any] = {key: nan if value is None else value for key, value in entry.items() if key != "transfer"}
    transfer = entry.get("transfer")
    return AmplifierGain(**known, transfer=None if transfer is None else PhotonTransfer.from_dict(transfer))
