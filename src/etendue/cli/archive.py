"""Commands that ask the archive."""

from pathlib import Path
from typing import Any

import click

from etendue.cli.output import print_json, print_table
from etendue.cli.repository import AS_JSON

_PLACE = click.argument("place", metavar="REPO", type=click.Path(path_type=Path))
_LIMIT = click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="Rows printed.")
_OUTPUT = click.option("-o", "--output", type=click.Path(path_type=Path), help="Write all rows there: .parquet or .csv")


@click.group(short_help="Ask the archive of a repository.")
def archive() -> None:
    """Ask the archive of a repository (or an archive directory)."""


@archive.command()
@_PLACE
@AS_JSON
def tables(place: Path, as_json: bool) -> None:
    """List the tables of the archive and their rows."""
    opened = _open(place)
    rows = [{"table": name, "rows": opened.count(name)} for name in opened.tables]
    if as_json:
        print_json({"snapshot": opened.snapshot, "tables": rows})
    else:
        print_table(rows, title=f"snapshot {opened.snapshot}")


@archive.command()
@_PLACE
@click.argument("sql")
@_LIMIT
@_OUTPUT
@AS_JSON
def query(place: Path, sql: str, limit: int, output: Path | None, as_json: bool) -> None:
    """Print the result of one SELECT statement on the archive's tables."""
    found = _open(place).query(sql)
    if output is not None:
        _write(found, output)
    else:
        _print(_rows(found, limit), len(found), as_json)


@archive.command(context_settings={"ignore_unknown_options": True})  # or southern declinations were taken for some
@_PLACE
@click.argument("table")
@click.argument("ra", type=float)
@click.argument("dec", type=float)
@click.argument("radius", type=float)
@click.option("-k", "--columns", help="Columns, separated by commas; default the id, position and fluxes.")
@_LIMIT
@_OUTPUT
@AS_JSON
def cone(
    place: Path, table: str, ra: float, dec: float, radius: float, columns: str | None, limit: int,
    output: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Print the rows of TABLE within RADIUS arcsec of RA DEC (deg), nearest first."""
    opened = _open(place)
    names = [name.strip() for name in columns.split(",")] if columns else None
    _check_columns(table, names or [])
    found = opened.cone_search(table, ra, dec, radius, columns=names)
    if output is not None:
        _write(found.to_arrow(), output)
        return
    shown = found.to_arrow()
    if not as_json and names is None:
        shown = shown.select(_telling(shown.column_names))
    _print(_rows(shown, limit), len(found), as_json)


def _check_columns(table: str, names: list[str]) -> None:
    from difflib import get_close_matches

    from etendue.errors import InputError
    from etendue.schema.table_schema import load_schema

    known = [column.name for column in load_schema(table).columns]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 3) or [*known[:8], "..."]
            raise InputError("no such column", source=table, value=name, remedy=f"it has {', '.join(near)}")


def _open(place: Path) -> Any:
    from etendue.archive.archive import Archive
    from etendue.errors import InputError

    folder = place / "archive" if (place / "butler.yaml").is_file() else place
    opened = Archive(folder) if folder.is_dir() else None
    if opened is None or not opened.tables:
        raise InputError("holds no archive", source=place, remedy="give a repository after quickstart, or an archive")
    return opened


def _telling(names: list[str]) -> list[str]:
    """Return the columns that fit a terminal: ids, position, magnitude or flux, count."""
    wanted = ("objectId", "diaObjectId", "diaSourceId", "sourceId", "coord_ra", "ra", "coord_dec", "dec", "band",
              "psfFlux", "psfFluxErr", "snr", "nDiaSources")  # fmt: skip
    return [name for name in wanted if name in names][:7] or names[:6]


def _rows(arrow: Any, limit: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = arrow.slice(0, limit).to_pylist()
    wide = {field.name for field in arrow.schema if str(field.type) in ("int64", "uint64")}
    return [
        {key: str(value) if key in wide and value is not None else _json_value(value) for key, value in row.items()}
        for row in rows
    ]  # 64-bit integers are text, because JSON readers round them


def _json_value(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool | type(None)) else str(value)


def _print(rows: list[dict[str, Any]], total: int, as_json: bool) -> None:
    if as_json:
        print_json({"rows": rows, "total": total})
        return
    shown = print_table(rows)
    if total > shown:
        click.echo(f"{shown} of {total} rows; -n prints more, -o writes all")


def _write(arrow: Any, output: Path) -> None:
    from etendue.disk import whole_file
    from etendue.errors import InputError

    if output.suffix not in (".parquet", ".csv"):
        raise InputError("unknown ending", source=output, remedy="use .parquet or .csv")
    if not output.parent.is_dir():
        raise InputError("its folder does not exist", source=output, remedy="make the folder first")
    with whole_file(output, "archive-answer") as part:
        if output.suffix == ".parquet":
            from pyarrow import parquet

            parquet.write_table(arrow, part)
        else:
            from pyarrow import csv

            csv.write_csv(arrow, part)
    click.echo(f"wrote {len(arrow)} rows to {output}")
