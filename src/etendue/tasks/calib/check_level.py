"""Biases, darks and flats after their own master has been applied."""

from collections.abc import Iterator
from math import sqrt

import numpy as np

from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.image.exposure import Exposure
from etendue.tasks.calib.exposed import LevelConfig, expose_flats
from etendue.tasks.calib.frame_check import FrameCheck, residual_of
from etendue.tasks.calib.gain_trend import variance_but_photons
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.electronics import Electronics, electronics_of
from etendue.tasks.readout.readout import ReadoutConfig, ReadoutTask

_LEAST_NOISE = 1e-3  # [ADU, e]
_DEAD = 0.02  # of the level of the detector: an amplifier with less light is dead


def check_bias(
    raw: RawFrame, detector: Detector, products: Calibrations, readout: ReadoutConfig
) -> Iterator[FrameCheck]:
    """Subtract the master from a bias: nothing but read noise should be left.

    Parameters
    ----------
    raw : RawFrame
        A bias frame.
    detector : Detector
        Its detector.
    products : Calibrations
        With the bias; read noises are those of the ptc, else of the bias frames.
    readout : ReadoutConfig
        As the master was built.

    Yields
    ------
    FrameCheck
        By amplifier: mean and structure in read noises, relative excess of the noise.
    """
    assert products.bias is not None
    found = ReadoutTask(readout).run(raw.array, detector, calibrations=Calibrations(bias=products.bias))
    share = _share(products.bias, raw)
    for amplifier in detector.amplifiers:
        name = amplifier.name
        if name in found.dead:
            continue
        left = residual_of(found.pixels[amplifier.bbox.slices_in(detector.bbox)])
        if products.ptc is not None:
            expected = products.ptc[name].read_noise_adu
        else:
            expected = float(products.bias.metadata["read_noise_adu"][name])
        expected = max(expected, _LEAST_NOISE)
        for what, value in (
            ("mean of a frame less bias [read noises]", left.mean / expected),
            ("noise of a frame less bias over read noise - 1", left.noise / (expected * sqrt(1.0 + share)) - 1.0),
            ("structure of a frame less bias [read noises]", left.structure / expected),
        ):
            yield FrameCheck("bias", what, raw.info.file_name, value, amplifier=name)


def check_dark(
    raw: RawFrame, detector: Detector, products: Calibrations, readout: ReadoutConfig
) -> Iterator[FrameCheck]:
    """Subtract the dark current from a dark: read noise and the noise of that current should be left.

    Parameters
    ----------
    raw : RawFrame
        A dark frame.
    detector : Detector
        Its detector.
    products : Calibrations
        With the dark and what it was built with.
    readout : ReadoutConfig
        As the master was built.

    Yields
    ------
    FrameCheck
        By amplifier: mean and structure in noises, relative excess of the noise.
    """
    assert products.dark is not None
    electronics = electronics_of(detector, products.ptc, raw.info)
    undone = Calibrations(bias=products.bias, crosstalk=products.crosstalk, linearizer=products.linearizer)
    found = ReadoutTask(readout).run(raw.array, detector, calibrations=undone, electronics=electronics)
    pixels = found.pixels
    seconds = raw.info.exposure_time_s
    rate, variance = products.dark.image.array, products.dark.variance.array
    pixels -= rate * np.float32(seconds)
    sign = -1.0 if raw.info.file_name in products.dark.metadata.get("files", ()) else 1.0
    for amplifier, values in zip(detector.amplifiers, electronics, strict=True):
        if amplifier.name in found.dead:
            continue
        where = amplifier.bbox.slices_in(detector.bbox)
        left = residual_of(pixels[where])
        charge = max(float(np.nanmedian(rate[where])), 0.0) * seconds
        master = sign * float(np.nanmedian(variance[where])) * seconds**2
        own = max(values.read_noise**2 + charge, _LEAST_NOISE**2)
        expected = sqrt(max(own + master, 0.1 * own))
        for what, value in (
            ("mean of a frame less dark [noises]", left.mean / expected),
            ("noise of a frame less dark over expected - 1", left.noise / expected - 1.0),
            ("structure of a frame less dark [noises]", left.structure / expected),
        ):
            yield FrameCheck("dark", what, raw.info.file_name, value, amplifier=amplifier.name)


def check_flat(
    raw: RawFrame, detector: Detector, products: Calibrations, flat: Exposure, readout: ReadoutConfig,
    levels: LevelConfig,
) -> Iterator[FrameCheck]:  # fmt: skip
    """Divide a flat by the master: photon noise should be left.

    Parameters
    ----------
    raw : RawFrame
        A flat.
    detector : Detector
        Its detector.
    products : Calibrations
        What the flat was built with.
    flat : Exposure
        Master flat of its filter.
    readout : ReadoutConfig
        As the master was built.
    levels : LevelConfig
        Levels accepted.

    Yields
    ------
    FrameCheck
        By amplifier that is alive: relative excess of the scatter over photon noise, relative structure, and departure
        of the level from that of the whole detector. Nothing for a flat that is saturated or underexposed.
    """
    exposed, _ = expose_flats([raw], detector, products, readout, levels)
    if not exposed:
        return
    level, name = exposed[0].level, raw.info.physical_filter
    response = flat.image.array
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(response > 0.0, exposed[0].pixels / (response * np.float32(level)), np.float32(np.nan))
    ratio = np.asarray(ratio, np.float32)
    middle, share = float(np.nanmedian(ratio)), _share(flat, raw, level)
    electronics = electronics_of(detector, products.ptc, raw.info)
    for amplifier, values in zip(detector.amplifiers, electronics, strict=True):
        where = amplifier.bbox.slices_in(detector.bbox)
        left = residual_of(ratio[where])
        signal = float(np.nanmedian(exposed[0].pixels[where]))
        if not (signal > _DEAD * level and np.isfinite(left.mean)):
            continue
        expected = sqrt(_variance(products, values, signal) * (1.0 + share)) / signal
        with np.errstate(invalid="ignore"):  # vignetted pixels have more noise
            alike = (ratio[where] - np.float32(left.mean)) * np.sqrt(response[where] / np.nanmedian(response[where]))
        noise = residual_of(np.asarray(alike, np.float32)).noise
        for what, value in (
            ("scatter of a flat over its master over photon noise - 1", noise / (expected * left.mean) - 1.0),
            ("structure of a flat over its master", left.structure / left.mean),
            ("step of an amplifier of a flat over its master", left.mean / middle - 1.0),
        ):
            yield FrameCheck("flat", what, raw.info.file_name, value, amplifier.name, physical_filter=name, level=level)


def _share(master: Exposure, raw: RawFrame, level: float = 1.0) -> float:
    """Return what the noise of the master adds to the variance of a frame less the master, in that of the frame.

    It is negative for frames that the master was made of. Flats, scaled to one level, have variances that go as one
    over their levels.
    """
    count = max(int(master.metadata.get("n_frames", 1)), 2)
    levels = np.array(master.metadata.get("levels_adu") or [level] * count, float)
    own = 2.0 if raw.info.file_name in master.metadata.get("files", ()) else 0.0
    if master.metadata.get("weighted"):
        return float((1.0 - own) * level / levels.sum())
    return float((level / levels).sum() / count - own) / count


def _variance(products: Calibrations, values: Electronics, signal: float) -> float:
    """Return the variance of a flat [ADU**2]."""
    if products.ptc is None:
        return signal / values.gain + (values.read_noise / values.gain) ** 2
    return signal / values.gain + variance_but_photons(products.ptc[values.name], values.gain, signal)
