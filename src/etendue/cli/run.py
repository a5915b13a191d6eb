"""Commands that run a pipeline and publish what it made."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from etendue.cli.output import print_json, print_lines
from etendue.cli.repository import AS_JSON, REPO, require_collection

if TYPE_CHECKING:
    from etendue.middleware.overrides import OverrideChange
    from etendue.middleware.repository import Repository

_NEEDS = {"ap": "drp", "lightcurve": "drp"}  # shipped pipelines that read the products of another one
_OUTPUTS = {"calib": "calibrations"}  # as quickstart names them
_PUBLISHED = ("drp", "ap", "series", "lightcurve")


@click.command(short_help="Run PIPELINE: calib, drp, ap, series, lightcurve, or a YAML file.")
@click.argument("pipeline")
@click.option("-b", "--repo", required=True, type=click.Path(path_type=Path), help="The repository.")
@click.option("-i", "--input", "inputs", multiple=True, help="Collection to read, repeatable; default CAMERA/defaults, "
              "the reference catalogs, and for ap CAMERA/drp.")  # fmt: skip
@click.option("-o", "--output", help="Chain of the runs; default CAMERA/PIPELINE.")
@click.option("-d", "--where", help="Data ID expression: \"visit > 5 AND band = 'r'\".")
@click.option("-c", "--config", "overrides", multiple=True, metavar="LABEL:FIELD=VALUE", help="Config override.")
@click.option("-j", "--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--resume", is_flag=True, help="Finish the latest run of the output, with its inputs and expression.")
@click.option(
    "--retries",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Further attempts at a quantum whose worker was killed.",
)
@click.option("--time-limit", type=float, metavar="S", help="Stop a quantum that takes longer.")
@click.option("--memory-limit", type=float, metavar="MIB", help="Stop a quantum whose process needs more memory.")
@click.option("--all", "everything", is_flag=True, help="Run everything, also what did not change.")
@click.option("--dry-run", is_flag=True, help="Only tell what would run, and why.")
@click.option("--no-publish", is_flag=True, help="Send nothing to the archive and the alert log.")
@AS_JSON
def run(
    pipeline: str, repo: Path, inputs: tuple[str, ...], output: str | None, where: str | None,
    overrides: tuple[str, ...], workers: int, resume: bool, retries: int, time_limit: float | None,
    memory_limit: float | None, everything: bool, dry_run: bool, no_publish: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run PIPELINE: calib, drp, ap, or a YAML file; PIPELINE#label,label runs some of its tasks.

    Only what changed since the last run runs again (configuration, inputs, overrides.yaml), and what is downstream
    of it; a table tells why. --all runs everything.

    What drp and ap make in their default output is published: tables to the archive, alerts to the alert log,
    where batches that differ from those of an earlier run supersede them. "etendue publish" does it for others.
    """
    from etendue.app.quickstart import publish_products
    from etendue.errors import EtendueError
    from etendue.middleware.changes import plan_run
    from etendue.middleware.execution.executor import run_pipeline
    from etendue.middleware.execution.limits import Limits
    from etendue.middleware.pipeline import load_pipeline
    from etendue.middleware.repository import Repository
    from etendue.middleware.runs import latest

    limits = Limits(retries, time_limit, memory_limit)
    home = Repository.open(repo)
    loaded = load_pipeline(pipeline, overrides)
    name = Path(pipeline.partition("#")[0]).stem
    for collection in inputs:
        require_collection(home, collection)
    if not inputs and name in _NEEDS:
        _require_products(home, name)
    chain = output or f"{home.camera().name}/{_OUTPUTS.get(name, name)}"
    if resume and (journal := latest(home.runs_folder, chain)) is not None:
        before = journal.description()
        inputs, where = inputs or tuple(before["inputs"]), where or before["where"]
    told = [f"override: {c.file}: {c.before} -> {c.after}" for c in _apply_overrides(home)]
    inputs = inputs or tuple(_inputs(home, name))
    if dry_run:
        changes = plan_run(home, loaded, f"{chain}/dry-run", inputs=inputs, output=chain, where=where or "",
                           reuse=not everything).changes  # fmt: skip
        print_json({"changes": changes.rows()}) if as_json else print_lines([*told, changes.table()])
        return
    report = run_pipeline(
        home, loaded, inputs=inputs, output=chain, where=where, workers=workers, resume=resume,
        progress=not as_json, limits=limits, reuse=not everything,
        tell=None if as_json else lambda changes: print_lines([*told, changes.table()]),
    )  # fmt: skip
    published = publish_products(home, chain) if name in _PUBLISHED and not (output or no_publish) else {}
    if as_json:
        print_json(report.to_dict() | {"published": published})
    else:
        problems = [o for o in report.outcomes if o.status in ("defeated", "failed")]
        print_lines([f"{o.label} {o.status} for {_data_id(o.data_id)}: {o.message}" for o in problems])
        print_lines([report.table(), *_told(published)])
    if not report.ok:
        raise EtendueError(f"{len(report.failed)} quanta failed; repair the cause and run again with --resume")


@click.command(short_help="Send tables to the archive and alerts to the alert log.")
@REPO
@click.argument("collection")
@AS_JSON
def publish(repo: Path, collection: str, as_json: bool) -> None:
    """Send the tables in COLLECTION of REPO to the archive, and its alerts to the alert log.

    Publishing the same again changes nothing. Tables replace those published before; alerts that differ supersede
    those sent before, which stay in the log (see "etendue alerts batches").
    """
    from etendue.app.quickstart import publish_products
    from etendue.middleware.repository import Repository

    home = Repository.open(repo)
    require_collection(home, collection)
    published = publish_products(home, collection)
    if as_json:
        print_json({"collection": collection, "published": published})
    else:
        print_lines(_told(published))


def _apply_overrides(home: "Repository") -> list["OverrideChange"]:
    return [change for camera in home.cameras() for change in home.apply_overrides(camera)]


def _told(published: dict[str, int]) -> list[str]:
    if not published:
        return []
    return [f"published {published['archive']} new or changed tables and {published['alerts']} batches of alerts"]


def _require_products(home: "Repository", pipeline: str) -> None:
    from etendue.errors import InputError

    needed = _NEEDS[pipeline]
    if not home.has_collection(f"{home.camera().name}/{needed}"):
        raise InputError(f"the pipeline {pipeline} reads what {needed} makes, which is not there", source=home.path,
                         remedy=f"run 'etendue run {needed}' first, or name its collection with -i")  # fmt: skip


def _inputs(home: "Repository", pipeline: str) -> list[str]:
    camera = home.camera().name
    wanted = [f"{camera}/{_NEEDS[pipeline]}"] if pipeline in _NEEDS else []
    wanted += [f"{camera}/defaults", "refcats"]
    return [collection for collection in wanted if home.has_collection(collection)]


def _data_id(data_id: dict[str, int | str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in data_id.items())
