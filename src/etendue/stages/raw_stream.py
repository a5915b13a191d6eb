"""Raw frames read one after the other, as people corrected them."""

from collections.abc import Iterator, Sequence

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.camera.raw import RawFrame
from etendue.camera.raw_overrides import apply_overrides
from etendue.stages.stage import DatasetHandle


def read_in_order(
    handles: Sequence[DatasetHandle], overrides: Sequence[FrameOverride], camera: Camera
) -> Iterator[RawFrame]:
    """Read raw frames in order of exposure, without those that people excluded.

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
        yield from apply_overrides((handle.get(),), tuple(overrides), camera)[0]
