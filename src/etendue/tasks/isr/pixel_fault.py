"""Frames that hold nothing, told before anything is made of them."""

import numpy as np

from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame


def pixel_fault(raw: RawFrame, detector: Detector) -> str | None:
    """Return what makes the pixels of a frame useless.

    Parameters
    ----------
    raw : RawFrame
        The frame.
    detector : Detector
        Its detector.

    Returns
    -------
    str or None
        One line with file, fault and remedy; None where the frame may hold something.
    """
    pixels = detector.trim(raw.array)
    finite = np.isfinite(pixels)
    level = min(amplifier.saturation for amplifier in detector.amplifiers)
    if not finite.any():
        fault = "no pixel has a value"
    elif bool((pixels[finite] >= level).all()):
        fault = f"every pixel is saturated (at least {level:g} ADU)"
    elif pixels[finite].min() == pixels[finite].max():
        fault = f"blank: every pixel is {pixels[finite][0]:g}"
    else:
        return None
    return f"{raw.info.file_name}: {fault}; leave it out (in a repository: etendue overrides add --bad)"
