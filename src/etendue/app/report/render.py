"""Put sections into one HTML page."""

from collections.abc import Sequence
from typing import Any

import jinja2

from etendue.app.report.section import Section


def render(observations: dict[str, Any], headline: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """Return the page; it holds its styles and pictures and loads nothing.

    Parameters
    ----------
    observations : dict
        What `overview.gather` found, for the heading.
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
    return template.render(observations=observations, headline=headline, sections=sections)
