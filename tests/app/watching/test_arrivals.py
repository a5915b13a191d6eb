"""Files are taken when they are complete, once, and refused when they never will be."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from etendue.app.watching.arrivals import Arrivals
from etendue.app.watching.chore import Chore
from etendue.app.watching.ledger import Ledger
from etendue.errors import InputError
from etendue.middleware.ingest.stamp import Stamp

REST, PATIENCE = 0.2, 0.6


@pytest.fixture
def frame(tmp_path) -> bytes:
    path = tmp_path / "made.fits"
    fits.PrimaryHDU(np.arange(5000, dtype=np.int16).reshape(50, 100)).writeto(path)
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "night").mkdir()
    return tmp_path / "night"


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path / "watch.json")


def watcher(folder: Path, ledger: Ledger, rest_s: float = REST, patience_s: float = PATIENCE) -> Arrivals:
    return Arrivals(folder, ledger, rest_s=rest_s, patience_s=patience_s)


def names(found) -> list[str]:
    return [arrival.path.name for arrival in found]


def test_a_new_file_rests_before_it_is_taken(folder, ledger, frame):
    arrivals = watcher(folder, ledger)
    (folder / "a.fits").write_bytes(frame)
    assert names(arrivals.poll().ready) == []
    time.sleep(1.5 * REST)
    assert names(arrivals.poll().ready) == ["a.fits"]


def test_a_file_renamed_into_place_is_taken_at_once(folder, ledger, frame, tmp_path):
    other = tmp_path / "elsewhere.fits"
    other.write_bytes(frame)
    os.utime(other, (time.time() - 60.0,) * 2)
    other.rename(folder / "a.fits")
    assert names(watcher(folder, ledger).poll().ready) == ["a.fits"]


def test_half_a_file_waits_for_the_other_half_however_long_it_rests(folder, ledger, frame):
    arrivals = watcher(folder, ledger, rest_s=0.0, patience_s=60.0)
    path = folder / "a.fits"
    path.write_bytes(frame[: len(frame) // 2])
    for _ in range(3):
        poll = arrivals.poll()
        assert not poll.ready
        assert not poll.broken
        assert poll.waiting == (path,)
    path.write_bytes(frame)
    assert names(arrivals.poll().ready) == ["a.fits"]


def test_half_a_file_counts_as_truncated_when_patience_ends(folder, ledger, frame):
    arrivals = watcher(folder, ledger)
    (folder / "a.fits").write_bytes(frame[:4000])
    arrivals.poll()
    time.sleep(1.2 * PATIENCE)
    [broken] = arrivals.poll().broken
    assert "is truncated" in broken.refusal
    assert "\n" not in broken.refusal


def test_a_settled_file_is_looked_at_again_only_when_it_changes(folder, ledger, frame, tmp_path):
    path = folder / "a.fits"
    path.write_text("no image at all")
    arrivals = watcher(folder, ledger, rest_s=0.0)
    [broken] = arrivals.poll().broken
    ledger.settle(broken.path, broken.stamp, broken.refusal)
    ledger.save()
    assert arrivals.poll().broken == ()
    again = Ledger(tmp_path / "watch.json")  # as after a restart
    assert watcher(folder, again, rest_s=0.0).poll().broken == ()
    path.write_bytes(frame)
    assert names(watcher(folder, again, rest_s=0.0).poll().ready) == ["a.fits"]


def test_hidden_and_foreign_files_are_passed_over(folder, ledger, frame):
    for name in (".a.fits.Xy12", ".a.fits", "notes.txt", "a.fits.part"):
        (folder / name).write_bytes(frame)
    assert watcher(folder, ledger, rest_s=0.0).poll().ready == ()


def test_files_come_in_the_order_in_which_they_were_written(folder, ledger, frame):
    for age, name in ((10.0, "c.fits"), (20.0, "a.fits"), (5.0, "b.fits")):
        (folder / name).write_bytes(frame)
        os.utime(folder / name, (time.time() - age,) * 2)
    assert names(watcher(folder, ledger).poll().ready) == ["a.fits", "c.fits", "b.fits"]


def test_a_missing_folder_is_said(tmp_path, ledger):
    with pytest.raises(InputError, match="no such folder"):
        watcher(tmp_path / "absent", ledger).poll()


def test_a_stamp_tells_other_bytes_of_the_same_length(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    before = Stamp.of(path)
    path.write_bytes(b"abd")
    os.utime(path, ns=(before.mtime_ns + 1, before.mtime_ns + 1))
    assert Stamp.of(path) != before


def test_a_replaced_file_is_known_by_its_bytes_not_by_its_time(tmp_path):
    path, ledger = tmp_path / "a.fits", Ledger(tmp_path / "watch.json")
    path.write_bytes(b"first")
    ledger.settle(path, Stamp.of(path), exposure=7)
    ledger.save()
    again = Ledger(tmp_path / "watch.json")
    os.utime(path, (time.time() + 10.0,) * 2)
    assert again.renew(path, Stamp.of(path))
    assert again.is_settled(path, Stamp.of(path))
    path.write_bytes(b"other")
    assert not again.renew(path, Stamp.of(path))
    assert again.taken_as(path) == 7
    assert again.taken_as(tmp_path / "absent.fits") is None


def test_a_chore_rests_three_times_as_long_as_it_took():
    chore = Chore(pause=3.0)
    assert chore.has_rested
    chore.do(lambda: time.sleep(0.05))
    assert not chore.has_rested
    time.sleep(0.05)
    assert not chore.has_rested
    time.sleep(0.15)
    assert chore.has_rested
