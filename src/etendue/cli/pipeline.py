"""Commands that look at pipelines: what they consist of, whether they fit together, pictures."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etendue.cli.output import print_json, print_lines, print_table
from etendue.cli.repository import AS_JSON

if TYPE_CHECKING:
    from etendue.middleware.pipeline_parts import Link, TaskPart

_WIDTH = 100
_PIPELINE = click.argument("pipeline", metavar="PIPELINE")
_OVERRIDES = click.option(
    "-c", "--config", "overrides", multiple=True, metavar="LABEL:FIELD=VALUE", help="Config override."
)
_REPO = click.option("-b", "--repo", type=click.Path(path_type=Path), help="The repository where it will run.")
_INPUTS = click.option("-i", "--input", "inputs", multiple=True, help="Collection that it will read, repeatable.")


@click.group()
def pipeline() -> None:
    """Look at pipelines: shipped ones by name, others as YAML files; PIPELINE#label,label is a part of one."""


@pipeline.command("list")
@AS_JSON
def list_pipelines(as_json: bool) -> None:
    """List the shipped pipelines."""
    from etendue.middleware.pipeline import load_pipeline, pipeline_names
    from etendue.middleware.pipeline_parts import parts_of

    rows = []
    for name in pipeline_names():
        parts = parts_of(load_pipeline(name).to_graph())
        rows.append({"pipeline": name, "tasks": len(parts.tasks), "description": parts.description})
    print_json(rows) if as_json else print_table(rows)


@pipeline.command()
@_PIPELINE
@_OVERRIDES
@click.option("--task", "label", metavar="TASK", help="The configuration of one task, ready for -c.")
@AS_JSON
def show(pipeline: str, overrides: tuple[str, ...], label: str | None, as_json: bool) -> None:
    """Show the tasks of PIPELINE in order, what one quantum of each is of, and what it reads and writes.

    A dataset in brackets is looked up before the run; one with .part is read in part.
    """
    from etendue.middleware.pipeline import config_fields, load_pipeline
    from etendue.middleware.pipeline_parts import parts_of

    loaded = load_pipeline(pipeline, overrides)
    if label is not None:
        fields = config_fields(loaded, label)
        print_json([field._asdict() for field in fields]) if as_json else print_lines(
            [f"{label}:{field.name}={field.value}{'  # ' * bool(field.doc)}{field.doc}" for field in fields]
        )
        return
    parts = parts_of(loaded.to_graph())
    if as_json:
        print_json({"description": parts.description, "subsets": parts.subsets, "tasks": [
            {"task": task.label, "class": task.class_name, "dimensions": task.dimensions,
             "reads": [_as_json(link) for link in task.reads], "writes": [_as_json(link) for link in task.writes]}
            for task in parts.tasks
        ]})  # fmt: skip
        return
    print_lines([parts.description])
    for task in parts.tasks:
        print_lines(list(_told(task)))
    if parts.subsets:
        print_lines([f"subset {name}: {', '.join(labels)}" for name, labels in parts.subsets.items()])


@pipeline.command()
@_PIPELINE
@_OVERRIDES
@_REPO
@_INPUTS
@AS_JSON
def check(pipeline: str, overrides: tuple[str, ...], repo: Path | None, inputs: tuple[str, ...], as_json: bool) -> None:
    """Check PIPELINE: configurations, dimensions and types between tasks, and inputs that nobody writes.

    With a repository also whether it has what the pipeline reads. Exits with 1 if anything is wrong.
    """
    from etendue.errors import EtendueError
    from etendue.middleware.pipeline import load_pipeline
    from etendue.middleware.pipeline_checks import check_links, check_origins
    from etendue.middleware.pipeline_parts import parts_of
    from etendue.middleware.repository import Repository

    parts = parts_of(load_pipeline(pipeline, overrides, consistent=False).to_graph())
    home = None if repo is None else Repository.open(repo, writeable=False)
    findings = check_links(parts) + check_origins(parts, home, inputs)
    if as_json:
        print_json([{"severity": f.severity, "subject": f.subject, "message": f.message} for f in findings])
    else:
        print_lines([f"{f.severity}: {f.subject}: {f.message}" for f in findings])
    errors = sum(finding.severity == "error" for finding in findings)
    if errors:
        raise EtendueError(f"{pipeline}: {errors} {'errors' if errors > 1 else 'error'}")
    if not as_json:
        print_lines([f"{pipeline}: {len(parts.tasks)} tasks fit together"])


@pipeline.command()
@_PIPELINE
@_OVERRIDES
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File; the standard output by default.")
def dot(pipeline: str, overrides: tuple[str, ...], output: Path | None) -> None:
    """Write PIPELINE in the language of Graphviz."""
    from etendue.middleware.pipeline import dot_text, load_pipeline

    text = dot_text(load_pipeline(pipeline, overrides))
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text)


@pipeline.command()
@_PIPELINE
@_OVERRIDES
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="FILE.png or FILE.svg.")
@_REPO
@_INPUTS
@click.option("-d", "--where", default="", help="Data ID expression, for the number of quanta.")
def graph(
    pipeline: str, overrides: tuple[str, ...], output: Path, repo: Path | None, inputs: tuple[str, ...], where: str
) -> None:
    """Draw PIPELINE; with a repository also how many quanta each task will have there."""
    from etendue.app.pipeline_picture import draw_pipeline
    from etendue.middleware.pipeline import load_pipeline
    from etendue.middleware.pipeline_parts import parts_of

    if output.suffix not in (".png", ".svg"):
        raise click.BadParameter(f"'{output}' is neither .png nor .svg")
    loaded = load_pipeline(pipeline, overrides)
    quanta = None if repo is None else _quanta(loaded, pipeline, repo, inputs, where)
    picture = draw_pipeline(parts_of(loaded.to_graph()), pipeline, quanta=quanta, vector=output.suffix == ".svg")
    output.write_bytes(picture)
    print_lines([f"drew {output}"])


def _quanta(loaded: Any, name: str, repo: Path, inputs: tuple[str, ...], where: str) -> dict[str, int]:
    from etendue.cli.run import default_inputs
    from etendue.middleware.expected_quanta import expected_quanta
    from etendue.middleware.repository import Repository

    home = Repository.open(repo, writeable=False)
    chosen = inputs or tuple(default_inputs(home, Path(name.partition("#")[0]).stem))
    return dict(expected_quanta(home, [loaded], chosen, where))


def _told(task: "TaskPart") -> Iterator[str]:
    yield f"{task.label}  [{', '.join(task.dimensions) or 'one for all'}]  {task.class_name}"
    for verb, links in (("reads", task.reads), ("writes", task.writes)):
        text = ", ".join(dict.fromkeys(_named(link) for link in links)) or "nothing"
        yield textwrap.fill(f"{verb:<6} {text}", _WIDTH, initial_indent="    ", subsequent_indent=" " * 11)


def _named(link: "Link") -> str:
    name = f"{link.dataset}.{link.component}" if link.component else link.dataset
    return f"[{name}]" if link.prerequisite else name


def _as_json(link: "Link") -> dict[str, Any]:
    return {"dataset": link.dataset, "component": link.component, "dimensions": link.dimensions,
            "storage": link.storage, "prerequisite": link.prerequisite, "calibration": link.calibration,
            "multiple": link.multiple}  # fmt: skip
