"""The journal keeps what was finished, whatever happens to its last line."""

import pytest

from etendue import faults
from etendue.middleware.journal import Journal, QuantumOutcome


def outcome(name: str, **facts: object) -> QuantumOutcome:
    return QuantumOutcome(name, "measure", {"exposure": 1}, "succeeded", **facts)


@pytest.mark.parametrize("keep", [1, 20, -1])
def test_a_torn_line_costs_itself_only(tmp_path, keep):
    journal = Journal(tmp_path)
    journal.append(outcome("a"))
    whole = (tmp_path / "journal.jsonl").read_bytes()
    (tmp_path / "journal.jsonl").write_bytes(whole + whole.replace(b'"a"', b'"b"')[:keep])
    assert list(journal.outcomes()) == ["a"] if keep > 0 else ["a", "b"]
    journal.append(outcome("c"))
    assert list(journal.outcomes()) == ["a", "c"]
    assert (tmp_path / "journal.jsonl").read_bytes().count(b"\n") == 2


@pytest.mark.parametrize("point", ["journal.append.before-write", "journal.append.before-sync"])
def test_a_line_that_the_disk_refuses_leaves_the_journal_as_it_was(tmp_path, point):
    journal = Journal(tmp_path)
    journal.append(outcome("a"))
    faults.arm(f"{point}=no-space")
    try:
        with pytest.raises(OSError, match="No space left"):
            journal.append(outcome("b"))
    finally:
        faults.arm("")
    assert list(journal.outcomes()) == ["a"]
    journal.append(outcome("b"))
    assert list(journal.outcomes()) == ["a", "b"]


def test_a_quantum_is_finished_when_its_files_have_their_sizes():
    stored = {"x.fits": 5}
    assert outcome("a", files={"x.fits": 5}).is_finished(stored)
    assert not outcome("a", files={"x.fits": 6}).is_finished(stored)
    assert not outcome("a", files={"y.fits": 5}).is_finished(stored)
    assert not QuantumOutcome("a", "measure", {}, "failed").is_finished(stored)
