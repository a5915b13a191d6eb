"""How much charge the amplifiers of a detector leave behind while it is shifted to them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import exp, isnan, nan
from typing import Any

from etendue.errors import InputError


@dataclass(frozen=True, slots=True)
class TransferLoss:
    """Losses along one direction: in proportion to the charge, and to a trap of fixed size at the end of the way.

    The model of Snyder and Roodman (2021, J. Astron. Telesc. Instrum. Syst. 7, 048002): a pixel loses
    ``1 - (1 - inefficiency)**n`` of its charge in ``n`` transfers and the pixels behind it get that back with an
    exponential law; a trap takes ``trap_fill`` of a pixel's charge, ``trap_electrons`` at most, and empties likewise.

    Parameters
    ----------
    inefficiency, inefficiency_err : float
        Fraction of the charge left behind in each transfer, and its error.
    release_px, release_px_err : float
        Transfers after which all but 1/e of the charge left behind has been given back [px].
    trap_electrons, trap_electrons_err : float
        What the trap holds [e]; 0 if there is none.
    trap_fill, trap_fill_err : float
        Share of a pixel's charge that the trap takes up to that.
    trap_release_px, trap_release_px_err : float
        As ``release_px``, of the trap [px].
    chi2 : float
        Of the fit, per degree of freedom; NaN if the losses were not fitted.
    """

    inefficiency: float
    inefficiency_err: float = nan
    release_px: float = 0.5
    release_px_err: float = nan
    trap_electrons: float = 0.0
    trap_electrons_err: float = nan
    trap_fill: float = 0.1
    trap_fill_err: float = nan
    trap_release_px: float = 3.0
    trap_release_px_err: float = nan
    chi2: float = nan

    def __post_init__(self) -> None:
        inside = 0.0 <= self.inefficiency < 0.01 and 0.0 <= self.trap_electrons < 1e6 and 0.0 < self.trap_fill <= 1.0
        if not (inside and self.release_px > 0.0 and self.trap_release_px > 0.0):
            raise InputError(
                "charge transfer has losses that cannot be",
                source="charge transfer",
                value=(self.inefficiency, self.release_px, self.trap_electrons, self.trap_fill, self.trap_release_px),
                remedy="measure it anew, or end its validity with 'etendue calib decertify'",
            )

    @property
    def numbers(self) -> tuple[float, float, float, float, float]:
        """Inefficiency, share released per transfer, size, fill and share released of the trap: for the kernels."""
        release, trap_release = (1.0 - exp(-1.0 / px) for px in (self.release_px, self.trap_release_px))
        return self.inefficiency, release, self.trap_electrons, self.trap_fill, trap_release


@dataclass(frozen=True, slots=True)
class AmplifierTransfer:
    """Losses of one amplifier.

    Parameters
    ----------
    name : str
        Amplifier.
    serial, parallel : TransferLoss or None
        Along rows and along columns; None where it was not measured, for want of an overscan.
    """

    name: str
    serial: TransferLoss | None
    parallel: TransferLoss | None


@dataclass(frozen=True, slots=True)
class ChargeTransfer:
    """Losses of the amplifiers of a detector.

    Parameters
    ----------
    amplifiers : tuple of AmplifierTransfer
        One for each amplifier.
    """

    amplifiers: tuple[AmplifierTransfer, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "amplifiers", tuple(self.amplifiers))

    def __getitem__(self, name: str) -> AmplifierTransfer:
        """Return the entry of an amplifier."""
        for amplifier in self.amplifiers:
            if amplifier.name == name:
                return amplifier
        known = ", ".join(amplifier.name for amplifier in self.amplifiers)
        raise InputError(
            "charge transfer has no such amplifier", source="charge transfer", value=name, remedy=f"it has {known}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; NaN becomes None.

        Returns
        -------
        dict
        """
        return {
            "amplifiers": [
                {"name": a.name, "serial": _plain(a.serial), "parallel": _plain(a.parallel)} for a in self.amplifiers
            ]
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "ChargeTransfer":
        """Return the losses written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        ChargeTransfer
        """
        return cls(
            tuple(
                AmplifierTransfer(entry["name"], _loss(entry.get("serial")), _loss(entry.get("parallel")))
                for entry in state["amplifiers"]
            )
        )


def _plain(loss: TransferLoss | None) -> dict[str, float | None] | None:
    if loss is None:
        return None
    return {key: None if isnan(value) else value for key, value in asdict(loss).items()}


def _loss(state: Mapping[str, Any] | None) -> TransferLoss | None:
    if state is None:
        return None
    return TransferLoss(**{key: nan if value is None else float(value) for key, value in state.items()})
