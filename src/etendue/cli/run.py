"""Commands that run a pipeline and publish what it made."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etendue.cli.default_group import DefaultGroup
from etendue.cli.output import print_json, print_lines
from etendue.cli.repository import AS_JSON, REPO, require_collection
from etendue.cli.run_view import log, status, why

if TYPE_CHECKING:
    from etendue.middleware.execution.limits import Limits
    from etendue.middleware.overrides import OverrideChange
    from etendue.middleware.repository import Repository
    from etendue.middleware.run_report import RunReport
    from etendue.middleware.sites.site import Site

_NEEDS = {"ap": "drp", "lightcurve": "drp"}  # shipped pipelines that read the products of another one
_OUTPUTS = {"calib": "calibrations"}  # as quickstart names them
_PUBLISHED = ("drp", "ap", "series", "lightcurve")


@click.group(cls=DefaultGroup, short_help="Run PIPELINE: calib, drp, ap, series... or a YAML file; look at runs.")
def run() -> None:
    """Run pipelines and look at runs."""


for _command in (status, log, why):
    run.add_command(_command)


@run.main_command()
@click.argument("pipeline")
@click.option("-b", "--repo", required=True, type=click.Path(path_type=Path), help="The repository.")
@click.option("-i", "--input", "inputs", multiple=True, help="Collection to read, repeatable; default CAMERA/defaults, "
              "the reference catalogs, and for ap CAMERA/drp.")  # fmt: skip
@click.option("-o", "--output", help="Chain of the runs; default CAMERA/PIPELINE.")
@click.option("-d", "--where", help="Data ID expression: \"visit > 5 AND band = 'r'\".")
@click.option("--from", "first", metavar="TASK", help="Run only this task and what is downstream of it.")
@click.option("--to", "last", metavar="TASK", help="Run only this task and what is upstream of it.")
@click.option("-c", "--config", "overrides", multiple=True, metavar="LABEL:FIELD=VALUE", help="Config override.")
@click.option("-j", "--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--site", metavar="SITE", help="YAML file of a cluster whose jobs run the quanta, or 'local'; by Parsl.")
@click.option("--resume", is_flag=True, help="Finish the latest run of the output, with its inputs and expression.")
@click.option("--all", "everything", is_flag=True, help="Run everything, also what did not change.")
@click.option("--skip-existing", is_flag=True, help="Run only what was never finished, whatever changed since.")
@click.option("--clobber", is_flag=True, help="Delete what earlier runs made of what runs: afterwards, if nothing "
              "failed; with --resume at once.")  # fmt: skip
@click.option("--max-failures", type=click.IntRange(1), metavar="N", help="Begin nothing more after N failed quanta.")
@click.option("--retries", type=click.IntRange(0), default=1, show_default=True,
              help="Further attempts where a worker died, memory ran out, or a server did not answer.")  # fmt: skip
@click.option(
    "--time-limit", "time_limits", multiple=True, metavar="[TASK=]S", help="Stop a quantum that takes longer."
)
@click.option("--memory-limit", "memory_limits", multiple=True, metavar="[TASK=]MIB",
              help="Stop a quantum whose process needs more memory.")  # fmt: skip
@click.option("--memory", type=click.FloatRange(1.0), metavar="MIB",
              help="Begin quanta only while all fit into this; default 9/10 of what is free.")  # fmt: skip
@click.option("--cache", type=click.FloatRange(0.0), default=256.0, show_default=True, metavar="MIB",
              help="Inputs that a worker keeps for its next quanta.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only tell what would run, and why.")
@click.option("--no-publish", is_flag=True, help="Send nothing to the archive and the alert log.")
@AS_JSON
def run_pipeline_command(
    pipeline: str, repo: Path, inputs: tuple[str, ...], output: str | None, where: str | None, first: str | None,
    last: str | None, overrides: tuple[str, ...], as_json: bool, dry_run: bool, no_publish: bool, **how: Any,
) -> None:  # fmt: skip
    """Run PIPELINE: calib, drp, ap, or a YAML file; PIPELINE#label,label runs some of its tasks or subsets.

    Only what changed since the last run runs again (configuration, inputs, overrides.yaml), and what is downstream
    of it; a table tells why. --all runs everything, --skip-existing only what was never finished.

    What drp and ap make in their default output is published: tables to the archive, alerts to the alert log,
    where batches that differ from those of an earlier run supersede them. "etendue publish" does it for others.

    Ctrl-C lets what runs come to its end; a second one stops at once. Nothing that was finished is lost: --resume
    goes on. A pipeline whose file is called like a command below is given as ./status.
    """
    from etendue.app.quickstart import publish_products
    from etendue.errors import EtendueError
    from etendue.middleware.changes import plan_run
    from etendue.middleware.execution.executor import run_pipeline
    from etendue.middleware.pipeline import load_pipeline
    from etendue.middleware.repository import Repository
    from etendue.middleware.runs import latest

    limits = _limits(how)
    _refuse_contradictions(how)
    home = Repository.open(repo)
    loaded = load_pipeline(pipeline, overrides, first=first, last=last)
    name = Path(pipeline.partition("#")[0]).stem
    for collection in inputs:
        require_collection(home, collection)
    if not inputs and name in _NEEDS:
        _require_products(home, name)
    chain = output or f"{home.camera().name}/{_OUTPUTS.get(name, name)}"
    if how["resume"] and (journal := latest(home.runs_folder, chain)) is not None:
        before = journal.description()
        inputs, where = inputs or tuple(before["inputs"]), where or before["where"]
    told = [f"override: {c.file}: {c.before} -> {c.after}" for c in _apply_overrides(home)]
    inputs = inputs or tuple(default_inputs(home, name))
    reuse: dict[str, Any] = {"reuse": not how["everything"], "skip_existing": how["skip_existing"]}
    if dry_run:
        changes = plan_run(
            home, loaded, f"{chain}/dry-run", inputs=inputs, output=chain, where=where or "", **reuse
        ).changes
        print_json({"changes": changes.rows()}) if as_json else print_lines([*told, changes.table()])
        return
    report = run_pipeline(
        home, loaded, inputs=inputs, output=chain, where=where, workers=how["workers"], resume=how["resume"],
        progress=not as_json, limits=limits, clobber=how["clobber"], site=_site(how["site"]),
        tell=None if as_json else lambda changes: print_lines([*told, changes.table()]), **reuse,
    )  # fmt: skip
    published = publish_products(home, chain) if name in _PUBLISHED and not (output or no_publish) else {}
    if as_json:
        print_json(report.to_dict() | {"published": published})
    else:
        print_lines([*_problems(report), report.table(), *_removed(report), *_told(published)])
    if not report.ok:
        stopped = f"{report.stopped}, {report.unrun} quanta are left" if report.stopped else ""
        raise EtendueError(
            f"{stopped or f'{len(report.failed)} quanta failed'}; 'etendue run why -b {repo}' tells more; repair the "
            "cause and run again with --resume"
        )


def _limits(how: dict[str, Any]) -> "Limits":
    from etendue.middleware.execution.limits import Limits

    time_s, task_time_s = _by_task(how["time_limits"])
    memory_mib, task_memory_mib = _by_task(how["memory_limits"])
    return Limits(
        how["retries"], time_s, memory_mib, task_time_s, task_memory_mib, total_memory_mib=how["memory"],
        max_failures=how["max_failures"], cache_mib=how["cache"],
    )  # fmt: skip


def _by_task(texts: tuple[str, ...]) -> tuple[float | None, dict[str, float]]:
    """Return the limit of all tasks and those of single ones."""
    general, single = None, {}
    for text in texts:
        label, equals, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise click.BadParameter(f"{text!r} is no number, and no TASK=NUMBER") from None
        if equals:
            single[label] = value
        else:
            general = value
    return general, single


def _refuse_contradictions(how: dict[str, Any]) -> None:
    if how["everything"] and how["skip_existing"]:
        raise click.UsageError("--all and --skip-existing contradict each other")


def _problems(report: "RunReport") -> list[str]:
    """Return one line per quantum with a problem, those of one task and cause together."""
    from etendue.middleware.data_ids import data_id_text

    lines: dict[tuple[str, str, str], list[str]] = {}
    for o in report.outcomes:
        if o.status in ("defeated", "failed"):
            lines.setdefault((o.label, o.status, o.message), []).append(data_id_text(o.data_id))
    return [
        f"{label} {status} for {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {message}"
        for (label, status, message), names in lines.items()
    ]


def _removed(report: "RunReport") -> list[str]:
    return [f"deleted {report.removed} datasets that this run replaced"] if report.removed else []


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


def _site(name: str | None) -> "Site | None":
    from etendue.middleware.sites.site import Site

    return None if name is None else Site.read(name)


def _apply_overrides(home: "Repository") -> list["OverrideChange"]:
    ours = [name for name in home.cameras() if (home.cameras_folder / f"{name}.yaml").is_file()]  # others are Rubin's
    return [change for name in ours for change in home.apply_overrides(name)]


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


def default_inputs(home: "Repository", pipeline: str) -> list[str]:
    """Return what a pipeline reads unless the user says otherwise.

    Parameters
    ----------
    home : Repository
        The repository.
    pipeline : str
        Shipped name.

    Returns
    -------
    list of str
        Collections that exist.
    """
    camera = home.camera().name
    wanted = [f"{camera}/{_NEEDS[pipeline]}"] if pipeline in _NEEDS else []
    wanted += [f"{camera}/defaults", "refcats"]
    return [collection for collection in wanted if home.has_collection(collection)]
