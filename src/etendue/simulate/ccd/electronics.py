"""Gain, read noise and converter."""

from pydantic import Field

from etendue.camera.detector import Detector
from etendue.simulate.ccd.effect import EffectSpec, Vector, scattered
from etendue.simulate.ccd.streams import Streams


class GainSpec(EffectSpec):
    """How true gains differ from the camera's; None: not at all."""

    scatter: float = Field(0.02, ge=0.0, le=0.3)
    """Relative standard deviation."""


class ReadNoiseSpec(EffectSpec):
    """Noise of the output amplifiers: normal, white; None: none."""

    electrons: float | None = Field(None, ge=0.0)
    """Read noise [e]; None takes each amplifier's own from the camera."""

    scatter: float = Field(0.05, ge=0.0, le=0.5)
    """Relative standard deviation between amplifiers."""


class ConverterSpec(EffectSpec):
    """The converter rounds to integers and clips at its range; it cannot be switched off."""

    bits: int | None = Field(None, ge=8, le=18)
    """Bits: the highest number is ``2**bits - 1``; None takes the camera's. Above 16 raw frames are 32-bit integers."""


def true_gains(spec: GainSpec | None, detector: Detector, streams: Streams) -> Vector:
    """Return the gains.

    Parameters
    ----------
    spec : GainSpec or None
        Scatter about the camera's.
    detector : Detector
        The detector.
    streams : Streams
        Its streams.

    Returns
    -------
    ndarray, float64, shape (n,)
        [e/ADU].
    """
    factor = scattered(1.0, spec.scatter if spec else 0.0, len(detector.amplifiers), streams.rng("gain"))
    return factor * [amplifier.gain for amplifier in detector.amplifiers]


def true_read_noise(spec: ReadNoiseSpec | None, detector: Detector, streams: Streams) -> Vector:
    """Return the read noise.

    Parameters
    ----------
    spec : ReadNoiseSpec or None
        Sizes; None for no noise.
    detector : Detector
        The detector.
    streams : Streams
        Its streams.

    Returns
    -------
    ndarray, float64, shape (n,)
        [e].
    """
    factor = scattered(1.0, spec.scatter if spec else 0.0, len(detector.amplifiers), streams.rng("read noise"))
    if spec is None:
        return 0.0 * factor
    own = [amplifier.read_noise if spec.electrons is None else spec.electrons for amplifier in detector.amplifiers]
    return factor * own
