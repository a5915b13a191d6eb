"""The layout is that of the TNS's bulk report."""

import csv
import io
import json

from etendue.alerts.tns_report import TnsCandidate, TnsEpoch, tns_json, tns_tsv

BEFORE = TnsEpoch("2019-03-25 03:00:00.0", 21.5, "22", "9", 300.0, "A. Bcdef")
FIRST = TnsEpoch("2019-03-26 03:00:00.0", 21.6, "22", "9", 300.0, "A. Bcdef", mag=19.1234, mag_err=0.05)
SECOND = TnsEpoch("2019-03-26 04:00:00.0", 21.6, "22", "9", 300.0, "A. Bcdef", mag=19.0, mag_err=0.05)


def candidate(**parts):
    given = {
        "internal_name": "et1", "ra_deg": 10.5, "dec_deg": -0.25, "ra_err_arcsec": 0.05, "dec_err_arcsec": 0.06,
        "reporter": "A. Bcdef (Institute)", "group_id": "1", "data_source_id": "2", "photometry": [FIRST, SECOND],
        "non_detection": BEFORE,
    }  # fmt: skip
    return TnsCandidate(**given | parts)


def test_the_json_is_a_numbered_report_whose_first_epoch_is_the_discovery():
    report = json.loads(tns_json([candidate(), candidate(internal_name="et2")]))["at_report"]
    assert list(report) == ["0", "1"]
    first = report["0"]
    assert first["ra"] == {"value": "10.500000", "error": "0.050", "units": "arcsec"}
    assert first["dec"]["value"] == "-0.250000"
    assert first["discovery_datetime"] == FIRST.obsdate
    assert first["at_type"] == "1"
    epochs = first["photometry"]
    assert epochs["0"]["flux"] == "19.123"
    assert epochs["1"]["obsdate"] == SECOND.obsdate
    assert {"obsdate", "limiting_flux", "flux_unitid", "filterid", "instrumentid", "exptime", "observer"} <= set(
        first["non_detection"]
    )
    assert (first["reporting_groupid"], first["data_source_groupid"]) == ("1", "2")
    assert "flux" not in first["non_detection"]


def test_no_more_epochs_are_written_than_the_tns_takes():
    assert len(candidate(photometry=[FIRST] + 14 * [SECOND]).to_dict()["photometry"]) == 10


def test_without_an_earlier_epoch_the_archive_is_named():
    state = candidate(non_detection=None, archival_remarks="not on the template").to_dict()
    assert state["non_detection"] == {"archiveid": "0", "archival_remarks": "not on the template"}


def test_the_table_holds_the_same_values_a_row_per_epoch():
    rows = list(csv.DictReader(io.StringIO(tns_tsv([candidate(), candidate(non_detection=None)])), delimiter="\t"))
    assert len(rows) == 4
    assert rows[0]["ra.value"] == rows[1]["ra.value"] == "10.500000"
    assert [row["photometry.obsdate"] for row in rows[:2]] == [FIRST.obsdate, SECOND.obsdate]
    assert rows[0]["non_detection.limiting_flux"] == "21.50"
    assert rows[2]["non_detection.limiting_flux"] == ""
