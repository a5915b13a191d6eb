import json

import pytest

from etendue.errors import InputError
from etendue.middleware.ingest.intake import IntakeRules
from etendue.middleware.ingest.quarantine import Quarantine
from tiny_frames import write_tiny


def test_refused_files_move_there_with_their_reason_and_good_ones_stay(home, tmp_path):
    good = write_tiny(tmp_path / "raw", 1)
    odd = write_tiny(tmp_path / "raw", 2, FILTER="unheard of")
    home.ingest([good, odd], camera="tiny", rules=IntakeRules(quarantine=tmp_path / "bad"))
    [entry] = Quarantine(tmp_path / "bad").entries()
    assert good.is_file()
    assert not odd.exists()
    assert entry.origin == str(odd)
    assert "unheard of" in entry.reason
    assert json.loads((tmp_path / "bad" / "t00002_1.fits.why.json").read_text())["reason"] == entry.reason


def test_two_files_of_one_name_are_both_kept_and_go_back_where_they_came_from(tmp_path):
    place = Quarantine(tmp_path / "bad")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.fits").write_text(folder)
        place.take(tmp_path / folder / "x.fits", "because")
    assert len(list(place.entries())) == 2
    for entry in list(place.entries()):
        place.release(entry)
    assert [(tmp_path / folder / "x.fits").read_text() for folder in ("a", "b")] == ["a", "b"]
    assert list((tmp_path / "bad").iterdir()) == []


def test_a_file_does_not_go_back_over_another_one(tmp_path):
    path = tmp_path / "x.fits"
    path.write_text("first")
    place = Quarantine(tmp_path / "bad")
    place.take(path, "because")
    path.write_text("second")
    [entry] = place.entries()
    with pytest.raises(InputError, match="another file took its place"):
        place.release(entry)
    assert path.read_text() == "second"
    assert (tmp_path / "bad" / "x.fits").read_text() == "first"


def test_a_note_without_its_file_does_not_count(tmp_path):
    place = Quarantine(tmp_path / "bad")
    path = tmp_path / "elsewhere.fits"
    path.write_text("")
    place.take(path, "because")
    (tmp_path / "bad" / "elsewhere.fits").unlink()
    assert list(place.entries()) == []
