"""Reports of new transients in the layout of the bulk reports of the Transient Name Server, version 2.0 of 2025."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_AB_MAGNITUDE = "1"  # the TNS's number of the unit
_POSSIBLE_SUPERNOVA = "1"  # the TNS's number of the type "PSN"
_NO_EPOCH = "0"  # the TNS's number of the archive "Other"
_MOST_EPOCHS = 10
MOST_REPORTS = 100
"""Objects that the TNS takes at a time."""


@dataclass(frozen=True, slots=True)
class TnsEpoch:
    """One epoch of photometry, or a non-detection.

    Parameters
    ----------
    obsdate : str
        Middle of the exposure, UTC, ``2019-03-26 03:12:45.1``.
    limiting_mag : float
        Limiting magnitude (AB).
    filter_id, instrument_id : str
        Numbers of the TNS.
    exptime_s : float
        Exposure time [s].
    observer : str
        Name.
    mag, mag_err : float, optional
        AB magnitude and its error; left out of a non-detection.
    """

    obsdate: str
    limiting_mag: float
    filter_id: str
    instrument_id: str
    exptime_s: float
    observer: str
    mag: float | None = None
    mag_err: float | None = None

    def to_dict(self) -> dict[str, str]:
        """Return the layout of the bulk report: all values as text."""
        measured = {} if self.mag is None else {"flux": f"{self.mag:.3f}", "flux_error": f"{self.mag_err:.3f}"}
        return {
            "obsdate": self.obsdate, **measured, "limiting_flux": f"{self.limiting_mag:.2f}",
            "flux_unitid": _AB_MAGNITUDE, "filterid": self.filter_id, "instrumentid": self.instrument_id,
            "exptime": f"{self.exptime_s:g}", "observer": self.observer, "comments": "",
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class TnsCandidate:
    """A new transient.

    Parameters
    ----------
    internal_name : str
        Our own name.
    ra_deg, dec_deg : float
        Position, ICRS [deg].
    ra_err_arcsec, dec_err_arcsec : float
        1-sigma errors on the sky [arcsec].
    reporter, group_id, data_source_id : str
        As the TNS knows them.
    photometry : sequence of TnsEpoch
        Detections, the first one first; ten are reported.
    non_detection : TnsEpoch or None
        The last epoch before the first detection.
    archival_remarks : str
        What is known instead where there is no such epoch.
    remarks : str
        Free text.
    """

    internal_name: str
    ra_deg: float
    dec_deg: float
    ra_err_arcsec: float
    dec_err_arcsec: float
    reporter: str
    group_id: str
    data_source_id: str
    photometry: Sequence[TnsEpoch]
    non_detection: TnsEpoch | None = None
    archival_remarks: str = ""
    remarks: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the layout of the bulk report."""
        archive = {"archiveid": _NO_EPOCH, "archival_remarks": self.archival_remarks}
        return {
            "ra": {"value": f"{self.ra_deg:.6f}", "error": f"{self.ra_err_arcsec:.3f}", "units": "arcsec"},
            "dec": {"value": f"{self.dec_deg:+.6f}", "error": f"{self.dec_err_arcsec:.3f}", "units": "arcsec"},
            "reporting_groupid": self.group_id,
            "data_source_groupid": self.data_source_id,
            "reporter": self.reporter,
            "discovery_datetime": self.photometry[0].obsdate,
            "at_type": _POSSIBLE_SUPERNOVA,
            "internal_name": self.internal_name,
            "remarks": self.remarks,
            "non_detection": archive if self.non_detection is None else self.non_detection.to_dict(),
            "photometry": {str(k): epoch.to_dict() for k, epoch in enumerate(self.photometry[:_MOST_EPOCHS])},
        }


def tns_json(candidates: Sequence[TnsCandidate]) -> str:
    """Return a bulk report as JSON.

    Parameters
    ----------
    candidates : sequence of TnsCandidate
        At least one.

    Returns
    -------
    str
        ``{"at_report": {"0": {...}, "1": {...}}}``.
    """
    return json.dumps({"at_report": {str(k): one.to_dict() for k, one in enumerate(candidates)}}, indent=1) + "\n"


def tns_tsv(candidates: Sequence[TnsCandidate]) -> str:
    """Return the same as a table: a row per epoch of photometry.

    Parameters
    ----------
    candidates : sequence of TnsCandidate
        At least one.

    Returns
    -------
    str
        Tab-separated, with a line of names; those of nested values are joined by dots, ``non_detection.obsdate``.
    """
    rows = []
    for candidate in candidates:
        state = candidate.to_dict()
        epochs = state.pop("photometry")
        rows += [_flat(state) | _flat({"photometry": epoch}) for epoch in epochs.values()]
    names = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, delimiter="\t", restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _flat(state: dict[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in state.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": str(value)}
    return found
