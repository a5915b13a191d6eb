"""Raw frames read one after the other, as people corrected them."""

from collections.abc import Iterator, Sequence

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.camera.raw import RawFrame
from etendue.camera.raw_overrides import apply_overrides
from etendue.errors import InputError
from etendue.log import get_logger
from etendue.stages.stage import DatasetHandle

_log = get_logger(__name__)


def read_in_order(
    handles: Sequence[DatasetHandle], overrides: Sequence[FrameOverride], camera: Camera
) -> Iterator[RawFrame]:
    """Read raw frames in order of exposure, without those that people excluded, or that cannot be read.

    Parameters
    ----------
    handles : sequence of DatasetHandle
        Raw frames of one detector.
    overrides : sequence of FrameOverride
        What people said about some of them.
    camera : Camera
        Their camera.

    Yields
    ------
    RawFrame
        One at a time: a night of calibrations need not fit into memory.
    """
    for handle in sorted(handles, key=lambda one: int(one.data_id["exposure"])):
        raw = _read(handle)
        if raw is not None:
            yield from apply_overrides((raw,), tuple(overrides), camera)[0]


def _read(handle: DatasetHandle) -> RawFrame | None:
    """Return a frame; None for one that was damaged after ingest."""
    try:
        frame: RawFrame = handle.get()
    except Exception as error:  # the Butler wraps what its formatters raise
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        _log.warning("left out: %s", cause)
        return None
    return frame
