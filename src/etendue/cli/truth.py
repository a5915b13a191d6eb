"""Commands about the truth of simulated surveys."""

from pathlib import Path

import click

from etendue.cli.output import print_json, print_table
from etendue.cli.repository import AS_JSON, REPO


@click.group()
def truth() -> None:
    """Compare results with what is true of a simulated survey."""


@truth.command(short_help="Join tables of REPO to the truth.")
@REPO
@click.option("--truth", "folder", required=True, type=click.Path(path_type=Path), help="The survey's truth folder.")
@click.option("-t", "--table", "tables", multiple=True, help="Dataset type, repeatable; default source and object.")
@click.option("--collection", help="Where the tables are; default the newest runs.")
@click.option("--radius", type=click.FloatRange(0.0, 60.0, min_open=True), default=1.0, show_default=True,
              help="Largest distance [arcsec].")  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for TABLE.parquet with the truth beside every row."
)
@AS_JSON
def match(
    repo: Path, folder: Path, tables: tuple[str, ...], collection: str | None, radius: float, out: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Match tables of REPO to the truth of the simulated survey it was made of, and count what was found."""
    from etendue.app.truth_match import match_truth
    from etendue.middleware.repository import Repository

    home = Repository.open(repo, writeable=False)
    found = [
        match_truth(home, folder, name, collection=collection, radius_arcsec=radius)
        for name in tables or ("source", "object")
    ]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for one in found:
            one.write(out / f"{one.table}.parquet")
    rows = [one.summary() for one in found]
    if as_json:
        print_json(rows)
    else:
        print_table(rows)
