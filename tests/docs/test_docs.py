"""The documentation says what is true: its Python runs and its links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#:]+)(?:#[^)]*)?\)")
# The other pages take more than 5 s.
FAST = {
    "docs/user/astrometry.md",
    "docs/user/calibrations.md",
    "docs/user/cameras.md",
    "docs/user/ingest.md",
    "docs/user/repositories.md",
    "docs/user/pipelines.md",
    "docs/user/refcats.md",
    "docs/user/router.md",
    "docs/user/solving.md",
    "docs/user/overrides.md",
    "docs/user/simulated-catalogs.md",
    "docs/user/simulated-sky.md",
    "docs/user/simulated-tables.md",
    "docs/user/simulator.md",
}


def name(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page):
    """Return the Python blocks of a page, each with the line it starts on."""
    text = page.read_text()
    return [(text.count("\n", 0, match.start(1)), match.group(1)) for match in BLOCK.finditer(text)]


def runnable():
    pages = [page for page in PAGES if blocks(page)]
    return [pytest.param(p, id=name(p), marks=() if name(p) in FAST else pytest.mark.slow) for p in pages]


@pytest.mark.parametrize("page", runnable())
def test_every_python_block_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "documentation"}
    ran = 0
    for line, code in blocks(page):
        exec(compile("\n" * line + code, str(page), "exec"), namespace)  # blank lines keep the page's line numbers
        ran += 1
    assert ran > 0


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_to_a_page_leads_to_a_file(page):
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing
