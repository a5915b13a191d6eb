"""Where a frame is on the sky, by its star pattern, when its header does not say it."""

from dataclasses import replace
from pathlib import Path

from etendue.app.processing.masters import Masters
from etendue.app.solving.frame_search import SearchOptions, find_exposure
from etendue.camera.camera import Camera
from etendue.camera.raw import RawFrame
from etendue.tasks.isr.isr import IsrTask
from etendue.tasks.readout.calibrations import Calibrations


def located(raw: RawFrame, camera: Camera, masters: Masters, index: str) -> RawFrame:
    """Return the frame with the WCS that its star pattern has in an index.

    The header's pointing and the camera's plate scale are tried first, then the whole sky at any scale.

    Parameters
    ----------
    raw : RawFrame
        The frame.
    camera : Camera
        Its camera.
    masters : Masters
        Its calibrations.
    index : str
        Reference catalog with a star index (``etendue refcat index``).

    Returns
    -------
    RawFrame
        With another ``info.wcs``.

    Raises
    ------
    InputError
        If there is no index.
    AlgorithmError
        If the frame has no stars, or no position is certain.
    """
    exposure = IsrTask().run(raw=raw, camera=camera, calibrations=Calibrations(bias=masters.bias, flat=masters.flat))
    found = find_exposure(exposure, raw, camera, SearchOptions(Path(index)))
    return replace(raw, info=replace(raw.info, wcs=found.solved.wcs, wcs_is_approximate=False))
