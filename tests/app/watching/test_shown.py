"""What happened stays to be read; what is going on is shown where it can be taken back."""

import json
import logging

from rich.console import Console

from etendue.app.watching.events import FrameDone, Note
from etendue.cli.watch import _live, _shown, _without_lines_of_stages

EVENTS = [
    Note("processing a.fits", "status"),
    Note("b.fits: is no FITS file", "refused"),
    FrameDone("a.fits", 1, 0, "r", 1.5, 27.3, "absolute", 812, 23, 1, "", 12.4),
    FrameDone(
        "c.fits", 2, 0, "r", float("nan"), float("nan"), "", -1, -1, 0, "calibrate_image: no stars", float("nan")
    ),
    Note("waiting for frames", "status"),
]


def shown(capsys, *, as_json: bool) -> list[str]:
    with _shown(as_json) as tell:
        for event in EVENTS:
            tell(event)
    return capsys.readouterr().out.splitlines()


def test_lines_in_a_file_name_frames_and_refusals_and_no_passing_state(capsys):
    lines = shown(capsys, as_json=False)
    assert lines[0] == "refused: b.fits: is no FITS file"
    assert lines[1].startswith("frame a.fits  band r  seeing 1.50")
    assert "problem calibrate_image: no stars" in lines[2]
    assert len(lines) == 3


def test_every_event_is_a_line_of_json(capsys):
    events = [json.loads(line) for line in shown(capsys, as_json=True)]
    assert [event["event"] for event in events] == ["status", "refused", "frame", "frame", "status"]
    assert events[2]["latency_s"] == 12.4
    assert events[3]["latency_s"] is None


def test_a_terminal_keeps_refusals_above_the_table(capsys, monkeypatch):
    monkeypatch.setattr("rich.live.get_console", lambda: Console(force_terminal=True, width=140, _environ={}))
    with _live() as tell:
        for event in EVENTS:
            tell(event)
    text = capsys.readouterr().out
    last = text[text.rindex("2 frames") :]
    assert "is no FITS file" in text
    assert "is no FITS file" not in last
    assert "waiting for frames" in last


def test_stages_repeat_nothing_on_the_terminal_but_errors(caplog):
    logger = logging.getLogger("etendue.stages.calibrate_image")
    with _without_lines_of_stages():
        logger.warning("no certified bias")
        logger.error("broken")
        logging.getLogger("etendue.app").warning("shown")
    logger.warning("again")
    assert [record.message for record in caplog.records] == ["broken", "shown", "again"]
