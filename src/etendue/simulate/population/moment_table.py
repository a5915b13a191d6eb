"""Truth of many moments in one table: light curves and ephemerides."""

from collections.abc import Sequence

import numpy as np

from etendue.simulate.population.layer import Columns, Layer
from etendue.simulate.population.moment import Moment

_COPIED = ("object_id", "ra_deg", "dec_deg", "mag", "rate_ra", "rate_dec")


def moment_table(layer: Layer, moments: Sequence[Moment]) -> Columns:
    """Return what a layer shows at some moments.

    Parameters
    ----------
    layer : Layer
        Stars, movers or whatever else shines.
    moments : sequence of Moment
        Exposures.

    Returns
    -------
    dict of ndarray
        One row per object and moment: ``object_id``, ``moment`` (place in ``moments``), ``band``, ``mjd_tai``,
        ``ra_deg``, ``dec_deg``, ``mag``, ``rate_ra``, ``rate_dec``, sorted by object and time.
    """
    seen = [layer.lights(moment) for moment in moments]
    sizes = [len(lights) for lights in seen]
    table: Columns = {
        name: np.concatenate([getattr(lights, name) for lights in seen]) if seen else np.zeros(0) for name in _COPIED
    }
    table["moment"] = np.repeat(np.arange(len(moments)), sizes)
    table["band"] = np.repeat(np.array([moment.bandpass.name for moment in moments], np.str_), sizes)
    table["mjd_tai"] = np.repeat(np.array([moment.mjd_tai for moment in moments], np.float64), sizes)
    order = np.lexsort((table["mjd_tai"], table["object_id"]))
    return {name: column[order] for name, column in table.items()}
