"""A night that arrives file by file gives what it gives at once, whatever interrupts it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from etendue.app.watch import WatchOptions, watch
from etendue.app.watching.events import FrameDone, Note
from etendue.app.watching.template import GivenTemplate
from etendue.errors import InputError
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.repository import Repository
from etendue.simulate.surveys.write import write_survey
from small_surveys import NIGHT, planted, small_survey

SEED = 3
SPEC = small_survey("rrrr", name="watched", bias=3, flat=3)
PER_VISIT = ("preliminary_visit_image", "single_visit_star", "visit_image", "source", "visit_summary",
             "difference_image", "dia_source_detector")  # fmt: skip
OUTPUT = f"simcam/watch/{NIGHT}"


@dataclass(frozen=True)
class Frames:
    folder: Path

    @property
    def raws(self) -> list[Path]:
        return sorted((self.folder / "frames" / "raw").iterdir())

    @property
    def calibrations(self) -> list[Path]:
        return sorted(p for name in ("bias", "flat") for p in (self.folder / "frames" / name).iterdir())

    @property
    def template(self) -> Path:
        return self.folder / "template.fits"

    @property
    def refcat(self) -> str:
        return str(self.folder / "frames" / "refcat.csv")


@pytest.fixture(scope="session")
def frames(tmp_path_factory, template_writer) -> Frames:
    folder = tmp_path_factory.mktemp("watched")
    changing = {"variables": [(500, 500, 17.6)], "transients": [(400, 300, 18.9)], "movers": [(600, 600, -31, 8, 18.8)]}
    write_survey(planted(SPEC, folder, **changing), folder / "frames", seed=SEED)
    template_writer(folder / "template.fits", SPEC, seed=SEED)
    return Frames(folder)


def calibrations_in(frames: Frames, folder: Path) -> Path:
    folder.mkdir()
    for path in frames.calibrations:
        shutil.copy(path, folder)
    return folder


def arguments(frames: Frames, folder: Path, *more: str) -> list[str]:
    return [
        str(Path(sys.executable).with_name("etendue")), "watch", str(folder / "in"), "--repo", str(folder / "repo"),
        "--refcat", frames.refcat, "--template", str(frames.template), "--calib-from", str(folder / "calib"), "-j", "1",
        "--rest", "0.5", "--json", "--no-report", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def at_once(frames, tmp_path_factory):
    """Return hashes and events of a watch that finds everything there."""
    folder = tmp_path_factory.mktemp("once")
    shutil.copytree(frames.folder / "frames" / "raw", folder / "in")
    events = []
    options = WatchOptions(
        folder / "in", folder / "repo", frames.refcat, (GivenTemplate(frames.template),),
        calibrations_in(frames, folder / "calib"), workers=1, once=True, report=False,
    )  # fmt: skip
    result = watch(options, tell=events.append)
    assert result.frames == len(frames.raws)
    return content_hashes(Repository.open(folder / "repo"), OUTPUT, PER_VISIT), events, folder


@pytest.mark.slow
def test_variables_transients_and_movers_are_on_the_differences(at_once, frames):
    hashes, events, _ = at_once
    done = [event for event in events if isinstance(event, FrameDone)]
    assert [event.problem for event in done] == [""] * len(frames.raws)
    assert all(event.n_dia_source >= 3 for event in done)
    assert sum(event.new_movers for event in done) == 1
    assert len(hashes) == len(PER_VISIT) * len(frames.raws)
    assert any("begin with 5 frames" in str(event) for event in events)  # there are four


@pytest.mark.slow
def test_a_night_copied_slowly_and_killed_in_the_middle_gives_the_same_products(at_once, frames, tmp_path):
    (tmp_path / "in").mkdir()
    calibrations_in(frames, tmp_path / "calib")
    feeder = threading.Thread(target=feed, args=(frames.raws, tmp_path / "in"))
    feeder.start()
    first = subprocess.Popen(arguments(frames, tmp_path, "--until-idle", "600"), stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    for line in first.stdout:
        if json.loads(line)["event"] == "frame":
            break
    time.sleep(2.0)  # somewhere in the next frame
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    first.stdout.close()
    feeder.join()
    finished = runs_of(tmp_path)
    second = subprocess.run(arguments(frames, tmp_path, "--once"), check=True, capture_output=True, text=True)
    assert json.loads(second.stdout.splitlines()[-1])["event"] == "end"
    assert content_hashes(Repository.open(tmp_path / "repo"), OUTPUT, PER_VISIT) == at_once[0]
    assert finished <= runs_of(tmp_path)  # what was finished was not made again
    third = subprocess.run(arguments(frames, tmp_path, "--once"), check=True, capture_output=True, text=True)
    assert json.loads(third.stdout.splitlines()[-1])["frames"] == 0


def runs_of(folder: Path) -> set[str]:
    home = Repository.open(folder / "repo", writeable=False)
    if not home.has_collection(OUTPUT):
        return set()
    return {str(ref.id) for name in PER_VISIT for ref in home.query(name, collections=OUTPUT)}


def feed(paths: list[Path], folder: Path) -> None:
    """Copy files in, every second one in two halves, the last one by a rename."""
    for index, path in enumerate(paths[:-1]):
        content, target = path.read_bytes(), folder / path.name
        half = len(content) // 2 if index % 2 else len(content)
        with target.open("wb") as stream:
            stream.write(content[:half])
            stream.flush()
            time.sleep(2.0 if index % 2 else 0.0)
            stream.write(content[half:])
    shutil.copy(paths[-1], folder / ".part")
    (folder / ".part").rename(folder / paths[-1].name)


def test_a_template_without_wcs_is_refused_before_anything_is_made(template_writer, tmp_path):
    template_writer(tmp_path / "blind.fits", SPEC, seed=SEED, wcs_cards=False)
    (tmp_path / "in").mkdir()
    options = WatchOptions(tmp_path / "in", tmp_path / "repo", templates=(GivenTemplate(tmp_path / "blind.fits"),))
    with pytest.raises(InputError, match=r"no template without WCS.*etendue solve"):
        watch(options, tell=lambda event: None)
    assert not (tmp_path / "repo").exists()


def test_broken_files_are_told_once_and_calibration_frames_are_kept(frames, tmp_path):
    (tmp_path / "in").mkdir()
    for path in frames.calibrations[:2]:
        shutil.copy(path, tmp_path / "in")
    (tmp_path / "in" / "notes.fits").write_text("cloudy since midnight")
    cut = frames.raws[0].read_bytes()
    (tmp_path / "in" / "cut.fits.fz").write_bytes(cut[: len(cut) // 3])
    told = []
    for _ in range(2):
        options = WatchOptions(tmp_path / "in", tmp_path / "repo", once=True, rest_s=0.1, patience_s=0.3, workers=1)
        watch(options, tell=told.append)
    refused = [event.text for event in told if isinstance(event, Note) and event.kind == "refused"]
    assert len(refused) == 2
    assert "truncated" in refused[0] + refused[1]
    home = Repository.open(tmp_path / "repo", writeable=False)
    assert len(home.query("raw", collections="simcam/raw/all")) == 2
    assert len(home.refusals.current()) == 2


def test_a_request_to_stop_ends_the_watch(frames, tmp_path):
    (tmp_path / "in").mkdir()
    result = watch(WatchOptions(tmp_path / "in", tmp_path / "repo"), tell=lambda event: None, stop=lambda: True)
    assert result.stopped
