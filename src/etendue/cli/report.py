"""Command that writes the report."""

from pathlib import Path

import click

from etendue.cli.output import print_json
from etendue.cli.repository import AS_JSON, REPO, require_collection


@click.command(short_help="Write one HTML page about everything in REPO.")
@REPO
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default REPO/report.html.")
@click.option("-i", "--input", "collections", multiple=True, help="Collection to report on; default all runs.")
@AS_JSON
def report(repo: Path, output: Path | None, collections: tuple[str, ...], as_json: bool) -> None:
    """Write one HTML page about everything in REPO, or print its numbers as JSON."""
    from etendue.app.report.report import report_numbers, write_report
    from etendue.middleware.repository import Repository

    home = Repository.open(repo, writeable=False)
    for collection in collections:
        require_collection(home, collection)
    if as_json:
        print_json(report_numbers(home, collections=collections))
    if output is not None or not as_json:
        page = write_report(home, output or home.path / "report.html", collections=collections)
        click.echo(f"report: {page}", err=as_json)
