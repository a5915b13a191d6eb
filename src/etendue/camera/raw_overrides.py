"""Raw frames as people want them seen."""

from collections.abc import Sequence
from typing import NamedTuple

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.camera.raw import RawFrame


class Overridden(NamedTuple):
    """Frames after the overrides."""

    raws: tuple[RawFrame, ...]
    """Frames that are used, their headers corrected."""

    excluded: tuple[str, ...]
    """A line with file and reason per frame left out."""


def apply_overrides(raws: Sequence[RawFrame], overrides: Sequence[FrameOverride], camera: Camera) -> Overridden:
    """Leave out the frames that people excluded, and correct the headers of the others.

    Parameters
    ----------
    raws : sequence of RawFrame
        Frames of one camera.
    overrides : sequence of FrameOverride
        What is said of some of them.
    camera : Camera
        The camera.

    Returns
    -------
    Overridden
    """
    said = {(entry.exposure, entry.detector): entry for entry in overrides}
    used, excluded = [], []
    for raw in raws:
        override = said.get((raw.info.exposure_id, raw.detector_id))
        if override is None:
            used.append(raw)
        elif override.excluded:
            excluded.append(f"{raw.info.file_name}: excluded by overrides.yaml: {override.excluded}")
        else:
            used.append(raw.overridden(override, camera))
    return Overridden(tuple(used), tuple(excluded))
