"""The exchange file holds what was measured, in the columns that its header names."""

import re
import subprocess
import sys

import numpy as np
import pytest

from etendue.errors import InputError
from etendue.table.table import Table
from etendue.tasks.moving.ades import AdesHeader, ades_psv


def positions():
    return Table(
        "tracklet_source",
        {
            "trackletId": [5, 5, 5], "diaSourceId": [1, 2, 0], "visit": [1, 2, 3], "detector": [0, 0, 0],
            "band": ["r", "r", "r"], "mjd_tai": 58568.0 + np.array([0.2, 0.1, 0.3]), "ra": [124.5, 124.6, 124.7],
            "dec": [25.1, 25.2, 25.3], "raErr": np.full(3, 0.1 / 3600), "decErr": np.full(3, 0.2 / 3600),
            "mag": [19.0, 19.1, 19.2], "magErr": [0.1, 0.1, 0.1], "status": ["detected", "detected", "forced"],
        },
    )  # fmt: skip


def rows(text):
    lines = [line for line in text.splitlines() if not line.startswith(("#", "!"))]
    names = [name.strip() for name in lines[0].split("|")]
    return [dict(zip(names, (v.strip() for v in line.split("|")), strict=True)) for line in lines[1:]]


def test_measured_positions_are_written_in_order_of_time_and_forced_ones_are_not():
    found = rows(ades_psv(positions(), header=AdesHeader("688"), catalog="UNK", absolute=True))
    assert [row["ra"] for row in found] == ["124.6000000", "124.5000000"]
    assert found[0]["obsTime"] == "2019-03-26T02:23:23.00Z"
    assert found[0]["rmsDec"] == "0.200"
    assert found[0]["mag"] == "19.10"


def test_relative_magnitudes_are_left_out():
    found = rows(ades_psv(positions(), header=AdesHeader("XXX"), catalog="UNK", absolute=False))
    assert not {"mag", "rmsMag", "band", "photCat"} & set(found[0])


# Types of the schema that the MPC checks submissions with (submit.xsd of ADES 2022).
ALLOWED = {
    "trkSub": r"[-A-Za-z0-9_]{1,8}", "mode": r"[A-Z]{3}", "stn": r"[A-Z0-9]{3,4}",
    "obsTime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", "ra": r"([1-3][0-9]{2}|[1-9]?[0-9])(\.[0-9]{0,9})?",
    "dec": r"[+-]?[1-9]?[0-9](\.[0-9]{0,9})?", "rmsRA": r"[0-9.]{1,7}", "rmsDec": r"[0-9.]{1,7}",
    "astCat": r"[.A-Za-z0-9_]{1,8}", "mag": r"[+-]?[0-9.]{1,7}", "rmsMag": r"[0-9.]{1,6}", "band": r"[A-Za-z0-9]{1,3}",
    "photCat": r"[.A-Za-z0-9_]{1,8}", "logSNR": r"[+-]?[0-9.]{1,5}", "exp": r"[0-9.]{1,6}", "remarks": r"[^|]{1,300}",
}  # fmt: skip


def header(**parts):
    given = {"submitter": "A. Bcdef", "observers": ["A. Bcdef"], "measurers": ["G. Hijkl"], "aperture_m": 1.07}
    return AdesHeader("688", **given | parts)


def full():
    table = positions().with_columns(snr=[10.0, 20.0, 5.0], raErr=[0.0, 1e-9, 1.0], magErr=[0.0, 0.1, 0.1])
    return ades_psv(table, header=header(), catalog="Gaia2", absolute=True, exposure_s={1: 300.0, 2: 300.0},
                    remarks={5: "3.2 arcsec/h"})  # fmt: skip


def test_every_value_fits_its_type_in_the_schema_and_errors_are_positive():
    found = rows(full())
    assert set(found[0]) == set(ALLOWED)
    for row in found:
        for name, value in row.items():
            assert re.fullmatch(ALLOWED[name], value), (name, value)
        assert min(float(row[name]) for name in ("rmsRA", "rmsDec", "rmsMag")) > 0.0


def test_right_ascensions_never_round_to_a_full_turn():
    found = rows(ades_psv(positions().with_columns(ra=[359.99999999, -1e-9, 10.0]), header=header(), catalog="UNK",
                          absolute=False))  # fmt: skip
    assert [float(row["ra"]) for row in found] == [0.0, 0.0]


@pytest.mark.parametrize("absolute", [True, False])
def test_the_validator_of_the_iau_accepts_the_file(tmp_path, absolute):
    pytest.importorskip("ades.valsubmit", reason="needs the package iau-ades")
    table = positions().with_columns(snr=[10.0, 20.0, 5.0])
    text = ades_psv(table, header=header(comments=["checked"], telescope="0.3-m", pixel_scale=1.1), catalog="Gaia2",
                    absolute=absolute, exposure_s={1: 300.0}, remarks={5: "3.2 arcsec/h"})  # fmt: skip
    (tmp_path / "a.psv").write_text(text)
    for arguments in (("psvtoxml", "a.psv", "a.xml"), ("valsubmit", "a.xml")):  # which keeps its state in its module
        command = [sys.executable, "-m", f"ades.{arguments[0]}", *arguments[1:]]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    verdict = (tmp_path / "valsubmit.file").read_text()
    assert "submit is OK" in verdict
    assert "failed" not in verdict


def test_columns_of_a_real_file_of_the_mpc_mean_the_same(shared_data):
    lines = (shared_data / "mpc_layup" / "example.psv").read_text().splitlines()
    real = {name.strip() for name in next(line for line in lines if line.startswith("provID")).split("|")}
    real |= {"exp", "photCat"}  # of the schema, but not in that file
    assert set(rows(full())[0]) <= real


def test_the_header_has_the_records_that_submissions_need_in_order():
    lines = full().splitlines()
    groups = [line for line in lines if line.startswith("#")]
    assert groups == ["# version=2022", "# observatory", "# submitter", "# observers", "# measurers", "# telescope"]
    telescope = lines[lines.index("# telescope") + 1 :]
    assert {"! design Reflector", "! aperture 1.07", "! detector CCD"} <= set(telescope)


@pytest.mark.parametrize(("parts", "message"), [
    ({"header": AdesHeader("Lowell")}, "observatory code"),
    ({"catalog": "my stars"}, "catalog name"),
    ({"header": header(submitter="Ö. Ü")}, "ASCII"),
])  # fmt: skip
def test_what_ades_does_not_allow_is_refused(parts, message):
    with pytest.raises(InputError, match=message):
        ades_psv(positions(), **{"header": header(), "catalog": "UNK", "absolute": True} | parts)


def test_bands_that_ades_lacks_need_a_name_or_lose_their_magnitudes():
    odd = positions().with_columns(band=["VR"] * 3)
    without = rows(ades_psv(odd, header=header(), catalog="UNK", absolute=True))
    assert "mag" not in without[0]
    named = rows(ades_psv(odd, header=header(), catalog="UNK", absolute=True, bands={"VR": "Vj"}))
    assert {row["band"] for row in named} == {"Vj"}
