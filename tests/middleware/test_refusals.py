"""A refusal is remembered until the file is taken."""

import json
from pathlib import Path

from etendue.middleware.refusals import Refusals


def test_a_refusal_lasts_until_the_file_is_taken(tmp_path: Path) -> None:
    refusals = Refusals(tmp_path / "deep" / "refused.jsonl")
    assert refusals.current() == ()
    refusals.record({"/a.fits": "no time\nof observation", "/b.fits": "", "/c.fits": "wrong size"}, camera="cam")
    assert [(r.subject, r.reason, r.camera) for r in refusals.current()] == [
        ("/a.fits", "no time of observation", "cam"), ("/c.fits", "wrong size", "cam"),
    ]  # fmt: skip
    refusals.record({"/a.fits": ""}, camera="cam")
    assert [r.subject for r in refusals.current()] == ["/c.fits"]


def test_the_same_verdict_again_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "refused.jsonl"
    refusals = Refusals(path)
    refusals.record({"/a.fits": ""}, camera="cam")
    assert not path.exists()
    for _ in range(3):
        refusals.record({"/a.fits": "no time"}, camera="cam")
    assert len(path.read_text().splitlines()) == 1
    assert json.loads(path.read_text())["subject"] == "/a.fits"


def test_a_line_cut_short_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "refused.jsonl"
    Refusals(path).record({"/a.fits": "no time", "/b.fits": "no time"}, camera="cam")
    path.write_bytes(path.read_bytes()[:-20])
    assert [r.subject for r in Refusals(path).current()] == ["/a.fits"]
