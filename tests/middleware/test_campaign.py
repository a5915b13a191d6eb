"""Campaigns: forecast as it comes, done in order, not done again, resumed anywhere, begun anew where changed."""

import json
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner
from toy_survey import INPUTS, TOY

from etendue.app.campaign import run as campaign_run
from etendue.app.campaign.forecast import CostRow, cost_table
from etendue.app.campaign.run import Campaign
from etendue.app.campaign.spec import CampaignSpec
from etendue.cli.main import main
from etendue.cli.output import print_lines
from etendue.errors import EtendueError, InputError
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.task_costs import TaskCost

pytestmark = pytest.mark.slow  # processes and runs, seconds each

STEPS = [
    {"name": "measure", "pipeline": f"{TOY}#measure", "split": {"dimension": "exposure", "size": 2}},
    {"name": "totals", "pipeline": f"{TOY}#total", "where": "detector < 5"},
    {"name": "summary", "pipeline": f"{TOY}#summary", "clean_up": ["measured"]},
]


def spec_of(steps=STEPS, **other):
    return CampaignSpec.model_validate({"name": "dr1", "inputs": INPUTS, "steps": steps} | other)


def campaign(home, steps=STEPS):
    return Campaign(home, spec_of(steps), workers=1)


def with_config(number, *config):
    return [step | ({"config": config} if k == number else {}) for k, step in enumerate(STEPS)]


def products(home, collection="toy/dr1"):
    return content_hashes(home, collection, ("total", "summary"))


@pytest.mark.slow
def test_steps_make_what_one_run_of_the_whole_pipeline_makes(toy_repository):
    run_pipeline(toy_repository, TOY, inputs=INPUTS, output="toy/whole", workers=1, progress=False)
    result = campaign(toy_repository).run(progress=False)
    assert result.is_done
    assert products(toy_repository) == products(toy_repository, "toy/whole")
    assert [step.counts() for step in result.progress.steps] == [{"succeeded": n} for n in (10, 2, 1)]
    assert [len(step.groups) for step in result.progress.steps] == [3, 1, 1]


@pytest.mark.slow
def test_clean_up_deletes_what_the_campaign_made_and_nothing_else(toy_repository):
    run_pipeline(toy_repository, TOY, inputs=INPUTS, output="toy/whole", workers=1, progress=False)
    result = campaign(toy_repository).run(progress=False)
    assert result.progress.steps[2].deleted == 10
    assert toy_repository.query("measured", collections="toy/dr1") == ()
    assert len(toy_repository.query("measured", collections="toy/whole")) == 10


def test_what_is_done_is_not_done_again(toy_repository, monkeypatch):
    campaign(toy_repository).run(progress=False)
    monkeypatch.setattr(campaign_run, "run_pipeline", lambda *_, **__: pytest.fail("ran again"))
    assert campaign(toy_repository).run(progress=False).is_done


@pytest.mark.slow
def test_a_changed_step_and_those_after_it_begin_anew(toy_repository):
    steps = [*STEPS[:2], STEPS[2] | {"clean_up": []}]
    first = campaign(toy_repository, steps).run(progress=False)
    before = products(toy_repository)
    result = campaign(toy_repository, [steps[0], steps[1] | {"retries": 3}, steps[2]]).run(progress=False)
    runs = [[group.run for group in step.groups] for step in result.progress.steps]
    assert runs[0] == [group.run for group in first.progress.steps[0].groups]
    assert runs[1][0].startswith("toy/dr1/totals-2/")
    assert products(toy_repository) == before


@pytest.mark.slow
def test_a_step_whose_products_were_cleaned_up_begins_anew_where_they_are_needed(toy_repository):
    campaign(toy_repository).run(progress=False)
    before = products(toy_repository)
    result = campaign(toy_repository, [STEPS[0], STEPS[1] | {"retries": 3}, STEPS[2]]).run(progress=False)
    assert [step.output for step in result.progress.steps] == ["measure-2", "totals-2", "summary-2"]
    assert products(toy_repository) == before
    later = [*STEPS, {"name": "again", "pipeline": f"{TOY}#summary"}]
    assert campaign(toy_repository, [STEPS[0], STEPS[1] | {"retries": 3}, *later[2:]]).run(progress=False).is_done


def test_a_step_without_data_is_an_error(toy_repository):
    with pytest.raises(InputError, match="step totals finds nothing to do"):
        campaign(toy_repository, [STEPS[0], STEPS[1] | {"where": "detector = 7"}]).run(progress=False)


@pytest.mark.slow
def test_products_of_a_former_configuration_are_not_read(toy_repository):
    campaign(toy_repository).run(progress=False)
    before = products(toy_repository)
    campaign(toy_repository, with_config(0, "measure:scale.factor=5.0")).run(progress=False)
    after = products(toy_repository)
    assert before.keys() == after.keys()
    assert all(before[key] != after[key] for key in before)


@pytest.mark.slow
def test_too_many_failures_stop_it_and_a_repaired_cause_lets_it_go_on(toy_repository, tmp_path):
    broken = with_config(0, "measure:broken=[3]")
    with pytest.raises(EtendueError, match="step measure: 2 quanta failed"):
        campaign(toy_repository, broken).run(progress=False)
    state = campaign(toy_repository, broken).status()
    assert [group.status for group in state.progress.steps[0].groups] == ["done", "begun", "waiting"]
    allowed = [broken[0] | {"failures_allowed": 0.5}, *broken[1:]]
    assert campaign(toy_repository, allowed).run(progress=False).is_done


def test_an_interrupted_group_is_resumed_and_not_begun_anew(toy_repository, monkeypatch):
    """The first call dies after its run was prepared, the second one before anything was."""
    real, ended = campaign_run.run_pipeline, []

    def dying(*args, **kwargs):
        if len(ended) < 2:
            ended.append(kwargs["resume"])
            if len(ended) == 1:
                real(*args, **kwargs)
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(campaign_run, "run_pipeline", dying)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            campaign(toy_repository).run(progress=False)
    result = campaign(toy_repository).run(progress=False)
    assert ended == [False, True]
    assert result.is_done
    assert len(list((toy_repository.runs_folder / "toy/dr1/measure").glob("*/run.json"))) == 3


def test_the_forecast_counts_all_quanta_before_anything_is_there(toy_repository):
    run_pipeline(toy_repository, TOY, inputs=INPUTS, output="toy/whole", workers=1, progress=False)
    result = campaign(toy_repository).forecast()
    assert [(row.step, row.task, row.quanta) for row in result.progress.forecast] == [
        ("measure", "measure", 10), ("totals", "total", 2), ("summary", "summary", 1),
    ]  # fmt: skip
    assert all(row.cost.cpu_s > 0.0 for row in result.progress.forecast)
    assert not (toy_repository.path / "etendue" / "campaigns").exists()


@pytest.mark.slow
def test_actual_costs_stand_beside_the_forecast(toy_repository):
    result = campaign(toy_repository).run(progress=False)
    assert {key: cost.quanta for key, cost in result.actual.items()} == {
        ("measure", "measure"): 10, ("totals", "total"): 2, ("summary", "summary"): 1,
    }  # fmt: skip
    assert all(row.cost is None for row in result.progress.forecast)  # nothing had run before


def test_the_table_of_costs_fits(capsys):
    row = CostRow("a_rather_long_step", "associate_dia_sources", 123456, TaskCost(123456, 9e6, 8e6, 2e4, 3e12))
    print_lines([cost_table([row], {(row.step, row.task): TaskCost(123000, 9.9e6, 9e6, 3e4, 3.3e12)}, 8)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert any("123456" in line for line in lines)
    assert any("123000" in line for line in lines)


@pytest.mark.parametrize(("text", "message"), [
    ("name: a", "steps"), ("name: a b\nsteps: [{name: x, pipeline: drp}]", "name"),
    ("name: a\nsteps: [{name: x, pipeline: drp}, {name: x, pipeline: ap}]", "two steps are called x"),
    ("name: a\nsteps: [{name: x, pipeline: drp, retires: 2}]", "retires"), ("- a", "holds no campaign"),
    ("name: [", "is not YAML"), ("name: a\nsteps: [{name: x, pipeline: drp, failures_allowed: 2}]", "failures_allowed"),
])  # fmt: skip
def test_a_wrong_file_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "dr.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        CampaignSpec.read(path)
    assert "dr.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("changes", "message"), [
    ({"camera": "other"}, "must name a camera"), ({"inputs": ("nowhere",)}, "no such collection"),
    ({"steps": [{"name": "x", "pipeline": "nothing"}]}, "no such pipeline"),
    ({"steps": [STEPS[0] | {"split": {"dimension": "moon"}}]}, "no such dimension"),
    ({"where": "exposure >"}, "expression"),
])  # fmt: skip
def test_what_cannot_be_done_is_said_before_anything_runs(toy_repository, changes, message):
    with pytest.raises(InputError, match=message):
        Campaign(toy_repository, spec_of(**changes), workers=1).run(progress=False)
    assert not toy_repository.has_collection("toy/dr1")


@pytest.mark.slow
def test_the_commands_forecast_run_and_tell(toy_repository, tmp_path):
    path = tmp_path / "dr.yaml"
    path.write_text(textwrap.dedent(f"""
        name: dr1
        inputs: [{', '.join(INPUTS)}]
        steps:
          - {{name: measure, pipeline: "{TOY}#measure"}}
          - {{name: rest, pipeline: "{TOY}#total,summary"}}
        """))  # fmt: skip
    repo = ["-b", str(toy_repository.path), "-j", "1"]
    forecast = CliRunner().invoke(main, ["campaign", "forecast", str(path), *repo])
    assert forecast.exit_code == 0, forecast.output
    assert "waiting" in forecast.output
    done = CliRunner().invoke(main, ["campaign", "run", str(path), *repo])
    assert done.exit_code == 0, done.output
    assert max(len(line) for line in done.output.splitlines()) <= 100
    told = json.loads(CliRunner().invoke(main, ["campaign", "status", str(path), *repo, "--json"]).output)
    assert told["done"]
    assert Path(toy_repository.path, "etendue", "campaigns", "dr1.json").is_file()
