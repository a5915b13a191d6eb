"""Command that runs a pipeline."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from etendue.cli.output import print_json, print_lines
from etendue.cli.repository import AS_JSON

if TYPE_CHECKING:
    from etendue.middleware.repository import Repository

_NEEDS = {"ap": "drp"}  # shipped pipelines that read the products of another one
_OUTPUTS = {"calib": "calibrations"}  # as quickstart names them


@click.command(short_help="Run PIPELINE: calib, drp, ap, or a YAML file.")
@click.argument("pipeline")
@click.option("-b", "--repo", required=True, type=click.Path(path_type=Path), help="The repository.")
@click.option("-i", "--input", "inputs", multiple=True, help="Collection to read, repeatable; default CAMERA/defaults, "
              "the reference catalogs, and for ap CAMERA/drp.")  # fmt: skip
@click.option("-o", "--output", help="Chain of the runs; default CAMERA/PIPELINE.")
@click.option("-d", "--where", help="Data ID expression: \"visit > 5 AND band = 'r'\".")
@click.option("-c", "--config", "overrides", multiple=True, metavar="LABEL:FIELD=VALUE", help="Config override.")
@click.option("-j", "--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--resume", is_flag=True, help="Finish the latest run of the output.")
@AS_JSON
def run(
    pipeline: str, repo: Path, inputs: tuple[str, ...], output: str | None, where: str | None,
    overrides: tuple[str, ...], workers: int, resume: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run PIPELINE: calib, drp, ap, or a YAML file; PIPELINE#label,label runs some of its tasks."""
    from etendue.errors import EtendueError
    from etendue.middleware.executor import run_pipeline
    from etendue.middleware.pipeline import load_pipeline
    from etendue.middleware.repository import Repository

    home = Repository.open(repo)
    loaded = load_pipeline(pipeline, overrides)
    name = Path(pipeline.partition("#")[0]).stem
    report = run_pipeline(
        home, loaded, inputs=inputs or _inputs(home, name), output=output or f"{home.camera().name}/{_output(name)}",
        where=where, workers=workers, resume=resume, progress=not as_json,
    )  # fmt: skip
    if as_json:
        print_json(report.to_dict())
    else:
        problems = [o for o in report.outcomes if o.status in ("defeated", "failed")]
        print_lines([f"{o.label} {o.status} for {_data_id(o.data_id)}: {o.message}" for o in problems])
        print_lines([report.table()])
    if not report.ok:
        raise EtendueError(f"{len(report.failed)} quanta failed; repair the cause and run again with --resume")


def _output(pipeline: str) -> str:
    return _OUTPUTS.get(pipeline, pipeline)


def _inputs(home: "Repository", pipeline: str) -> list[str]:
    camera = home.camera().name
    wanted = [f"{camera}/{_NEEDS[pipeline]}"] if pipeline in _NEEDS else []
    wanted += [f"{camera}/defaults", "refcats"]
    return [collection for collection in wanted if home.has_collection(collection)]


def _data_id(data_id: dict[str, int | str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in data_id.items())
