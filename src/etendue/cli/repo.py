"""Commands that look after repositories: check and repair, prune, copy, back up."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etendue.cli.output import print_json, print_lines, print_table
from etendue.cli.repository import AS_JSON, PLACES, REPO, places_of

if TYPE_CHECKING:
    from etendue.middleware.upkeep.check import CheckReport
    from etendue.middleware.upkeep.copying import CopyReport
    from etendue.middleware.upkeep.prune import PrunePlan

_MOST_ROWS = 30
_FOLDER = click.Path(path_type=Path)
_WORKERS = click.option("-j", "--workers", type=click.IntRange(1), default=2, show_default=True,
                        help="Threads that read, processes that open.")  # fmt: skip


@click.group("repo", short_help="Check, repair, prune, copy and back up repositories.")
def repo_group() -> None:
    """Look after repositories."""


def _chosen(command: Any) -> Any:
    """Add the options that choose datasets."""
    for option in (
        click.option("-w", "--where", default="", help="Data ID expression, as \"visit > 5 AND band = 'r'\"."),
        click.option("-t", "--type", "types", multiple=True, help="Dataset type, repeatable; default all."),
        click.option("-c", "--collection", "collections", multiple=True,
                     help="Collection, chain or pattern, repeatable; default everything."),
    ):  # fmt: skip
        command = option(command)
    return command


@repo_group.command(short_help="Say what REPO is: versions, database, places of files, sizes.")
@REPO
@AS_JSON
def info(repo: Path, as_json: bool) -> None:
    """Say what REPO is: layout and versions, database, places of files, and how much its collections hold."""
    from etendue.middleware.repository import Repository
    from etendue.middleware.upkeep.description import describe

    facts = describe(Repository.open(repo, writeable=False))
    if as_json:
        print_json(facts)
        return
    print_lines([f"{name}: {value}" for name, value in facts.items() if name != "collections"])
    print_table(facts["collections"], title="what its runs hold")


@repo_group.command(short_help="Check every dataset; find files that belong to none; repair.")
@REPO
@click.option(
    "--depth",
    type=click.Choice(["exists", "checksum", "open"]),
    default="checksum",
    show_default=True,
    help="Look at names and sizes only; also at checksums; also open every dataset.",
)
@click.option("--repair", is_flag=True, help="Replace what is missing or damaged, from mirrors and replicas.")
@click.option("--replica", "replicas", multiple=True, type=_FOLDER, help="Repository with the same datasets.")
@click.option("--record", is_flag=True, help="Record checksums of files that have none and could be opened.")
@_WORKERS
@AS_JSON
def check(
    repo: Path, depth: Any, repair: bool, replicas: tuple[Path, ...], record: bool, workers: int, as_json: bool
) -> None:  # fmt: skip
    """Check that every dataset of REPO exists, has the checksum with which it was written, and can be opened.

    Files without a recorded checksum are opened instead. The exit status is 1 if anything is wrong, or if there are
    files that belong to no dataset (written more than an hour ago, and not by a run that can be resumed).
    """
    from etendue.errors import InputError
    from etendue.middleware.repository import Repository
    from etendue.middleware.upkeep.check import check as check_repository
    from etendue.middleware.upkeep.recording import record_checksums
    from etendue.middleware.upkeep.repair import repair as repair_repository

    if replicas and not repair:
        raise InputError("a replica is for repairs only", value=str(replicas[0]), remedy="give --repair as well")
    for replica in replicas:  # a wrong one is told even if there is nothing to repair
        Repository.open(replica, writeable=False).butler.close()
    home = Repository.open(repo, writeable=repair or record)
    report = check_repository(home, depth=depth, workers=workers)
    facts: dict[str, Any] = {}
    if repair and report.problems:
        repairs = repair_repository(home, report, replicas=replicas)
        facts["repairs"] = [r.problem.row() | {"file": r.problem.path, "from": r.source, "reason": r.reason}
                            for r in repairs]  # fmt: skip
        report = check_repository(home, depth=depth, workers=workers)
    if record:
        facts["recorded"] = record_checksums(home, report.unrecorded)
    if as_json:
        print_json(report.to_dict() | facts)
    else:
        _print_check(report, facts)
    if not report.ok:
        raise InputError("is not as it must be", source=repo, value=_verdict(report), remedy=_remedy(report))


def _print_check(report: "CheckReport", facts: dict[str, Any]) -> None:
    mended = [{"repaired": row["what"], "from": row["from"]} for row in facts.get("repairs", ()) if row["from"]]
    failed = [{"not repaired": row["what"], "because": row["reason"]}
              for row in facts.get("repairs", ()) if not row["from"]]  # fmt: skip
    rows = [problem.row() for problem in report.problems]
    loose = [{"orphan": orphan.path, "bytes": orphan.size, "what": orphan.kind} for orphan in report.orphans]
    for shown in (mended, failed, rows, loose):
        if shown:
            print_table(shown[:_MOST_ROWS])
        if len(shown) > _MOST_ROWS:
            print_lines([f"... and {len(shown) - _MOST_ROWS} more (--json has all)"])
    if report.pending:
        print_lines([f"{report.pending} files of unfinished runs: 'etendue run' with --resume registers them"])
    if report.without_file:
        print_lines([f"{report.without_file} datasets without a file (deleted on purpose)"])
    if facts.get("recorded"):
        print_lines([f"recorded {facts['recorded']} checksums"])
    elif report.unrecorded:
        print_lines([f"{len(report.unrecorded)} files have no checksum; --record records what they have now"])
    print_lines([report.summary()])


def _verdict(report: "CheckReport") -> str:
    return f"{len(report.problems)} problems, {len(report.orphans)} orphans"


def _remedy(report: "CheckReport") -> str:
    if report.problems:
        return "'etendue repo check --repair' with a --replica, or make again what is damaged"
    return "'etendue repo prune --orphans' deletes them"


@repo_group.command(short_help="Delete what REPO does not need any more.")
@REPO
@click.option("--superseded", is_flag=True, help="Products that later runs of the same output replaced.")
@click.option("--scratch", multiple=True, metavar="COLLECTION", help="All in these collections (or patterns).")
@click.option("--orphans", is_flag=True, help="Files that belong to no dataset.")
@click.option("-t", "--type", "types", multiple=True, help="Only datasets of this type, repeatable.")
@click.option(
    "--older-than",
    "older",
    type=click.FloatRange(0.0),
    default=0.0,
    metavar="DAYS",
    help="Only what is older than this.",
)
@click.option("--delete", is_flag=True, help="Do it; without, it is only said what would go.")
@AS_JSON
def prune(
    repo: Path, superseded: bool, scratch: tuple[str, ...], orphans: bool, types: tuple[str, ...], older: float,
    delete: bool, as_json: bool,
) -> None:  # fmt: skip
    """Say what of REPO can go and how many bytes that is; with --delete, delete it.

    Raw frames, cameras, skymaps, reference catalogs, certified and tagged datasets, and whatever is found first in a
    chain stay. Without a policy, superseded products and orphans are listed.
    """
    from etendue.errors import InputError
    from etendue.middleware.repository import Repository
    from etendue.middleware.upkeep.prune import PrunePolicy, plan_prune
    from etendue.middleware.upkeep.prune import prune as prune_repository

    named = superseded or bool(scratch) or orphans
    if delete and not named:
        raise InputError("nothing is named", value="--delete", remedy="give --superseded, --scratch or --orphans")
    if types and not (superseded or scratch):
        raise InputError("types are of --superseded and --scratch", value=types[0], remedy="give one of them")
    home = Repository.open(repo, writeable=delete)
    policy = PrunePolicy(superseded or not named, scratch, types, older, orphans or not named)
    plan = plan_prune(home, policy)
    if as_json:
        print_json({"deleted": delete, "bytes": plan.bytes, "kept": plan.kept, "what": plan.rows()})
    else:
        _print_plan(plan)
    if delete:
        gone = prune_repository(home, plan)
        if not as_json:
            click.echo(f"deleted {gone} datasets and files, {_megabytes(plan.bytes)}")
    elif plan.rows() and not as_json:
        click.echo(f"{_megabytes(plan.bytes)} would go; nothing was deleted: add --delete")


def _print_plan(plan: "PrunePlan") -> None:
    rows = plan.rows()
    print_table(rows[:_MOST_ROWS], title="what can go")
    if len(rows) > _MOST_ROWS:
        print_lines([f"... and {len(rows) - _MOST_ROWS} more (--json has all)"])
    if plan.kept:
        print_lines([f"{plan.kept} datasets of scratch collections stay: they are certified or tagged"])


@repo_group.command(short_help="Copy datasets from SOURCE to TARGET.")
@click.argument("source", type=_FOLDER)
@click.argument("target", type=_FOLDER)
@_chosen
@click.option(
    "--transfer",
    "mode",
    type=click.Choice(["copy", "hardlink", "symlink", "relsymlink"]),
    default="copy",
    show_default=True,
    help="How files get there.",
)
@AS_JSON
def transfer(
    source: Path, target: Path, collections: tuple[str, ...], types: tuple[str, ...], where: str, mode: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Copy datasets from repository SOURCE to repository TARGET, with collections, validity ranges and cameras.

    Everything by default. Doing it again copies what is new.
    """
    from etendue.middleware.repository import Repository
    from etendue.middleware.upkeep.copying import transfer as transfer_datasets

    report = transfer_datasets(
        Repository.open(source, writeable=False), Repository.open(target), collections=list(collections) or None,
        types=types, where=where, transfer=mode,
    )  # fmt: skip
    _print_copy(report, as_json)


@repo_group.command(short_help="Copy datasets of REPO into FOLDER.")
@REPO
@click.argument("folder", type=_FOLDER)
@_chosen
@AS_JSON
def export(
    repo: Path, folder: Path, collections: tuple[str, ...], types: tuple[str, ...], where: str, as_json: bool
) -> None:  # fmt: skip
    """Copy datasets of REPO into the new FOLDER, for "etendue repo import" or Rubin's "butler import"."""
    from etendue.middleware.repository import Repository
    from etendue.middleware.upkeep.exporting import export as export_datasets

    home = Repository.open(repo, writeable=False)
    report = export_datasets(home, folder, collections=list(collections) or None, types=types, where=where)
    _print_copy(report, as_json)


@repo_group.command("import", short_help="Bring an exported FOLDER into REPO.")
@REPO
@click.argument("folder", type=_FOLDER)
@click.option(
    "--transfer",
    "mode",
    type=click.Choice(["copy", "hardlink", "symlink", "direct"]),
    default="copy",
    show_default=True,
    help="How files get into the repository.",
)
@AS_JSON
def import_command(repo: Path, folder: Path, mode: str, as_json: bool) -> None:
    """Bring FOLDER, from "etendue repo export" or Rubin's Butler.export, into REPO. Doing it again adds nothing."""
    from etendue.middleware.repository import Repository
    from etendue.middleware.upkeep.exporting import import_

    _print_copy(import_(Repository.open(repo), folder, transfer=mode), as_json)


def _print_copy(report: "CopyReport", as_json: bool) -> None:
    if as_json:
        print_json({"datasets": report.datasets, "new": report.new, "without_file": report.without_file,
                    "collections": report.collections})  # fmt: skip
        return
    lost = f", {report.without_file} of them without a file" if report.without_file else ""
    click.echo(f"{report.new} new of {report.datasets} datasets{lost}, in {len(report.collections)} collections")


@repo_group.command(short_help="Write everything of REPO to one FILE.")
@REPO
@click.argument("file", type=_FOLDER)
@click.option(
    "--outside/--no-outside", default=True, show_default=True, help="Put in frames that were ingested where they were."
)
@click.option("--damaged", is_flag=True, help="Go on although files are missing or damaged.")
@AS_JSON
def backup(repo: Path, file: Path, outside: bool, damaged: bool, as_json: bool) -> None:
    """Write everything of REPO to FILE (NAME.tar, NAME.tar.gz...), also while others write to REPO.

    FILE is a plain tar of a repository with SQLite and local files, whatever REPO itself uses.
    """
    from etendue.middleware.repository import Repository
    from etendue.middleware.upkeep.backup import backup as back_up

    report = back_up(Repository.open(repo, writeable=False), file, outside=outside, damaged=damaged)
    if as_json:
        print_json({"datasets": report.datasets, "files": report.files, "bytes": report.bytes,
                    "damaged": report.damaged, "wall_s": report.wall_s})  # fmt: skip
        return
    print_lines([f"missing or damaged: {path}" for path in report.damaged])
    click.echo(f"{report.datasets} datasets, {report.files} files, {_megabytes(report.bytes)} in {report.wall_s:.1f} s")


@repo_group.command(short_help="Make the repository REPO of a backup.")
@click.argument("file", type=_FOLDER)
@click.argument("repo", type=_FOLDER, required=False)
@PLACES
@click.option("--verify", is_flag=True, help="Only read FILE and compare all of it with what was written.")
def restore(file: Path, repo: Path | None, verify: bool, **places: Any) -> None:
    """Make the repository REPO (a new folder) of FILE, which "etendue repo backup" wrote."""
    from etendue.errors import InputError
    from etendue.middleware.upkeep.backup import restore as restore_repository
    from etendue.middleware.upkeep.backup import verify as verify_backup

    if verify:
        report = verify_backup(file)
        click.echo(f"{report.datasets} datasets, {report.files} files: all as written")
        return
    if repo is None:
        raise InputError("no folder is named", source=file, remedy="give the folder of the new repository")
    made = restore_repository(file, repo, places_of(**places))
    click.echo(f"restored {made.path}; 'etendue repo check {repo}' looks at every file")


@repo_group.command(short_help="Let REPO, which plain Butler code made, hold etendue's products.")
@click.argument("repo", type=_FOLDER)
def adopt(repo: Path) -> None:
    """Add etendue's formats to the configuration of REPO; datasets and what Rubin's tools do with them stay."""
    from etendue.middleware.adoption import adopt as adopt_repository

    kept = adopt_repository(repo)
    click.echo(f"{repo} can hold etendue's products; its configuration as it was: {kept}")


def _megabytes(size: int) -> str:
    return f"{size} bytes ({size / 1e6:.1f} MB)"
