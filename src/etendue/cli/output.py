"""What commands print: tables for people, JSON for machines."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import click

_WIDTH = 100
_WIDEST = 160  # a table that would need more is turned on its side
_MOST_ROWS = 3  # then


def print_json(value: Any) -> None:
    """Print a value as JSON; NaN and infinities become null.

    Parameters
    ----------
    value : object
        Dicts, sequences, text and numbers.
    """
    click.echo(json.dumps(_plain(value), indent=1))


def print_table(rows: Sequence[Mapping[str, Any]], *, title: str | None = None) -> int:
    """Print rows as a table of at most 100 columns; long cells wrap, and rows of very many cells become columns.

    Parameters
    ----------
    rows : sequence of mapping
        With the same keys, which become the headings.
    title : str, optional
        Above the table.

    Returns
    -------
    int
        Number of rows printed: three at most where they became columns.
    """
    from rich.table import Table

    if not rows:
        click.echo("nothing" if title is None else f"{title}: nothing")
        return 0
    shown = len(rows)
    if sum(max(len(name), *(len(_text(row[name])) for row in rows)) + 1 for name in rows[0]) > _WIDEST:
        shown = min(shown, _MOST_ROWS)
        rows = [
            {"column": name, **{f"row {k + 1}": row[name] for k, row in enumerate(rows[:shown])}} for name in rows[0]
        ]
    table = Table(title=title, title_justify="left")
    for name, value in rows[0].items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    print_lines([table])
    return shown


def print_lines(lines: Sequence[Any]) -> None:
    """Print text and rich renderables.

    Parameters
    ----------
    lines : sequence
        What to print, top to bottom.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal or console.width > _WIDTH:
        console = Console(width=_WIDTH, highlight=False)
    for line in lines:
        if isinstance(line, Table) and line.columns:
            line.box, line.padding = SIMPLE_HEAD, (0, 1, 0, 0)  # narrow: headings stay whole
            line.columns[0].no_wrap = True
        console.print(line, markup=False, soft_wrap=isinstance(line, str))


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
