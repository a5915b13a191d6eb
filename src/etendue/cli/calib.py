"""Commands about calibrations: what is valid when, and curated versions."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etendue.cli.output import print_json, print_lines, print_table
from etendue.cli.repository import AS_JSON, REPO, require_collection

if TYPE_CHECKING:
    from etendue.camera.camera import Camera

_CAMERA = click.option("--camera", help="Registered camera; needed only if there are several.")
_TYPES = click.option("-t", "--type", "types", multiple=True, help="Dataset type, repeatable; default all.")
_PREFER = click.option(
    "--prefer", type=click.Choice(["curated", "measured"]),
    help="Which goes before the other where both are valid; default as it was, at first curated.",
)  # fmt: skip
_BEGIN = click.option("--begin", metavar="TIME", help="From this time on: MJD, ISO date (both TAI) or night yyyymmdd.")
_END = click.option("--end", metavar="TIME", help="Until this time; that of a night is its beginning.")


@click.group(short_help="Say from when to when calibrations are valid.")
def calib() -> None:
    """Say from when to when calibrations are valid, and keep curated ones in versions."""


def _time(text: str | None, camera: "Camera") -> float | None:
    from etendue.middleware.moments import moment

    return None if text is None else moment(text, camera)


@calib.command(short_help="Make the calibrations of a run valid for later runs.")
@REPO
@click.argument("collection")
@click.option("-t", "--type", "types", multiple=True, help="Dataset type, repeatable; default all.")
@_CAMERA
@_BEGIN
@_END
@click.option("--replace", is_flag=True, help="Take the validity away from earlier calibrations.")
@click.option("--failed", "failed_too", is_flag=True, help="Also what failed its verification.")
def certify(
    repo: Path, collection: str, types: tuple[str, ...], camera: str | None, begin: str | None, end: str | None,
    replace: bool, failed_too: bool,
) -> None:  # fmt: skip
    """Make the calibrations in COLLECTION of REPO valid for later runs, for all times or from --begin to --end.

    What failed its verification is left out; see 'etendue calib verify'.
    """
    from etendue.errors import InputError
    from etendue.middleware.changes import own_collections
    from etendue.middleware.curated.versions import preference
    from etendue.middleware.repository import Repository
    from etendue.tasks.readout.calibrations import CALIBRATION_TYPES

    home = Repository.open(repo)
    require_collection(home, collection)
    chosen, names = home.camera(camera), types or CALIBRATION_TYPES
    own = own_collections(home, collection) or collection  # not what the run read
    count = home.certify(names, run=own, camera=chosen.name, begin_mjd_tai=_time(begin, chosen),
                         end_mjd_tai=_time(end, chosen), replace=replace,
                         failed=() if failed_too else None)  # fmt: skip
    if not count:
        raise InputError(f"holds no {', '.join(names)} that passed", source=collection,
                         remedy="run the pipeline calib, and see 'etendue calib verify'")  # fmt: skip
    click.echo(f"certified {count} datasets")
    if preference(home, chosen.name) == "curated":
        click.echo("where a curated one is valid as well it is taken; see 'etendue calib list --at TIME'")


@calib.command(short_help="Show what the products of a run look like, and what failed.")
@REPO
@click.argument("collection")
@click.option("--failed", "failed_only", is_flag=True, help="Only what failed.")
@AS_JSON
def verify(repo: Path, collection: str, failed_only: bool, as_json: bool) -> None:
    """Show the verdicts about the calibrations in COLLECTION of REPO: each number and its limits."""
    from etendue.errors import InputError
    from etendue.middleware.repository import Repository
    from etendue.middleware.verification import judged

    home = Repository.open(repo, writeable=False)
    require_collection(home, collection)
    found = judged(home.butler, collection)
    if not found:
        raise InputError("holds no verdicts", source=collection, remedy="run the pipeline calib first")
    rows = [
        {"detector": one.detector} | verdict
        for one in found
        for verdict in one.verdicts
        if not (failed_only and verdict["passed"])
    ]
    if as_json:
        print_json(rows)
        return
    print_table([_verdict_row(row) for row in rows])
    failed = sum(not row["passed"] for row in rows)
    click.echo(f"{failed} of {sum(len(one.verdicts) for one in found)} numbers failed")


def _verdict_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row for people."""
    low, high = ("-" if row[name] is None else f"{row[name]:.3g}" for name in ("low", "high"))
    return {
        "detector": row["detector"], "product": row["product"], "of": row["where"], "what": row["what"],
        "value": "none" if row["value"] is None else f"{row['value']:.4g}", "limits": f"{low} to {high}",
        "verdict": "ok" if row["passed"] else "FAILED",
    }  # fmt: skip


@calib.command(short_help="Write one HTML page about the calibrations of a run.")
@REPO
@click.argument("collection")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
              help="Default REPO/calibrations.html.")  # fmt: skip
def report(repo: Path, collection: str, output: Path | None) -> None:
    """Write one HTML page about the calibrations in COLLECTION of REPO: failures first, then numbers and pictures."""
    from etendue.app.calibration_report.report import write_calibration_report
    from etendue.middleware.repository import Repository

    home = Repository.open(repo, writeable=False)
    require_collection(home, collection)
    click.echo(f"report: {write_calibration_report(home, collection, output or home.path / 'calibrations.html')}")


@calib.command(short_help="End the validity of calibrations over a stretch of time.")
@REPO
@click.option("-t", "--type", "types", multiple=True, required=True, help="Dataset type, repeatable.")
@click.option("-d", "--detector", "detectors", multiple=True, help="Only of this detector, by name or number.")
@click.option("--filter", "filters", multiple=True, help="Only of this physical filter.")
@_CAMERA
@_BEGIN
@_END
@click.option("--collection", help="CALIBRATION collection; default that of 'calib certify'.")
def decertify(
    repo: Path, types: tuple[str, ...], detectors: tuple[str, ...], filters: tuple[str, ...], camera: str | None,
    begin: str | None, end: str | None, collection: str | None,
) -> None:  # fmt: skip
    """End the validity of calibrations in REPO from --begin to --end; by default for all times.

    The calibrations themselves stay, and can be certified again.
    """
    from etendue.errors import InputError
    from etendue.middleware.calibrations import decertify as end_validity
    from etendue.middleware.curated.versions import refuse_version
    from etendue.middleware.repository import Repository

    home = Repository.open(repo)
    chosen = home.camera(camera)
    where = collection or home.calibration_collection(chosen.name)
    require_collection(home, where)
    refuse_version(chosen.name, where)
    with home.writing() as butler:
        count = end_validity(
            butler, types, collection=where, detectors=[chosen.detector(name).id for name in detectors],
            physical_filters=filters, begin_mjd_tai=_time(begin, chosen), end_mjd_tai=_time(end, chosen),
        )  # fmt: skip
    if not count:
        raise InputError(f"no such {' or '.join(types)} is valid then", source=where, remedy="see 'etendue calib list'")
    click.echo(f"ended or shortened {count} validity ranges")


@calib.command("list", short_help="List what is valid when.")
@REPO
@_TYPES
@_CAMERA
@click.option("--at", metavar="TIME", help="Only what pipelines take at this time.")
@click.option("--collection", help="CALIBRATION collection; default all that pipelines search.")
@AS_JSON
def list_calibrations(
    repo: Path, types: tuple[str, ...], camera: str | None, at: str | None, collection: str | None, as_json: bool
) -> None:
    """List the certified calibrations of REPO; of two that are valid at a time pipelines take the first."""
    from astropy.time import Time

    from etendue.middleware.repository import Repository
    from etendue.middleware.validity import in_force, validities

    home = Repository.open(repo, writeable=False)
    chosen = home.camera(camera)
    searched = None if collection is None else [collection]
    rows = list(validities(home, chosen.name, collections=searched, types=types))
    if at is not None:
        when = Time(_time(at, chosen), format="mjd", scale="tai")
        rows = [one.validity for found in in_force(rows).values() for one in found if one.span.contains(when)]
    if as_json:
        print_json([row.to_dict() for row in rows])
    else:
        print_table([_row(row, chosen) for row in rows], title=f"calibrations of {chosen.name}, times in TAI")


def _row(found: Any, camera: "Camera") -> dict[str, Any]:
    from etendue.middleware.moments import written
    from etendue.middleware.validity import limits

    begin, end = limits(found.span)
    return {
        "type": found.dataset_type, "detector": "" if found.detector is None else camera.detector(found.detector).name,
        "filter": found.physical_filter, "run": found.run.removeprefix(f"{camera.name}/").removeprefix("calib/"),
        "begin": written(begin) or "always", "end": written(end) or "open", "made": written(found.made)[:16],
    }  # fmt: skip


@calib.command(short_help="Show what is valid when, as text or picture.")
@REPO
@_TYPES
@_CAMERA
@_BEGIN
@_END
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="PNG to draw.")
@AS_JSON
def timeline(
    repo: Path, types: tuple[str, ...], camera: str | None, begin: str | None, end: str | None, output: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Show which calibrations pipelines take when, over the dates of the exposures in REPO, and where there is none."""
    from etendue.app.calibration_timeline import calibration_timeline
    from etendue.disk import whole_file
    from etendue.middleware.repository import Repository

    home = Repository.open(repo, writeable=False)
    chosen = home.camera(camera)
    result = calibration_timeline(home, chosen, types=types, begin=_time(begin, chosen), end=_time(end, chosen))
    if output is not None:
        with whole_file(output, "calibration-timeline") as part:
            part.write_bytes(result.plot())
    if as_json:
        print_json(result.to_dict())
    else:
        print_lines(result.lines())


@calib.command(short_help="Show bias levels, noises and gains from night to night.")
@REPO
@click.argument("collection")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Draw every amplifier into this PNG.")
@AS_JSON
def trend(repo: Path, collection: str, output: Path | None, as_json: bool) -> None:
    """Show what the pipeline calib_monitor found in COLLECTION of REPO, a row per night and detector."""
    from etendue.app.calibration_trend import calibration_trend
    from etendue.disk import whole_file
    from etendue.middleware.repository import Repository

    home = Repository.open(repo, writeable=False)
    require_collection(home, collection)
    found = calibration_trend(home, collection)
    if output is not None:
        with whole_file(output, "calibration-trend") as part:
            part.write_bytes(found.plot())
    if as_json:
        print_json(list(found.rows))
    else:
        print_table(found.table())


@calib.command(short_help="Load a folder of curated calibrations as a version.")
@REPO
@click.argument("folder", type=click.Path(path_type=Path))
@_CAMERA
@click.option("--label", help="Name of the version; default date of the latest file and a hash.")
@_PREFER
@AS_JSON
def curated(repo: Path, folder: Path, camera: str | None, label: str | None, prefer: Any, as_json: bool) -> None:
    """Load the dated files in FOLDER into REPO as a version of curated calibrations, and use it.

    Files are TYPE/DETECTOR/YYYYMMDDTHHMMSS.ecsv, .yaml or .fits; flats have a folder per filter. Each is valid until
    the next begins. The same folder again changes nothing.
    """
    from etendue.middleware.curated.versions import load_curated
    from etendue.middleware.repository import Repository

    version, new = load_curated(Repository.open(repo), folder, camera=camera, label=label, prefer=prefer)
    if as_json:
        print_json({"version": version.label, "collection": version.collection, "new": new, "files": version.files})
    else:
        click.echo(
            f"{'loaded' if new else 'nothing new:'} {len(version.files)} files; version {version.label} is in use"
        )


@calib.command(short_help="List the versions of curated calibrations.")
@REPO
@_CAMERA
@AS_JSON
def versions(repo: Path, camera: str | None, as_json: bool) -> None:
    """List the versions of curated calibrations in REPO, and the order in which pipelines search."""
    from etendue.middleware.curated.versions import versions as known_versions
    from etendue.middleware.repository import Repository
    from etendue.middleware.validity import calibration_collections

    home = Repository.open(repo, writeable=False)
    name = home.camera(camera).name
    found, searched = known_versions(home, name), calibration_collections(home, name)
    if as_json:
        rows = [{"version": v.label, "collection": v.collection, "files": v.files, "in_use": v.in_use} for v in found]
        print_json({"versions": rows, "searched": searched})
        return
    rows = [{"version": v.label, "files": len(v.files), "in use": "yes" if v.in_use else "", "hash": v.digest[:12],
             "collection": v.collection} for v in found]  # fmt: skip
    print_table(rows, title=f"curated calibrations of {name}")
    click.echo(f"searched in this order: {', '.join(searched) or 'nothing'}")


@calib.command(short_help="Let pipelines find another version.")
@REPO
@click.argument("version")
@_CAMERA
@_PREFER
def use(repo: Path, version: str, camera: str | None, prefer: Any) -> None:
    """Let pipelines of REPO find the curated calibrations of VERSION, or none of any ('none')."""
    from etendue.middleware.curated.versions import use_version
    from etendue.middleware.repository import Repository
    from etendue.middleware.validity import calibration_collections

    home = Repository.open(repo)
    use_version(home, None if version == "none" else version, camera=camera, prefer=prefer)
    click.echo(f"searched in this order: {', '.join(calibration_collections(home, home.camera(camera).name))}")


@calib.command("export-curated", short_help="Write certified calibrations as a folder.")
@REPO
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-t", "--type", "types", multiple=True, help="Dataset type, repeatable; default defects ptc.")
@_CAMERA
@click.option("--collection", help="CALIBRATION collection; default what pipelines take.")
def export(repo: Path, folder: Path, types: tuple[str, ...], camera: str | None, collection: str | None) -> None:
    """Write what is certified in REPO as dated files into FOLDER, for 'calib curated' and for version control."""
    from etendue.middleware.curated.exporting import TEXT_TYPES, export_curated
    from etendue.middleware.repository import Repository

    home = Repository.open(repo, writeable=False)
    written = export_curated(home, folder, camera=camera, types=types or TEXT_TYPES, collection=collection)
    click.echo(f"{len(written)} files in {folder}")
