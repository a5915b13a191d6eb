"""Gain and read noise of a detector's amplifiers, measured by photon transfer."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any

from etendue.errors import InputError


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
    """

    name: str
    gain: float
    gain_err: float
    read_noise: float
    read_noise_err: float
    header_gain: float
    consistent: bool

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
                {k: None if isinstance(v, float) and isnan(v) else v for k, v in asdict(amplifier).items()}
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


def _amplifier(entry: Mapping[str, Any]) -> AmplifierGain:
    known: dict[str, Any] = {key: float("nan") if value is None else value for key, value in entry.items()}
    return AmplifierGain(**known)
