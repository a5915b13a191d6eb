"""Truth tables of a CCD: what an analysis of its frames should find."""

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.ccd.ccd import Ccd

Columns = dict[str, NDArray]


def amplifier_truth(ccd: Ccd) -> Columns:
    """Return one row for each amplifier.

    Parameters
    ----------
    ccd : Ccd
        The CCD.

    Returns
    -------
    dict of str to ndarray
        ``detector``, ``amplifier``, ``gain`` [e/ADU], ``read_noise`` [e], ``bias_level`` [ADU], ``full_well`` [e],
        ``parallel_cti``, ``serial_cti``, ``nonlinearity`` (strength over the specification's); NaN where the effect
        is off.
    """
    count = len(ccd.orders)
    nothing = np.full(count, np.nan)
    parallel, serial = ccd.inefficiencies
    return {
        "detector": np.full(count, ccd.detector.id),
        "amplifier": np.array([order.amplifier.name for order in ccd.orders]),
        "gain": ccd.gains,
        "read_noise": ccd.read_noise if ccd.spec.read_noise else nothing,
        "bias_level": ccd.bias.levels if ccd.bias else nothing,
        "full_well": ccd.full_wells.amplifiers if ccd.full_wells else nothing,
        "parallel_cti": parallel if ccd.spec.parallel_transfer else nothing,
        "serial_cti": serial if ccd.spec.serial_transfer else nothing,
        "nonlinearity": ccd.linearity[0] if ccd.linearity else nothing,
    }


def crosstalk_truth(ccd: Ccd) -> Columns:
    """Return one row for each pair of amplifiers.

    Parameters
    ----------
    ccd : Ccd
        The CCD.

    Returns
    -------
    dict of str to ndarray
        ``detector``, ``victim``, ``aggressor``, ``linear``, ``quadratic`` [1/ADU]; no rows if the effect is off.
    """
    names = np.array([order.amplifier.name for order in ccd.orders])
    empty = np.zeros((0, 0))
    linear, quadratic = ccd.crosstalk if ccd.crosstalk else (empty, empty)
    victim, aggressor = np.nonzero(~np.eye(linear.shape[0], dtype=bool))
    return {
        "detector": np.full(victim.size, ccd.detector.id),
        "victim": names[victim],
        "aggressor": names[aggressor],
        "linear": linear[victim, aggressor],
        "quadratic": quadratic[victim, aggressor],
    }


def brighter_fatter_truth(ccd: Ccd) -> Columns:
    """Return one row for each offset between a charge and a pixel.

    Parameters
    ----------
    ccd : Ccd
        The CCD.

    Returns
    -------
    dict of str to ndarray
        ``detector``, ``dx``, ``dy`` [px], ``a`` (relative change of the pixel's area per electron [1/e]); no rows if
        the effect is off.
    """
    spec = ccd.spec.brighter_fatter
    area = spec.area_coefficients() if spec else np.zeros((0, 0))
    half = area.shape[0] // 2
    dy, dx = np.indices(area.shape).reshape(2, -1) - half
    return {"detector": np.full(dx.size, ccd.detector.id), "dx": dx, "dy": dy, "a": area.ravel()}
