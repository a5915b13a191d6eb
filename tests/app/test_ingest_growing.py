import shutil
from pathlib import Path

import pytest

from etendue.app.ingest import GrowingFolder, IngestSummary, Patience, retry
from etendue.camera.camera import Camera
from etendue.middleware.ingest.intake import IntakeRules
from etendue.middleware.repository import Repository
from tiny_frames import CAMERA, TEXT, write_tiny


@pytest.fixture
def home(tmp_path) -> Repository:
    made = Repository.create(tmp_path / "repo")
    made.register_camera(CAMERA)
    return made


def grow(home: Repository, folder: Path, events: list, patience_s: float = 20.0, **rules) -> list[IngestSummary]:
    """Watch a folder in which the events happen, one after each look."""
    told: list[IngestSummary] = []
    pending = iter(events)
    patience = Patience(rest_s=0.0, patience_s=patience_s, until_idle_s=0.3, look_every_s=0.02)
    watcher = GrowingFolder(home, "tiny", folder, IntakeRules(**rules), patience, told.append)

    def stop() -> bool:
        happens = next(pending, None)
        if happens is not None:
            happens()
        return False

    watcher.watch(stop)
    return told


def test_files_are_taken_as_they_come_and_parts_are_waited_for(home, tmp_path):
    folder, whole = tmp_path / "landing", write_tiny(tmp_path / "elsewhere", 2)
    write_tiny(folder, 1)
    part = folder / "t00002_1.fits"
    content = whole.read_bytes()
    events = [lambda: part.write_bytes(content[:3000]), lambda: None, lambda: part.write_bytes(content),
              lambda: write_tiny(folder / "deeper", 3)]  # fmt: skip
    told = grow(home, folder, events)
    assert sum(found.counts.get("ingested", 0) for found in told) == 3
    assert sum(found.new_visits for found in told) == 3
    assert not any(found.refused for found in told)
    assert grow(home, folder, []) == []  # what was taken is not looked at again


def test_a_file_that_stays_cut_short_is_refused_and_set_aside(home, tmp_path):
    folder = tmp_path / "landing"
    cut = write_tiny(folder, 1)
    cut.write_bytes(cut.read_bytes()[:3000])
    [found] = grow(home, folder, [], patience_s=0.1, quarantine=tmp_path / "bad")
    assert "truncated" in found.refused[0].reason
    assert not cut.exists()
    assert (tmp_path / "bad" / cut.name).stat().st_size == 3000
    assert [refusal.subject for refusal in home.refusals.current()] == [str(cut)]


def test_quarantined_files_are_taken_once_the_camera_knows_their_filter(home, tmp_path):
    odd = write_tiny(tmp_path / "raw", 1, FILTER="g")
    rules = IntakeRules(quarantine=tmp_path / "bad")
    home.ingest([odd], camera="tiny", rules=rules)
    assert retry(home, "tiny", tmp_path / "bad", rules).counts == {"refused": 1}
    assert (tmp_path / "bad" / odd.name).is_file()
    better = TEXT.replace("filters: [", "filters: [{physical_filter: g, band: g}, ")
    home.register_camera(Camera.from_yaml(better), update=True)
    assert retry(home, "tiny", tmp_path / "bad", rules).counts == {"ingested": 1}
    assert odd.is_file()
    assert home.refusals.current() == ()
    shutil.rmtree(tmp_path / "bad")
