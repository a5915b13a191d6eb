"""Pipelines are shown as they are, and those that cannot work are refused before anything runs, in one line."""

import json

import pytest
from click.testing import CliRunner
from lsst.pipe.base import Pipeline
from toy_survey import INPUTS, TOY

from etendue.cli.main import main
from etendue.errors import InputError
from etendue.middleware.pipeline import check_pipeline, config_fields, load_pipeline, pipeline_names
from etendue.middleware.pipeline_checks import check_links, check_origins
from etendue.middleware.pipeline_parts import parts_of


def etendue(*words, status=0):
    result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def wrong(*names):
    pipeline = Pipeline("wrong on purpose")
    for name in names:
        pipeline.addTask(f"toy_wrong.{name}", name.lower())
    return pipeline


@pytest.mark.parametrize(("names", "severity", "message"), [
    ("Make ReadWide", "error", "readwide reads one per detector, but make writes one per detector, exposure"),
    ("Make ReadTable", "error", "readtable reads it as EtendueTable, but make writes it as EtendueJson"),
    ("Make ReadComponent", "error", "readcomponent reads its part wcs, but make writes it as EtendueJson, which"),
    ("Make ReadOne", "warning", "it takes one part of detector, exposure, but there can be several per detector: is"),
    ("Make Narrow", "error", "its quanta are of detector, exposure, so several of them would write the same narrow"),
    ("Make MakeAgain", "error", "written by make and by makeagain"),
    ("ReadTypo ReadWide Make", "error", "readwide reads one per detector, but make writes one per detector, exposure"),
])  # fmt: skip
def test_tasks_that_do_not_fit_together_are_found(names, severity, message):
    [finding] = check_links(parts_of(wrong(*names.split()).to_graph()))
    assert finding.severity == severity
    assert finding.message.startswith(message)


def test_a_circle_is_one_line():
    with pytest.raises(InputError, match="ycle") as caught:
        check_pipeline(wrong("Circle", "CircleBack"))
    assert "\n" not in str(caught.value)


def test_a_name_that_nobody_writes_is_compared_with_those_that_somebody_does():
    [finding] = check_origins(parts_of(wrong("Make", "ReadTypo").to_graph()))
    assert finding.message == "no task writes it, read by readtypo; is part meant?"


def test_inputs_are_looked_for_in_the_repository(toy_repository):
    toy, typo = parts_of(load_pipeline(TOY).to_graph()), parts_of(wrong("Make", "ReadTypo").to_graph())
    assert check_origins(toy, toy_repository, INPUTS) == []
    [missing] = check_origins(toy, toy_repository, INPUTS[:2])
    assert (missing.severity, missing.subject) == ("warning", "label")
    assert missing.message == "none in toy/numbers, toy/calib; no task writes it, read by total"
    [unknown] = check_origins(typo, toy_repository)
    assert (unknown.severity, unknown.subject) == ("error", "partt")
    toy_repository.register_dataset_type("partt", ("instrument", "detector"), "EtendueTable")
    told = [finding.message for finding in check_origins(typo, toy_repository)]
    assert any("but the repository has one per" in message for message in told)


def test_shipped_pipelines_fit_together():
    for name in pipeline_names():
        parts = parts_of(load_pipeline(name).to_graph())
        assert check_links(parts) == []
        assert check_origins(parts) == []


def test_a_pipeline_that_does_not_fit_is_refused_before_a_run(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "description: x\ntasks:\n  make:\n    class: toy_wrong.Make\n  table:\n    class: toy_wrong.ReadTable\n"
    )
    with pytest.raises(
        InputError, match=r"part: table reads it as EtendueTable, but make writes it as .*; 'etendue pipe"
    ):
        load_pipeline(path)
    error = etendue("pipeline", "check", path, status=1)
    assert error.stdout.startswith("error: part: table reads it as EtendueTable")
    assert error.stderr == f"etendue: error: {path}: 1 error\n"


def test_contracts_of_the_file_are_one_line_too(tmp_path):
    path = tmp_path / "contract.yaml"
    path.write_text(
        f"{TOY.read_text()}contracts:\n  - contract: measure.scale.factor < 2\n    msg: too large a factor\n"
    )
    assert "too large a factor" in etendue("pipeline", "check", path, status=1).stderr
    assert etendue("pipeline", "check", path, "-c", "measure:scale.factor=1.0").stderr == ""


@pytest.mark.parametrize("command", [
    "list", "show drp", "show ap#subtract_images", "show drp --task make_warp", "check drp",
    "check TOY -b REPO -i toy/calib",
])  # fmt: skip
def test_commands_fit_a_terminal_and_speak_json(command, toy_repository):
    words = ["pipeline", *command.replace("TOY", str(TOY)).replace("REPO", str(toy_repository.path)).split()]
    text = etendue(*words).stdout
    if "--task" not in words and "TOY" not in command:
        assert max(map(len, text.splitlines())) <= 100
    json.loads(etendue(*words, "--json").stdout, parse_constant=pytest.fail)


def test_show_names_what_is_read_and_written():
    lines = etendue("pipeline", "show", "drp").stdout.splitlines()
    at = lines.index("make_warp  [patch, visit]  etendue.middleware.steps.MakeWarp")
    assert lines[at + 1 : at + 3] == ["    reads  visit_image, [skyMap]", "    writes direct_warp"]


def test_the_configuration_of_a_task_is_ready_for_the_command_line():
    fields = {
        field.name: field for field in config_fields(load_pipeline("drp", ["make_warp:warp.grid_step=32"]), "make_warp")
    }
    assert fields["warp.grid_step"].value == 32
    assert "WCS" in fields["warp.grid_step"].doc
    with pytest.raises(InputError, match="no such task"):
        config_fields(load_pipeline("drp"), "quatsch")


def test_parts_lie_between_tasks():
    def labels(**ends):
        return set(load_pipeline("drp", **ends).task_labels)

    assert labels(first="assemble_coadd") == {"assemble_coadd", "measure_objects", "forced_photometry"}
    assert labels(last="finalize_visit") == {"calibrate_image", "joint_calibrate", "finalize_visit"}
    assert labels(first="finalize_visit", last="measure_objects") == {
        "finalize_visit", "make_warp", "assemble_coadd", "measure_objects",
    }  # fmt: skip


def test_pictures_are_drawn(tmp_path, toy_repository):
    etendue("pipeline", "graph", "drp", "-o", tmp_path / "drp.svg")
    assert "calibrate_image" in (tmp_path / "drp.svg").read_text()
    reading = [word for name in INPUTS for word in ("-i", name)]
    etendue("pipeline", "graph", TOY, "-o", tmp_path / "toy.png", "-b", toy_repository.path, *reading)
    assert (tmp_path / "toy.png").read_bytes().startswith(b"\x89PNG")
    assert etendue("pipeline", "dot", "drp").stdout.startswith("digraph Pipeline {")
    assert "neither .png nor .svg" in etendue("pipeline", "graph", "drp", "-o", tmp_path / "x.gif", status=2).stderr
