"""Recognise amplifiers that gave no signal."""

import numpy as np
from numpy.typing import NDArray

from etendue.camera.amplifier import Amplifier
from etendue.camera.segments import Segments

_SAME = 0.98  # of neighbouring pixels that are equal: no converter with noise does this
_NOISY = 1.0  # ADU: below that read noise equal neighbours are common


def dead_amplifiers(segments: Segments) -> dict[str, str]:
    """Return the amplifiers whose pixels mean nothing, and why.

    Parameters
    ----------
    segments : Segments
        Raw pixels, before anything is subtracted [ADU].

    Returns
    -------
    dict of str to str
        Amplifier name to reason: without a value, constant, or without noise.
    """
    reasons = {
        order.amplifier.name: _fault(segments.data(number), order.amplifier)
        for number, order in enumerate(segments.orders)
    }
    return {name: reason for name, reason in reasons.items() if reason}


def _fault(pixels: NDArray[np.float32], amplifier: Amplifier) -> str:
    sample = pixels[:: max(1, pixels.shape[0] // 256)]
    finite = np.isfinite(sample)
    if not finite.any() and not np.isfinite(pixels).any():
        return "no pixel has a value"
    values = sample[finite]
    if values.size and (values == values[0]).mean() > _SAME and (pixels == values[0]).mean() > _SAME:
        return f"constant at {values[0]:g} ADU"
    known = finite[:, 1:] & finite[:, :-1]
    step = np.diff(sample, axis=1)[known]
    noise = amplifier.read_noise / amplifier.gain
    if noise > _NOISY and step.size and (step == 0.0).mean() > _SAME:
        return f"no noise where the camera has {noise:.1f} ADU"
    return ""
