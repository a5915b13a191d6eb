"""The report says what is in the repository, on one page, and never stumbles over what is not."""

import json
import re

import pytest

from etendue.alerts.batch import AlertBatch
from etendue.app.quickstart import publish_products
from etendue.app.report.report import report_numbers, write_report
from etendue.errors import InputError

RUN = "simcam/drp/one"
SECTIONS = ("observations", "calibration", "visits", "images", "repeatability", "coadds", "variables", "movers",
            "products", "timings", "failures")  # fmt: skip


@pytest.fixture(scope="module")
def numbers(survey):
    return report_numbers(survey.home)


@pytest.fixture(scope="module")
def page(survey, tmp_path_factory):
    return write_report(survey.home, tmp_path_factory.mktemp("page") / "report.html").read_text()


def test_numbers_survive_json_and_identifiers_are_text(numbers):
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    assert isinstance(numbers["movers"]["movers"][0]["trackletId"], str)
    assert isinstance(numbers["visits"]["rows"][0]["visit"], str)
    assert isinstance(numbers["variables"]["objects"][0]["objectId"], str)


def test_the_survey_is_described(numbers, survey):
    observations = numbers["observations"]
    assert observations["cameras"][0]["camera"] == "simcam"
    assert observations["n_visits"] == len(survey.visits)
    assert observations["nights"][0]["visits"] == len(survey.visits)
    assert observations["versions"]["numpy"]


def test_a_gain_that_contradicts_the_header_is_called_inconsistent(numbers):
    verdicts = {row["amplifier"]: row["verdict"] for row in numbers["calibration"]["amplifiers"]}
    assert verdicts == {"A": "consistent", "B": "inconsistent"}
    assert numbers["calibration"]["bias"][0]["read_noise_adu"] == {"A": 3.2, "B": 1.2}
    assert numbers["calibration"]["defects"] == [{"detector": 0, "regions": 1, "pixels": 20}]
    assert "odd_V.fits" in numbers["calibration"]["refused"][0]["message"]


def test_scatter_that_was_put_in_comes_out(numbers):
    metrics = {row["metric"]: row["value"] for row in numbers["repeatability"]["metrics"]}
    assert metrics["astrometry_snr50"] == pytest.approx(12.0, rel=0.1)
    assert metrics["photometry_best50"] == pytest.approx(10.9, rel=0.25)
    assert metrics["AM1"] == pytest.approx(12.0 * 2**0.5, rel=0.1)
    assert metrics["AM2"] is None
    assert numbers["repeatability"]["error_ratio_30_300"] == pytest.approx(1.0, abs=0.06)


def test_every_visit_has_its_row(numbers, survey):
    rows = numbers["visits"]["rows"]
    assert [row["visit"] for row in rows] == [str(visit) for visit in survey.visits]
    assert {row["n_recurring"] for row in rows} == {300}
    assert numbers["visits"]["medians"]["seeing_arcsec"] == 1.25


def test_a_coadd_of_six_visits_gains_the_root_of_six(numbers):
    (coadd,) = numbers["coadds"]["coadds"]
    assert coadd["visits"] == 6
    assert coadd["snr_gain"] == pytest.approx(6**0.5, rel=0.01)
    assert numbers["coadds"]["snr_gain_over_sqrt_n"] == pytest.approx(1.0, rel=0.01)
    assert numbers["coadds"]["objects"][0]["snr_over_50"] == 80


def test_the_variable_and_the_transient_are_found(numbers):
    assert numbers["variables"]["objects"][0]["objectId"] == "77"
    assert len(numbers["variables"]["objects"]) == 1
    assert numbers["variables"]["dia_objects"][0]["detections"] == 6


def test_the_mover_is_told(numbers):
    (mover,) = numbers["movers"]["movers"]
    assert (mover["name"], mover["rate"], mover["n_obs"]) == ("M1", 30.0, 6)
    assert mover["rms_mas"] == pytest.approx(80.0)


def test_alerts_archive_timings_and_failures_are_counted(numbers):
    assert (numbers["products"]["alerts"], numbers["products"]["published"]) == (6, None)
    assert numbers["products"]["archive"] == [{"table": "dia_object", "rows": 1, "snapshot": 1}]
    stages = {row["stage"]: row for row in numbers["timings"]["stages"]}
    assert stages["calibrate_image"]["quanta"] == 4
    assert stages["calibrate_image"]["cpu_total_s"] == pytest.approx(6.0)
    assert stages["calibrate_image"]["memory_mb"] == 403.0
    assert {row["status"] for row in numbers["timings"]["failures"]} == {"defeated", "failed"}


def test_the_page_needs_nothing_but_itself(page):
    assert len(page) < 8e6
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "http" not in re.sub(r"data:image/png;base64,[^\"]*", "", page)
    assert all(f'<section id="{name}">' in page and f'href="#{name}"' in page for name in SECTIONS)
    assert page.count("<figure>") == page.count("<b>Right:</b>") == page.count("<b>Wrong:</b>") >= 10


def test_hostile_text_is_escaped(page):
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_an_empty_repository_is_told_to_be_empty(empty_survey, tmp_path):
    text = write_report(empty_survey.home, tmp_path / "report.html").read_text()
    for name in ("visit_summary", "source", "deep_coadd", "tracklet", "bias", "alert_batch"):
        assert f"No {name} in this repository" in text


def test_refused_files_are_listed_with_the_reason(scratch, tmp_path):
    broken = tmp_path / "broken.fits"
    broken.write_text("not FITS")
    assert scratch.ingest([broken])[0].status == "refused"
    (row,) = report_numbers(scratch)["observations"]["refused"]
    assert (row["name"], row["camera"], row["subject"]) == ("broken.fits", "simcam", str(broken))
    assert "is no FITS file" in row["reason"]
    page = write_report(scratch, scratch.path / "report.html").read_text()
    assert "Refused: 1" in page
    assert "is no FITS file" in page


def test_alerts_that_a_later_run_changed_are_counted_as_superseded(scratch):
    publish_products(scratch, RUN)
    (ref, *_) = scratch.query("alert_batch", collections=RUN)
    batch = scratch.get(ref)
    other = AlertBatch(batch.visit, batch.detector, (), ())
    scratch.put(other, "alert_batch", ref.dataId.required, run="simcam/drp/two")
    assert publish_products(scratch, "simcam/drp/two") == {"archive": 0, "alerts": 1}
    assert publish_products(scratch, "simcam/drp/two") == {"archive": 0, "alerts": 0}
    numbers = report_numbers(scratch)["products"]["published"]
    assert numbers == {"batches": 6, "alerts": 5, "superseded_batches": 1}
    page = write_report(scratch, scratch.path / "report.html").read_text()
    assert "1 batches sent before were superseded" in page


def test_a_damaged_product_is_named_and_costs_only_itself(scratch):
    (ref,) = scratch.query("object", collections="simcam/drp/one")
    scratch.butler.getURI(ref).write(b"not a table")
    (image, *_) = scratch.query("visit_image", collections="simcam/drp/one")
    scratch.butler.getURI(image).remove()
    numbers = report_numbers(scratch)
    assert numbers["coadds"]["objects"] == []
    assert len(numbers["movers"]["movers"]) == 1
    assert any("object" in message for message in numbers["timings"]["unreadable"])
    assert write_report(scratch, scratch.path / "report.html").is_file()


def test_an_unknown_collection_is_refused(survey):
    with pytest.raises(InputError, match="no such collection"):
        report_numbers(survey.home, collections=["nowhere"])


def test_a_folder_that_does_not_exist_is_refused(empty_survey, tmp_path):
    with pytest.raises(InputError, match="cannot write the report"):
        write_report(empty_survey.home, tmp_path / "missing" / "report.html")
