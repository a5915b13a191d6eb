"""Which raw frames may enter a calibration, and why the others may not."""

from collections import Counter
from collections.abc import Callable, Sequence
from math import isfinite, nan
from statistics import median
from typing import Literal, NamedTuple

from etendue.camera.raw import RawFrame
from etendue.errors import InputError

OnOdd = Literal["refuse", "drop"]


class Refusal(NamedTuple):
    """A frame that was left out."""

    file: str
    """Name of the file."""

    reason: str
    """Why, in a few words."""


def split_by_type(raws: Sequence[RawFrame], observation_type: str) -> tuple[list[RawFrame], list[Refusal]]:
    """Part the frames of one type and detector from the others.

    Parameters
    ----------
    raws : sequence of RawFrame
        Frames.
    observation_type : str
        Type wanted.

    Returns
    -------
    kept : list of RawFrame
        Frames of that type, of the detector most of them come from.
    refused : list of Refusal
        The others.
    """
    return split_by(
        raws,
        lambda raw: (
            None
            if raw.info.observation_type == observation_type
            else f"is a {raw.info.observation_type} frame, not a {observation_type}"
        ),
    )


def split_by_filter(raws: Sequence[RawFrame]) -> tuple[list[RawFrame], list[Refusal]]:
    """Part the frames of the most frequent filter from the others.

    Parameters
    ----------
    raws : sequence of RawFrame
        Frames; of equally frequent filters the first one counts.

    Returns
    -------
    kept : list of RawFrame
        Frames of that filter.
    refused : list of Refusal
        The others, both filters named.
    """
    if not raws:
        return [], []
    common = Counter(raw.info.physical_filter for raw in raws).most_common(1)[0][0]
    return split_by(
        raws,
        lambda raw: (
            None
            if raw.info.physical_filter == common
            else f"filter is {raw.info.physical_filter!r}, the other frames have {common!r}"
        ),
    )


def split_by_conditions(
    raws: Sequence[RawFrame], temperature_tolerance_c: float
) -> tuple[list[RawFrame], list[Refusal]]:
    """Part the frames of the most frequent readout mode and the usual temperature from the others.

    Parameters
    ----------
    raws : sequence of RawFrame
        Frames.
    temperature_tolerance_c : float
        Accepted distance from the median temperature [deg C]; unknown temperatures are accepted.

    Returns
    -------
    kept : list of RawFrame
        Frames that were taken alike.
    refused : list of Refusal
        The others, with the value that is usual.
    """
    if not raws:
        return [], []
    mode = Counter(raw.info.readout_mode for raw in raws).most_common(1)[0][0]
    known = [raw.info.temperature_c for raw in raws if isfinite(raw.info.temperature_c)]
    usual = median(known) if known else nan

    def fault(raw: RawFrame) -> str | None:
        ours, theirs = raw.info.readout_mode, raw.info.temperature_c
        if ours != mode:
            return f"readout mode is {ours!r}, the other frames have {mode!r}"
        if abs(theirs - usual) > temperature_tolerance_c:
            return f"was taken at {theirs:.1f} C, the others at {usual:.1f} C"
        return None

    return split_by(raws, fault)


def split_by(raws: Sequence[RawFrame], fault: Callable[[RawFrame], str | None]) -> tuple[list[RawFrame], list[Refusal]]:
    """Part frames without a fault from those with one.

    Parameters
    ----------
    raws : sequence of RawFrame
        Frames.
    fault : callable
        Returns what is wrong with a frame, or None.

    Returns
    -------
    kept : list of RawFrame
        Frames without a fault.
    refused : list of Refusal
        The others and their faults.
    """
    faults = [(raw, fault(raw)) for raw in raws]
    kept = [raw for raw, reason in faults if reason is None]
    return kept, [Refusal(raw.info.file_name, reason) for raw, reason in faults if reason is not None]


def check_same_detector(raws: Sequence[RawFrame]) -> int:
    """Return the detector that all frames come from.

    Parameters
    ----------
    raws : sequence of RawFrame
        At least one frame.

    Returns
    -------
    int
        Detector id.

    Raises
    ------
    InputError
        If there is no frame, or a frame comes from another detector than the first.
    """
    if not raws:
        raise InputError("no frames were given", remedy="ingest calibration frames first")
    for raw in raws:
        if raw.detector_id != raws[0].detector_id:
            raise InputError(
                f"frame is of detector {raw.detector_id}, {raws[0].info.file_name} of {raws[0].detector_id}",
                source=raw.info.file_name,
                remedy="build calibrations detector by detector",
            )
    return raws[0].detector_id


def settle(refused: Sequence[Refusal], on_odd: OnOdd) -> None:
    """Raise for the first frame refused unless odd frames may be dropped.

    Parameters
    ----------
    refused : sequence of Refusal
        Frames that do not fit.
    on_odd : {"refuse", "drop"}
        What to do with them.

    Raises
    ------
    InputError
        For "refuse", naming the file and the reason.
    """
    if refused and on_odd == "refuse":
        raise InputError(
            refused[0].reason, source=refused[0].file, remedy="leave the frame out, or set on_odd to 'drop'"
        )


def check_enough(raws: Sequence[RawFrame], minimum: int, kind: str, refused: Sequence[Refusal]) -> None:
    """Raise if too few frames are left.

    Parameters
    ----------
    raws : sequence of RawFrame
        Frames left.
    minimum : int
        Frames needed.
    kind : str
        "bias", "flat of filter 'V'": for the message.
    refused : sequence of Refusal
        Frames refused, for the message.

    Raises
    ------
    InputError
        Naming the files left and those refused.
    """
    if len(raws) >= minimum:
        return
    left = ", ".join(raw.info.file_name for raw in raws) or "none"
    why = "".join(f"; {refusal.file}: {refusal.reason}" for refusal in refused)
    raise InputError(
        f"{len(raws)} {kind} frames ({left}) are too few{why}", remedy=f"give at least {minimum} usable ones"
    )
