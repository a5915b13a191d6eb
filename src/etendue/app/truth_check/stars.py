"""Stars of single exposures: positions, fluxes, how many are found; and how many detections are true."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from etendue.app.truth_check.catalogs import Catalogs
from etendue.app.truth_check.row import TruthRow, pull_row, share_row
from etendue.geom.sphere import tangent_plane, unit_vector
from etendue.simulate.population.layer import Columns, kind_of
from etendue.simulate.surveys.truth_tables import SurveyTruth
from etendue.table.table import Table

Vector = NDArray[np.float64]
Flags = NDArray[np.bool_]

_ARCSEC = np.radians(1.0 / 3600.0)
_MMAG = 2.5 / np.log(10.0) * 1e3
_ISOLATION_ARCSEC, _NEIGHBOUR_FLUX = 6.0, 0.02
_MATCH_ARCSEC, _TRUE_ARCSEC = 1.5, 2.0
_FLAGS = ("saturated", "edge", "bad", "interpolated", "cr")


@dataclass(frozen=True)
class MatchedStars:
    """Isolated true stars of all exposures and what was measured of them; NaN where nothing was found.

    Parameters
    ----------
    snr : ndarray, shape (n,)
        True flux over the noise of the exposure.
    east, north, position_err : ndarray, shape (n,)
        Measured minus true, and the stated error per axis [mas].
    flux, flux_err : ndarray, shape (n,)
        Aperture flux over the true one, minus 1 [mmag], and its error.
    psf_flux, psf_flux_err : ndarray, shape (n,)
        The same of PSF fluxes.
    """

    snr: Vector
    east: Vector
    north: Vector
    position_err: Vector
    flux: Vector
    flux_err: Vector
    psf_flux: Vector
    psf_flux_err: Vector


def star_rows(truth: SurveyTruth, found: Catalogs) -> list[TruthRow]:
    """Return the rows about stars and about false detections.

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
    stars, real = _every_frame(truth["sources"], found)
    seen = np.isfinite(stars.east)
    bright, usable = seen & (stars.snr > 30.0), seen & (stars.snr > 10.0)
    offsets = np.concatenate([stars.east[bright], stars.north[bright]])
    return [
        pull_row("star positions, S/N > 30", offsets, np.tile(stars.position_err[bright], 2), "mas", 10.0),
        pull_row("star fluxes (aperture), S/N > 30", stars.flux[bright], stars.flux_err[bright], "mmag", 5.0),
        pull_row("star fluxes (PSF), S/N > 10", stars.psf_flux[usable], stars.psf_flux_err[usable], "mmag", 10.0),
        share_row("isolated stars found, S/N > 10", seen[stars.snr > 10.0], 0.97),
        share_row("detections that are true, S/N > 10", real, 0.97),
    ]


def _every_frame(true: Columns, found: Catalogs) -> tuple[MatchedStars, Flags]:
    """Return the stars of all frames, and whether something true is near each detection."""
    columns, real = [np.zeros((8, 0))], [np.zeros(0, bool)]
    measured_on = np.asarray(found.sources["visit"]), np.asarray(found.sources["detector"])
    for visit, detector in sorted({*zip(true["visit"].tolist(), true["detector"].tolist(), strict=True)}):
        inside = (true["visit"] == visit) & (true["detector"] == detector)
        here = {name: true[name][inside] for name in ("object_id", "ra", "dec", "flux_njy")}
        measured = found.sources.take(np.flatnonzero((measured_on[0] == visit) & (measured_on[1] == detector)))
        if len(measured):
            noise = float(found.noise(np.array([visit]), np.array([detector]))[0])
            columns.append(_match_frame(here, measured, noise))
            real.append(_are_real(here, measured, noise))
    return MatchedStars(*np.concatenate(columns, axis=1)), np.concatenate(real)


def _match_frame(true: Columns, measured: Table, noise: float) -> Vector:
    """Return the columns of `MatchedStars` for the isolated, unflagged stars of a frame."""
    chosen = np.flatnonzero((kind_of(true["object_id"]) == "stars") & _isolated(true))
    vectors = unit_vector(true["ra"][chosen], true["dec"][chosen])
    distance, index = cKDTree(unit_vector(measured["ra"], measured["dec"])).query(vectors)
    rows, far = measured.take(index), distance > _MATCH_ARCSEC * _ARCSEC
    east, north = tangent_plane(rows["ra"], rows["dec"], true["ra"][chosen], true["dec"][chosen])
    flux = true["flux_njy"][chosen]
    values = [east * 3.6e6, north * 3.6e6, np.asarray(rows["raErr"], float) * 3.6e6]
    for name in ("calibFlux", "psfFlux"):
        values += [(np.asarray(rows[name]) / flux - 1.0) * _MMAG, np.asarray(rows[f"{name}Err"]) / flux * _MMAG]
    flagged = np.logical_or.reduce([np.asarray(rows[f"pixelFlags_{flag}"]) for flag in _FLAGS])
    return np.stack([flux / noise, *(np.where(far, np.nan, value) for value in values)])[:, ~(flagged & ~far)]


def _isolated(true: Columns) -> Flags:
    """Return which sources have no neighbour of a noticeable share of their flux."""
    vectors = unit_vector(true["ra"], true["dec"])
    pairs = cKDTree(vectors).query_pairs(_ISOLATION_ARCSEC * _ARCSEC, output_type="ndarray")
    alone = np.ones(len(vectors), bool)
    flux = true["flux_njy"]
    for mine, other in (pairs.T, pairs.T[::-1]):
        alone[mine[flux[other] > _NEIGHBOUR_FLUX * flux[mine]]] = False
    return alone


def _are_real(true: Columns, measured: Table, noise: float) -> Flags:
    """Return whether each detection of S/N over 10 lies at a true source that can be seen."""
    bright = measured.take(np.flatnonzero(np.asarray(measured["snr"]) > 10.0))
    visible = true["flux_njy"] > 2.0 * noise
    if len(bright) == 0 or not visible.any():
        return np.zeros(len(bright), bool)
    tree = cKDTree(unit_vector(true["ra"][visible], true["dec"][visible]))
    return np.asarray(tree.query(unit_vector(bright["ra"], bright["dec"]))[0] < _TRUE_ARCSEC * _ARCSEC)
