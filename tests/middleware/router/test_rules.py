from pathlib import Path

import pytest

from etendue.errors import InputError
from etendue.middleware.router.rules import CommandSpec, DirectorySpec, RepositorySpec, Rules, StreamSpec

GOOD = """
sinks:
  backup: {kind: repository, path: ../backup, retention: {gigabytes: 500}}
  files: {kind: directory, path: /public}
  live: {kind: stream}
  tell: {kind: command, command: [notify, "{path}"], refuse: [3]}
rules:
  - {name: all, datasets: raw, sinks: [backup, files]}
  - {name: red, datasets: ["*_image", source], where: "band = 'r'", existing: false, sinks: live}
"""
SINK = "sinks: {a: {kind: directory, path: a}}\n"
RULE = "rules: [{name: r, datasets: raw, sinks: a}]\n"


def refused(text, tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        Rules.read(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))
    return str(error.value)


def test_a_file_with_every_kind_of_sink_is_read(tmp_path):
    (tmp_path / "rules.yaml").write_text(GOOD)
    rules = Rules.read(tmp_path / "rules.yaml")
    kinds = [type(sink) for sink in rules.sinks.values()]
    assert kinds == [RepositorySpec, DirectorySpec, StreamSpec, CommandSpec]
    assert rules.rules[0].datasets == ("raw",)
    assert rules.rules[1].sinks == ("live",)


def test_paths_are_relative_to_the_file(tmp_path):
    (tmp_path / "rules.yaml").write_text(GOOD)
    sinks = Rules.read(tmp_path / "rules.yaml").sinks
    assert sinks["backup"].path == tmp_path / "../backup"
    assert sinks["files"].path == Path("/public")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no rules"),
        ("sinks: [", "is not YAML"),
        (SINK, "rules: Field required; add 'rules'"),
        (RULE, "sinks: Field required"),
        (SINK + "rules: []\n", "rules: Tuple should have at least 1 item"),
        (SINK + "rules: [{name: r, datasets: raw, sinks: b}]\n", "rule r names the sink b; there are a"),
        (SINK + RULE[:-2] + ", {name: r, datasets: bias, sinks: a}]", "two rules are named r"),
        (SINK + "rules: [{name: r, dataset: raw, sinks: a}]\n", "rules.0.datasets: Field required"),
        (SINK + "rules: [{name: r, datasets: raw, sinks: a, were: x}]\n", "rules.0.were: Extra inputs"),
        (SINK + "rules: [{name: 'a b', datasets: raw, sinks: a}]\n", "rules.0.name: String should match"),
        ("sinks: {../a: {kind: directory, path: a}}\n" + RULE, "sinks.../a.[key]: String should match"),
        ("sinks: {a: {kind: ftp, path: a}}\n" + RULE, "sinks.a: Input tag 'ftp' found"),
        ("sinks: {a: {kind: repository}}\n" + RULE, "sinks.a.repository.path: Field required"),
        ("sinks: {a: {kind: directory, path: b, retention: {days: -1}}}\n" + RULE, "days: Input should be greater"),
        ("sinks: {a: {kind: directory, path: b, layout: ../x}}\n" + RULE, "layout: leads out of the folder"),
        ("sinks: {a: {kind: command, command: []}}\n" + RULE, "command: Tuple should have at least 1 item"),
        ("sinks: {a: {kind: command, command: rm -rf}}\n" + RULE, "command: Input should be a valid tuple"),
        ("sinks: {a: {kind: stream, host: 0.0.0.0}}\n" + RULE, "say public: true"),
        ("sinks: {a: {kind: stream, port: 70000}}\n" + RULE, "port: Input should be less than"),
    ],
)  # fmt: skip
def test_a_wrong_file_costs_one_line_that_names_the_key(text, words, tmp_path):
    assert words in refused(text, tmp_path)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Rules.read(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    "text", ["{kind: directory, path: b, layout: '{vist}'}", "{kind: command, command: [x, '{vist}']}"]
)
def test_braces_that_nothing_fills_are_refused(text, tmp_path):
    (tmp_path / "rules.yaml").write_text(f"sinks: {{a: {text}}}\n{RULE}")
    rules = Rules.read(tmp_path / "rules.yaml")
    with pytest.raises(InputError, match=r"sink a: \{vist\} stands for nothing .*use .*id8.* or a dimension"):
        rules.require_known_placeholders(frozenset({"visit"}), "rules.yaml")
