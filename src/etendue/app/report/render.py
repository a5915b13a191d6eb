"""Put sections into one HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass

import jinja2

from etendue.app.report.section import Section


@dataclass(frozen=True)
class Heading:
    """What stands at the top and at the bottom of a page.

    Parameters
    ----------
    title : str
        Heading.
    line : str
        Below it.
    footer : str
        Last line.
    """

    title: str
    line: str
    footer: str


def render(heading: Heading, headline: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """Return the page; it holds its styles and pictures and loads nothing.

    Parameters
    ----------
    heading : Heading
        Top and bottom of the page.
    headline : sequence of (str, str)
        Tiles: label and value.
    sections : sequence of Section
        From top to bottom.

    Returns
    -------
    str
        HTML.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("etendue.app.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    template = environment.get_template("page.html.j2")
    return template.render(heading=heading, headline=headline, sections=sections)
