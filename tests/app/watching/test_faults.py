"""Whatever ends a watch or stops its disk, no frame is lost and none is processed twice; replaced files count anew."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from astropy.io import fits

from etendue import faults
from etendue.app import watch as watch_module
from etendue.app.watch import WatchOptions, watch
from etendue.app.watching.events import FrameDone, Note
from etendue.camera.shipped import load_camera
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.raw_files import forget_raws
from etendue.middleware.repository import Repository
from etendue.middleware.runs import journals
from etendue.simulate.surveys.write import write_survey
from small_surveys import NIGHT, small_survey

OUTPUT = f"simcam/watch/{NIGHT}"
PER_VISIT = ("preliminary_visit_image", "single_visit_star", "visit_image", "source", "visit_summary")


@dataclass(frozen=True)
class Watched:
    folder: Path
    events: list

    @property
    def home(self) -> Repository:
        return Repository.open(self.folder / "repo", writeable=False)

    def options(self, **parts) -> WatchOptions:
        given = {"workers": 1, "once": True, "rest_s": 0.0, "report": False}
        return WatchOptions(self.folder / "in", self.folder / "repo", **given | parts)

    def watch(self, **parts):
        return watch(self.options(**parts), tell=self.events.append)

    def notes(self, kind: str) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note) and event.kind == kind]

    def frames(self) -> list[FrameDone]:
        return [event for event in self.events if isinstance(event, FrameDone)]

    def images(self) -> dict[int, str]:
        return {int(ref.dataId["visit"]): str(ref.id) for ref in self.home.query("visit_image", collections=OUTPUT)}


@pytest.fixture(scope="module")
def raws(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("two")
    write_survey(small_survey("rr"), folder, seed=5)
    return sorted((folder / "raw").iterdir())


@pytest.fixture(scope="module")
def undisturbed(raws, tmp_path_factory) -> Watched:
    return begun(raws, tmp_path_factory.mktemp("undisturbed"))


def begun(raws: list[Path], folder: Path) -> Watched:
    (folder / "in").mkdir()
    for path in raws:
        shutil.copy(path, folder / "in")
    found = Watched(folder, [])
    found.watch()
    return found


@pytest.fixture
def watched(undisturbed, tmp_path) -> Watched:
    """Return a copy whose files are its own: the repository refers to files where they are."""
    (tmp_path / "in").mkdir()
    for path in (undisturbed.folder / "in").iterdir():
        shutil.copy2(path, tmp_path / "in")
    found = Watched(tmp_path, [])
    found.watch()
    return found


@pytest.mark.slow
def test_a_replaced_file_is_processed_anew_and_the_others_are_not(watched):
    before, path = watched.images(), sorted((watched.folder / "in").iterdir())[0]
    watched.events.clear()
    path.touch()
    watched.watch()
    assert watched.frames() == []  # other times, the same bytes
    with fits.open(path, mode="update") as hdus:
        hdus[-1].header["HISTORY"] = "read out again"
    watched.watch()
    [frame] = watched.frames()
    assert frame.frame == path.name
    assert [text for text in watched.notes("warning") if "processed anew" in text] != []
    after = watched.images()
    assert {visit for visit in before if before[visit] != after[visit]} == {frame.visit}


@pytest.mark.slow
@pytest.mark.parametrize("point", ["image.before-rename@2", "register.before-transfer", "watch.before-rename@2",
                                   "run.after-chain"])  # fmt: skip
def test_a_watch_killed_in_the_middle_of_a_frame_goes_on(undisturbed, raws, tmp_path, point):
    (tmp_path / "in").mkdir()
    for path in raws:
        shutil.copy(path, tmp_path / "in")
    command = [
        str(Path(sys.executable).with_name("etendue")), "watch", str(tmp_path / "in"), "--repo", str(tmp_path / "repo"),
        "-j", "1", "--rest", "0", "--once", "--no-report",
    ]  # fmt: skip
    killed = subprocess.run(command, capture_output=True, env={**os.environ, "ETENDUE_FAULTS": f"{point}=kill"})
    assert killed.returncode == -9
    second = Watched(tmp_path, [])
    second.watch()
    assert content_hashes(second.home, OUTPUT, PER_VISIT) == content_hashes(undisturbed.home, OUTPUT, PER_VISIT)
    third = Watched(tmp_path, [])
    assert third.watch().frames == 0


@pytest.mark.slow
@pytest.mark.parametrize("point", ["journal.append.before-write@2", "watch.before-rename", "ingest.after-records"])
def test_a_full_disk_is_said_and_waited_for(raws, tmp_path, monkeypatch, point):
    monkeypatch.setattr(watch_module, "_DISK_WAIT_S", 0.1)
    (tmp_path / "in").mkdir()
    shutil.copy(raws[0], tmp_path / "in")
    found = Watched(tmp_path, [])
    faults.arm(f"{point}=no-space")
    try:
        result = found.watch(once=False, until_idle_s=0.5)
    finally:
        faults.arm("")
    [problem] = found.notes("problem")
    assert "no space left on device" in problem
    assert "waiting" in problem
    assert [frame.problem for frame in found.frames()] == [""]
    assert (result.frames, result.stopped) == (1, False)


def test_forgetting_a_raw_frame_leaves_its_file(raws, tmp_path):
    path = tmp_path / raws[0].name
    shutil.copy(raws[0], path)
    found = Watched(tmp_path, [])
    home = Repository.create(tmp_path / "repo")
    home.register_camera(load_camera("simcam"))
    [outcome] = home.ingest([path], camera="simcam", transfer="direct")
    assert forget_raws(home, "simcam", [outcome.exposure]) == 1
    assert path.is_file()
    assert found.home.query("raw", collections="simcam/raw/all") == ()
    assert forget_raws(home, "simcam", [outcome.exposure]) == 0


@pytest.mark.slow
def test_a_new_frame_is_all_that_is_looked_at(raws, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(raws[0], tmp_path / "in")
    found = Watched(tmp_path, [])

    def tell(event):
        found.events.append(event)
        if len(found.frames()) == 1:
            shutil.copy(raws[1], tmp_path / "in")

    watch(found.options(once=False, until_idle_s=1.0), tell=tell)
    first, second = (frame.visit for frame in found.frames())
    run, *_ = [j for j in journals(found.home.runs_folder) if j.description()["output"] == OUTPUT]
    assert {int(outcome.data_id["visit"]) for outcome in run.outcomes().values()} == {second}
    assert str(first) not in run.description()["where"]
    assert set(found.images()) == {first, second}
