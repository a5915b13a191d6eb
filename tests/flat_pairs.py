"""Pairs of flats of the toy camera, made of Poisson numbers."""

import numpy as np

from etendue.tasks.calib.pair_statistics import FlatPair, MeasurePairConfig, MeasurePairTask

MEASURE = MeasurePairTask(MeasurePairConfig(lag=2, cell_size=20, margin=2))


def flat(detector, electrons, rng, *, noise_e=6.0, full=np.inf, bend=0.0):
    """Return a trimmed flat [ADU]: gain of each amplifier, full well, ADU = e / gain * (1 - bend * e)."""
    out = np.zeros(detector.bbox.shape, np.float32)
    for amplifier in detector.amplifiers:
        shape = amplifier.bbox.shape
        charge = np.minimum(rng.poisson(electrons, shape), full)
        pixels = charge / amplifier.gain * (1.0 - bend * charge) + rng.normal(0.0, noise_e / amplifier.gain, shape)
        out[amplifier.bbox.slices_in(detector.bbox)] = pixels
    return out


def pair(detector, electrons, seed, *, lamp=(1.0, 1.0), **effects):
    """Return a pair of flats of 1000 e/s."""
    rng = np.random.default_rng([seed, int(electrons)])
    frames = [flat(detector, electrons * share, rng, **effects) for share in lamp]
    return FlatPair(*frames, seconds=(electrons / 1000.0,) * 2, name=f"{electrons:.0f} e")


def statistics(detector, levels, seed=0, **effects):
    """Return the statistics of pairs at several levels."""
    return [MEASURE.run(pair(detector, level, seed, **effects), detector) for level in levels]
