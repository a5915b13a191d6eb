"""What detections of single frames are that do not recur: faint stars, masked pixels, ghosts, movers, or neither."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, uniform_filter
from scipy.spatial import cKDTree
from scipy.stats import norm

from etendue.geom.sphere import unit_vector
from etendue.kernels.local_background import local_background
from etendue.table.table import Table

ARCSEC = np.radians(1.0 / 3600.0)
MATCH = 1.0  # what recurs lies within this distance [arcsec]
TO_OBJECT = 1.5  # and what is on the coadd within this: positions at S/N 5 have errors of 0.25 arcsec per axis
MIN_FRAMES = 5
FLAGS = ("pixelFlags_cr", "pixelFlags_saturated", "pixelFlags_edge", "pixelFlags_bad")
CLASSES = ("masked", "mover", "star", "halo", "rest")

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Sky:
    """What is known of the field apart from single frames.

    Parameters
    ----------
    ra, dec : ndarray, float64, shape (n,)
        Objects of the coadd [deg].
    expected : ndarray, float64, shape (n, nv)
        S/N that each should have on each visit: mean forced flux over the visit's error; NaN where not measured.
    visits : ndarray, int64, shape (nv,)
        Visits.
    """

    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    expected: NDArray[np.float64]
    visits: NDArray[np.int64]

    @classmethod
    def of(cls, objects: Table, forced: Table) -> "Sky":
        visits, column = np.unique(forced["visit"], return_inverse=True)
        ids = np.sort(np.asarray(objects["objectId"]))
        known = np.isin(forced["objectId"], ids)
        row = np.searchsorted(ids, np.asarray(forced["objectId"])[known])
        flux, err = (np.full((ids.size, visits.size), np.nan) for _ in range(2))
        flux[row, column[known]] = np.asarray(forced["psfFlux"], float)[known]
        err[row, column[known]] = np.asarray(forced["psfFluxErr"], float)[known]
        weight = np.nan_to_num(err**-2.0, nan=0.0, posinf=0.0)
        mean = np.nansum(flux * weight, axis=1) / np.maximum(weight.sum(axis=1), 1e-300)
        place = np.argsort(np.asarray(objects["objectId"]))
        return cls(np.asarray(objects["coord_ra"])[place], np.asarray(objects["coord_dec"])[place],
                   mean[:, None] / err, visits)  # fmt: skip

    def chance(self, table: Table) -> float:
        """Return the fraction of detections that lie near an object by chance: matched 15 arcsec off."""
        place = unit_vector(np.asarray(table["ra"]), np.asarray(table["dec"]) + 15.0 / 3600.0)
        return float(is_near(place, self.ra, self.dec, TO_OBJECT).mean())

    def lonely_expected(self, threshold: float) -> dict[str, float]:
        """Return how many detections per frame should be of objects seen in 1 to 4 frames, were all of them stars.

        The chance of a detection is that of a Gaussian around the expected S/N to pass the threshold.
        """
        chance = np.where(np.isfinite(self.expected), norm.sf(threshold - np.nan_to_num(self.expected)), 0.0)
        seen = np.zeros((len(chance), MIN_FRAMES))
        seen[:, 0] = 1.0
        for p in chance.T:  # the number of frames an object is found in, as far as it is below five
            seen = seen * (1.0 - p[:, None]) + np.pad(seen, ((0, 0), (1, 0)))[:, :MIN_FRAMES] * p[:, None]
        return {
            "lonely": float((seen * np.arange(MIN_FRAMES)).sum() / self.visits.size),
            "all": float(chance.sum() / self.visits.size),
        }


def haloes(exposure: Any, threshold: float = 0.35) -> Flags:
    """Find where the sky is not flat: out-of-focus ghosts, haloes and spikes of bright stars, vignetted rims.

    Medians of 12 pixel cells, smoothed over 24 pixels (the scale of detection's own sky), are off the subtracted sky
    by `threshold` pixel noises, or change by as much over 24 pixels; and all within 25 pixels of saturated ones.
    """
    image = exposure.image.array.astype(np.float64)
    noise = np.sqrt(exposure.variance.array.astype(np.float64))
    bad = ~np.isfinite(image) | exposure.mask.any_of(("NO_DATA", "SAT", "CR", "VIGNETTED", "DETECTED"))
    fine = local_background(np.nan_to_num(image), bad, 12)
    smooth = uniform_filter(fine, 24)
    step = np.hypot(*np.gradient(smooth)) * 24.0
    level = np.median(noise[~bad])
    near = distance_transform_edt(~exposure.mask.any_of(("SAT",))) < 25.0
    return np.asarray((np.abs(smooth) > threshold * level) | (step > threshold * level) | near)


def recurrence(sources: list[Table]) -> list[NDArray[np.int64]]:
    """Count in how many frames each detection has one within the match radius, its own included."""
    vectors = [unit_vector(table["ra"], table["dec"]) for table in sources]
    trees = [cKDTree(vector) for vector in vectors]
    found = []
    for vector in vectors:
        seen = [np.isfinite(tree.query(vector, distance_upper_bound=MATCH * ARCSEC)[0]) for tree in trees]
        found.append(np.sum(seen, axis=0))
    return found


def classify(table: Table, sky: Sky, movers: Table, halo: Flags) -> dict[str, Flags]:
    """Tell what each detection of a frame is near; a detection can be near several things."""
    place = unit_vector(table["ra"], table["dec"])
    masked = np.any([np.asarray(table[flag], bool) for flag in FLAGS], axis=0)
    here = movers.take(np.flatnonzero(np.asarray(movers["visit"]) == int(table["visit"][0])))
    row = np.clip(np.rint(np.asarray(table["y"])).astype(int), 0, halo.shape[0] - 1)
    column = np.clip(np.rint(np.asarray(table["x"])).astype(int), 0, halo.shape[1] - 1)
    return {
        "masked": masked,
        "mover": is_near(place, here["ra"], here["dec"], 2.0),
        "star": is_near(place, sky.ra, sky.dec, TO_OBJECT),
        "halo": halo[row, column],
    }


def is_near(place: NDArray[np.float64], ra: Any, dec: Any, radius: float) -> Flags:
    """Tell which directions have one of the places within a radius [arcsec]."""
    if not len(ra):
        return np.zeros(len(place), bool)
    return np.isfinite(cKDTree(unit_vector(ra, dec)).query(place, distance_upper_bound=radius * ARCSEC)[0])


def first_class(near: dict[str, Flags]) -> NDArray[np.str_]:
    """Name the first class of `CLASSES` that applies."""
    return np.select([near[name] for name in CLASSES[:-1]], CLASSES[:-1], CLASSES[-1])


def noise_peaks(exposure: Any, threshold: float, n_pixels: int) -> float:
    """Return the noise peaks expected in pixels of this number (formula and pixel loss of MEASURING)."""
    area = float(exposure.psf.effective_area(x=exposure.bbox.x.center, y=exposure.bbox.y.center)[0])
    sigma = np.sqrt(area / (4.0 * np.pi))
    density = threshold * np.exp(-0.5 * threshold**2) / ((2.0 * np.pi) ** 1.5 * 2.0 * sigma**2)
    return float(density * n_pixels * np.interp(sigma, [0.85, 1.3, 2.0], [0.48, 0.79, 0.98]))
