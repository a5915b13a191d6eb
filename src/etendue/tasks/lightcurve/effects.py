"""The effects that all stars share, as a table."""

import numpy as np

from etendue.table.table import Table
from etendue.tasks.lightcurve.light_curves import LightCurves


def effect_table(curves: LightCurves) -> Table:
    """Return one row per effect that was looked for in each aperture that some star has.

    Parameters
    ----------
    curves : LightCurves
        Of one series.

    Returns
    -------
    Table
        ``series_effect``.
    """
    series = curves.series
    rows = [(k, effect) for k, found in sorted(curves.systematics.items()) for effect in found.effects]
    aperture = np.array([k for k, _ in rows], np.int64)
    counts = np.bincount(curves.aperture, minlength=series.radii.size)
    return Table("series_effect", {
        "band": np.full(len(rows), series.band), "detector": np.full(len(rows), series.detector),
        "apertureRadius": series.radii[aperture], "nStar": counts[aperture],
        "effect": np.array([e.name for _, e in rows], np.str_), "nTerm": [e.n_terms for _, e in rows],
        "amplitude": [e.amplitude_mag for _, e in rows], "gain": [e.gain for _, e in rows],
        "accepted": np.array([e.accepted for _, e in rows], bool),
    })  # fmt: skip
