"""Forced light curves of variable stars against the true ones."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from etendue.app.truth_check.catalogs import Catalogs
from etendue.app.truth_check.row import TruthRow, pull_row
from etendue.geom.sphere import unit_vector
from etendue.simulate.population.layer import kind_of
from etendue.simulate.surveys.truth_tables import SurveyTruth

_ARCSEC = np.radians(1.0 / 3600.0)
_MATCH_ARCSEC = 0.7
_MMAG = 2.5 / np.log(10.0) * 1e3
_LEAST_SNR = 30.0
_LEAST_VISITS = 2


def curve_rows(truth: SurveyTruth, found: Catalogs) -> list[TruthRow]:
    """Return the row about the light curves of variable stars: each against its mean.

    Parameters
    ----------
    truth : SurveyTruth
        Of the survey.
    found : Catalogs
        What the pipelines made of it.

    Returns
    -------
    list of TruthRow
    """
    true = truth["sources"]
    mine = np.flatnonzero(kind_of(true["object_id"]) == "variables")
    snr = true["flux_njy"][mine] / found.noise(true["visit"][mine], true["detector"][mine])
    mine = mine[snr > _LEAST_SNR]
    mine, row = _forced_rows(truth, found, mine)
    forced = found.forced_sources
    measured, error = (np.asarray(forced[name], float)[row] for name in ("psfFlux", "psfFluxErr"))
    flux = true["flux_njy"][mine]
    curve = np.unique(np.char.add(true["object_id"][mine].astype(str), true["band"][mine].astype(str)),
                      return_inverse=True)[1]  # fmt: skip
    count = np.bincount(curve)
    kept = count[curve] > _LEAST_VISITS if curve.size else np.zeros(0, bool)
    curve, ratio, error = curve[kept], (measured / flux)[kept], (error / flux)[kept]
    level = np.bincount(curve, ratio) / np.maximum(np.bincount(curve), 1)
    freedom = np.sqrt(1.0 - 1.0 / np.bincount(curve)[curve]) if curve.size else error
    residual = (ratio - level[curve]) / freedom
    return [pull_row("light curves of variable stars", residual * _MMAG, error * _MMAG, "mmag", 10.0)]


def _forced_rows(
    truth: SurveyTruth, found: Catalogs, mine: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the true appearances that a good forced flux exists for, and its row."""
    forced, objects, true = found.forced_sources, found.objects, truth["sources"]
    tree = cKDTree(unit_vector(objects["coord_ra"], objects["coord_dec"]))
    distance, near = tree.query(unit_vector(true["ra"][mine], true["dec"][mine]))
    close = distance < _MATCH_ARCSEC * _ARCSEC
    mine, object_id = mine[close], np.asarray(objects["objectId"])[near[close]]
    good = np.flatnonzero(~np.asarray(forced["psfFlux_flag"]) & (np.asarray(forced["psfFlux"]) > 0.0))
    keys = list(zip(np.asarray(forced["objectId"])[good].tolist(), np.asarray(forced["visit"])[good].tolist(),
                    strict=True))  # fmt: skip
    place = dict(zip(keys, good.tolist(), strict=True))
    wanted = zip(object_id.tolist(), true["visit"][mine].tolist(), strict=True)
    row = np.array([place.get(key, -1) for key in wanted], np.intp)
    return mine[row >= 0], row[row >= 0]
