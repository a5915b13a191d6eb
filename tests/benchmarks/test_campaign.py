import json
import math

import campaign
import pytest
from machine import machine_facts, rounded


def seed(number, *, bias, found):
    rows = [
        {"what": "star fluxes", "recovered": "", "true": "0", "ok": abs(bias) < 5.0, "bias": bias, "n": 10},
        {"what": "movers", "recovered": "", "true": "", "ok": found > 2, "found": found},
        {"what": "movers", "recovered": "not linked", "true": "", "ok": False, "found": 0},
    ]
    return {"seed": number, "ok": False, "wall_s": 1.0, "rows": rows}


SEEDS = [seed(1, bias=1.0, found=4), seed(2, bias=3.0, found=6)]


def test_numbers_are_means_over_seeds_with_their_standard_error():
    bias = campaign.aggregate(SEEDS)["star fluxes"]["bias"]
    assert (bias["mean"], bias["min"], bias["max"], bias["seeds"]) == (2.0, 1.0, 3.0, 2)
    assert bias["standard_error"] == pytest.approx(math.sqrt(2.0) / math.sqrt(2.0))


def test_rows_of_one_quantity_are_counted_together():
    movers = campaign.aggregate(SEEDS)["movers"]
    assert (movers["rows"], movers["ok"]) == (4, 2)
    assert movers["found"]["mean"] == 2.5


def test_every_failure_names_its_seed():
    assert [(row["seed"], row["what"]) for row in campaign.failures(SEEDS)] == [(1, "movers"), (2, "movers")]


def test_the_table_has_a_line_per_quantity():
    lines = campaign.table_lines(campaign.aggregate(SEEDS))
    assert len(lines) == 4
    assert lines[2].startswith("| star fluxes | 2/2 | bias 2 ± 1, ")


def test_a_campaign_in_pieces_holds_all_its_seeds(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "run_seed", lambda number, workers: seed(number, bias=float(number), found=4))
    path = tmp_path / "campaign.json"
    for numbers in ((1,), (2, 3), (3,)):
        result = campaign.run_demo_campaign(numbers, path, workers=1, date="2026-01-01", add=True)
    assert result["seeds"] == json.loads(path.read_text())["seeds"] == [1, 2, 3]
    assert result["summary"]["star fluxes"]["bias"]["mean"] == 2.0
    campaign.run_demo_campaign((4,), path, workers=1, date="2026-01-01")
    assert json.loads(path.read_text())["seeds"] == [4]


def test_one_seed_has_no_error_and_json_no_nan():
    alone = campaign.aggregate(SEEDS[:1])["star fluxes"]["bias"]
    assert math.isnan(alone["standard_error"])
    assert rounded(alone)["standard_error"] is None
    assert rounded({"a": [123456.0, 7, True, (0.000123456,)]}) == {"a": [123500.0, 7, True, [0.0001235]]}


def test_the_facts_tell_the_machine_but_not_its_name():
    facts = machine_facts()
    assert {"cpu", "cores", "python", "packages"} <= set(facts)
    assert "numpy" in facts["packages"]
    assert not any("/" in str(value) for key, value in facts.items() if key not in ("cpu", "packages"))
