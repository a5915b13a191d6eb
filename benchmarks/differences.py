"""What the detections on difference images are: masked pixels, movers, variables, dipoles, bright stars, haloes."""

from typing import Any

import numpy as np
from lonely import haloes, is_near
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from etendue.geom.sphere import unit_vector
from etendue.table.table import Table

CLASSES = ("masked", "mover", "variable", "bright_star", "dipole", "halo", "rest")
FLAGS = ("pixelFlags_cr", "pixelFlags_saturated", "pixelFlags_edge", "pixelFlags_bad", "pixelFlags_interpolated")
ECLIPSING = (124.66531, 25.50831)  # a star of the field that fades through the night [deg]
BRIGHT_SNR = 200.0  # stars whose difference is limited by PSF matching, not by noise
BRIGHT_RADIUS = 6.0  # [arcsec]
VARIABLE_FRAMES = 9


def classify(dia: Table, image: Any, sources: Table, movers: Table, variables: Any) -> NDArray[np.str_]:
    """Name the first class that applies to each detection of a difference; ghosts are those of the visit ``image``."""
    place = unit_vector(dia["ra"], dia["dec"])
    snr = np.asarray(sources["psfFlux"]) / np.asarray(sources["psfFluxErr"])
    bright = sources.take(np.flatnonzero(snr > BRIGHT_SNR))
    here = movers.take(np.flatnonzero(np.asarray(movers["visit"]) == int(dia["visit"][0])))
    halo = haloes(image)
    row = np.clip(np.rint(np.asarray(dia["y"])).astype(int), 0, halo.shape[0] - 1)
    column = np.clip(np.rint(np.asarray(dia["x"])).astype(int), 0, halo.shape[1] - 1)
    near = [
        np.any([np.asarray(dia[flag], bool) for flag in FLAGS], axis=0),
        is_near(place, here["ra"], here["dec"], 2.0),
        is_near(place, *variables, 1.5),
        is_near(place, bright["ra"], bright["dec"], BRIGHT_RADIUS),
        np.asarray(dia["isDipole"], bool),
        halo[row, column],
    ]
    return np.select(near, CLASSES[:-1], CLASSES[-1])


def variables_of(objects: Table, forced: Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the places of objects whose forced fluxes are 5 sigma off their median in four frames, never saturated."""
    ids, index = np.unique(forced["objectId"], return_inverse=True)
    flux, err = (
        np.asarray(forced["psfFlux"], float),
        np.hypot(forced["psfFluxErr"], 0.02 * np.asarray(forced["psfFlux"])),
    )
    flagged = np.asarray(forced["pixelFlags_saturated"], bool) | np.asarray(forced["psfFlux_flag"], bool)
    order = np.lexsort((flux, index))
    first = np.searchsorted(index[order], np.arange(ids.size))
    count = np.bincount(index)
    median = flux[order][first + count // 2]
    off = np.abs(flux - median[index]) > 5.0 * err
    moved = np.bincount(index, off) >= 4
    clean = np.bincount(index, flagged) == 0
    wanted = ids[moved & clean & (count >= VARIABLE_FRAMES)]
    rows = np.flatnonzero(np.isin(objects["objectId"], wanted))
    return np.asarray(objects["coord_ra"])[rows], np.asarray(objects["coord_dec"])[rows]


def found_at(dia: list[Table], ra: float, dec: float, radius: float = 1.5) -> dict[str, Any]:
    """Describe the detections of all frames at a place."""
    ray = cKDTree(unit_vector(np.array([ra]), np.array([dec])))
    limit = np.radians(radius / 3600.0)
    hits = []
    for table in dia:
        distance = ray.query(unit_vector(table["ra"], table["dec"]))[0]
        for k in np.flatnonzero(distance < limit):
            hits.append((int(table["visit"][k]), float(table["snr"][k]) * (-1.0 if table["isNegative"][k] else 1.0)))
    return {"frames": len({visit for visit, _ in hits}), "signed_snr": [snr for _, snr in sorted(hits)]}
