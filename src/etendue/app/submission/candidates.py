"""New transients for the Transient Name Server."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.time import Time
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from etendue.alerts.tns_report import MOST_REPORTS, TnsCandidate, TnsEpoch, tns_json, tns_tsv
from etendue.app.submission.night_products import NightProducts
from etendue.app.submission.settings import SubmissionSettings
from etendue.app.submission.submission import Submission
from etendue.errors import InputError
from etendue.geom.sphere import unit_vector
from etendue.image.photo_calib import njy_to_mag
from etendue.qa.thumbnail import stamp_strip
from etendue.table.table import Table

_HALF, _MOST_STAMPS = 11, 9
_MAG_PER_RELATIVE = 2.5 / np.log(10.0)
_BAD_FLAGS = ("centroid_flag", "psfFlux_flag", "pixelFlags_edge", "pixelFlags_bad", "pixelFlags_crCenter")


@dataclass(frozen=True, slots=True)
class CandidateCuts:
    """Which objects of the difference images are new transients good enough to be reported.

    Parameters
    ----------
    min_detections : int
        Fewest detections that are positive and without flags, each in a visit of its own.
    min_snr : float
        Signal-to-noise ratio that the best of them reaches.
    saturation_radius_arcsec : float
        No saturated source is nearer.
    min_template_ratio : float
        Flux of the best detection over that of the template there: a smaller one is a star that varies.
    """

    min_detections: int = 2
    min_snr: float = 7.0
    saturation_radius_arcsec: float = 15.0
    min_template_ratio: float = 0.5


def candidate_submission(products: NightProducts, settings: SubmissionSettings, cuts: CandidateCuts) -> Submission:
    """Put new transients into the layout of the TNS.

    Parameters
    ----------
    products : NightProducts
        With objects of difference images.
    settings : SubmissionSettings
        Who and with what.
    cuts : CandidateCuts
        Which are good. Detections on tracks of moving objects make no objects, so they never get here.

    Returns
    -------
    Submission
        With no text if there is no candidate.

    Raises
    ------
    InputError
        If there are no such products, fluxes are not absolute, the settings lack what the TNS asks for, or there are
        more candidates than it takes.
    """
    objects, sources = products.table("dia_object"), products.table("dia_source")
    if not products.is_absolute:
        raise InputError("fluxes are on a relative scale: the TNS asks for magnitudes", source=products.collection,
                         remedy="process the frames with --refcat")  # fmt: skip
    _check(settings, sorted({str(band) for band in sources["band"]}))
    distance = _saturated_distance(products, objects)
    candidates, included, left_out, pictures = [], [], [], {}
    owner = np.asarray(sources["diaObjectId"])
    for k in range(len(objects)):
        members = sources.take(np.flatnonzero(owner == objects["diaObjectId"][k])).sort_by("midpointMjdTai")
        name = f"et{int(objects['diaObjectId'][k])}"
        clean = members.take(_clean(members))
        reasons = _reasons(members, clean, float(distance[k]), cuts)
        if reasons:
            left_out.append({"name": name, "reason": "; ".join(reasons)})
            continue
        candidate = _candidate(products, settings, name, objects, k, clean)
        candidates.append(candidate)
        included.append(_row(candidate, clean))
        pictures[name] = _picture(products, members)
    if len(candidates) > MOST_REPORTS:
        raise InputError("the TNS takes no more objects at a time", source=products.collection, value=len(candidates),
                         remedy=f"raise --min-snr or --min-detections until {MOST_REPORTS} are left")  # fmt: skip
    texts = {".json": tns_json(candidates), ".tsv": tns_tsv(candidates)} if candidates else {}
    return Submission(texts, tuple(included), tuple(left_out), pictures)


def _check(settings: SubmissionSettings, bands: list[str]) -> None:
    for name in ("tns_reporter", "tns_reporting_group_id", "tns_data_source_id", "tns_instrument_id"):
        if not getattr(settings, name):
            raise InputError(f"is not filled in: {name}", source="submission.yaml", remedy="edit the file")
    for band in bands:
        if band not in settings.tns_filter_ids:
            raise InputError("tns_filter_ids lacks a band", source="submission.yaml", value=band,
                             remedy=f"add its number at the TNS: {{{band}: 0}}")  # fmt: skip


def _clean(members: Table) -> NDArray[np.int64]:
    good = ~np.asarray(members["isNegative"], bool) & ~np.asarray(members["isDipole"], bool)
    for flag in _BAD_FLAGS:
        good &= ~np.asarray(members[flag], bool)
    return np.flatnonzero(good)


def _reasons(members: Table, clean: Table, saturated_arcsec: float, cuts: CandidateCuts) -> list[str]:
    """Return why an object is no candidate."""
    found = []
    n = np.unique(clean["visit"]).size
    if n < cuts.min_detections:
        found.append(f"{n} clean positive detections, needs {cuts.min_detections}")
    if np.asarray(members["isDipole"], bool).any():
        found.append("a dipole")
    saturated = np.asarray(members["pixelFlags_saturated"], bool).any()
    if saturated or saturated_arcsec < cuts.saturation_radius_arcsec:
        found.append("near a saturated star")
    if len(clean):
        best = int(np.argmax(clean["snr"]))
        if not clean["snr"][best] >= cuts.min_snr:
            found.append(f"S/N {clean['snr'][best]:.1f}, needs {cuts.min_snr:g}")
        if float(clean["psfFlux"][best]) < cuts.min_template_ratio * float(clean["templateFlux"][best]):
            found.append("a star that varies: the template is brighter there")
    return found


def _saturated_distance(products: NightProducts, objects: Table) -> NDArray[np.float64]:
    """Return the distance of every object from the nearest saturated source [arcsec]."""
    stars = products.table("source")
    bright = np.flatnonzero(np.asarray(stars["pixelFlags_saturated"], bool))
    if bright.size == 0 or len(objects) == 0:
        return np.full(len(objects), np.inf)
    tree = cKDTree(unit_vector(stars["ra"][bright], stars["dec"][bright]))
    chord, _ = tree.query(unit_vector(objects["ra"], objects["dec"]))
    return np.degrees(2.0 * np.arcsin(np.minimum(0.5 * np.asarray(chord), 1.0))) * 3600.0


def _candidate(
    products: NightProducts, settings: SubmissionSettings, name: str, objects: Table, k: int, clean: Table
) -> TnsCandidate:
    visits = products.visits
    limits = {(int(v), int(d)): j for j, (v, d) in enumerate(zip(visits["visit"], visits["detector"], strict=True))}
    epochs = [
        _epoch(settings, visits, limits[int(clean["visit"][i]), int(clean["detector"][i])],
               flux=float(clean["psfFlux"][i]), flux_err=float(clean["psfFluxErr"][i]))
        for i in range(len(clean))
    ]  # fmt: skip
    ra, dec = float(objects["ra"][k]), float(objects["dec"][k])
    before = _last_before(visits, float(clean["midpointMjdTai"][0]), ra, dec)
    return TnsCandidate(
        internal_name=name, ra_deg=ra, dec_deg=dec,
        ra_err_arcsec=3600.0 * float(objects["raErr"][k]), dec_err_arcsec=3600.0 * float(objects["decErr"][k]),
        reporter=settings.tns_reporter, group_id=settings.tns_reporting_group_id,
        data_source_id=settings.tns_data_source_id, photometry=epochs,
        non_detection=None if before is None else _epoch(settings, visits, before),
        archival_remarks="Not on the template image; no earlier epoch of this telescope",
        remarks=f"{len(epochs)} detections on difference images",
    )  # fmt: skip


def _epoch(
    settings: SubmissionSettings, visits: Table, j: int, *, flux: float | None = None, flux_err: float = 0.0
) -> TnsEpoch:
    date = Time(float(visits["expMidptMJD"][j]), format="mjd", scale="tai", precision=1).utc.iso
    measured = {} if flux is None else {"mag": float(njy_to_mag(flux)), "mag_err": _MAG_PER_RELATIVE * flux_err / flux}
    return TnsEpoch(
        obsdate=date, limiting_mag=float(visits["magLim"][j]), exptime_s=float(visits["expTime"][j]),
        filter_id=settings.tns_filter_ids[str(visits["band"][j])], instrument_id=settings.tns_instrument_id,
        observer=", ".join(settings.observers), **measured,
    )  # fmt: skip


def _last_before(visits: Table, mjd_tai: float, ra: float, dec: float) -> int | None:
    """Return the row of the last visit before a time whose outline holds a position."""
    rows = np.flatnonzero(np.asarray(visits["expMidptMJD"]) < mjd_tai - 1e-6)
    inside = [j for j in rows if _holds(visits, int(j), ra, dec)]
    return int(inside[-1]) if inside else None


def _holds(visits: Table, j: int, ra: float, dec: float) -> bool:
    """Whether the quadrangle of a detector holds a position: it is on one side of all edges."""
    corners = [
        unit_vector(float(visits[f"{c}ra"][j]), float(visits[f"{c}dec"][j])) for c in ("llc", "lrc", "urc", "ulc")
    ]
    place = unit_vector(ra, dec)
    sides = [float(np.cross(corners[i], corners[(i + 1) % 4]) @ place) for i in range(4)]
    return all(side > 0.0 for side in sides) or all(side < 0.0 for side in sides)


def _row(candidate: TnsCandidate, clean: Table) -> dict[str, Any]:
    first = candidate.photometry[0]
    return {
        "name": candidate.internal_name, "ra": round(candidate.ra_deg, 6), "dec": round(candidate.dec_deg, 6),
        "discovered": first.obsdate, "mag": None if first.mag is None else round(first.mag, 2),
        "detections": len(candidate.photometry), "S/N": round(float(np.max(clean["snr"])), 1),
        "non-detection": candidate.non_detection.obsdate if candidate.non_detection else "template",
    }  # fmt: skip


def _picture(products: NightProducts, members: Table) -> bytes:
    """Return an object on images and differences, in order of time."""
    stamps, labels = [], []
    shown = range(min(len(members), _MOST_STAMPS))
    for name, word in (("visit_image", "image"), ("difference_image", "difference")):
        for k in shown:
            stamps.append(products.stamp(name, int(members["visit"][k]), int(members["detector"][k]),
                                         x=float(members["x"][k]), y=float(members["y"][k]), half=_HALF))  # fmt: skip
            labels.append(word if k == 0 else f"S/N {float(members['snr'][k]):.0f}")
    return stamp_strip(stamps, labels, columns=len(shown))
