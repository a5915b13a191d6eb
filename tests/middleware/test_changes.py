"""Only what changed runs again, and what it replaces is not seen any more."""

import pytest
from toy_survey import INPUTS, TOY

from etendue.middleware.changes import Changes, own_collections
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.repository import Repository
from etendue.middleware.run_report import RunReport

pytestmark = pytest.mark.slow  # processes and runs, seconds each

PRODUCTS = ["measured", "total", "note", "summary"]


class Toy:
    """Runs the toy pipeline and remembers what it said before."""

    def __init__(self, repository: Repository):
        self.repository = repository
        self.told: Changes | None = None

    def run(self, *overrides: str, workers: int = 1, reuse: bool = True, output: str = "toy/out", **more) -> RunReport:
        return run_pipeline(
            self.repository, TOY, inputs=INPUTS, output=output, overrides=overrides, workers=workers, progress=False,
            reuse=reuse, tell=self.listen, **more,
        )  # fmt: skip

    def listen(self, changes: Changes) -> None:
        self.told = changes

    def rows(self) -> dict[str, tuple[int, int, str]]:
        assert self.told is not None
        return {row["task"]: (row["rerun"], row["kept"], row["what changed"]) for row in self.told.rows()}

    def hashes(self, output: str = "toy/out") -> dict[str, str]:
        return content_hashes(self.repository, output, PRODUCTS)


@pytest.fixture
def toy(toy_repository: Repository) -> Toy:
    return Toy(toy_repository)


def test_an_unchanged_pipeline_does_not_run_again(toy):
    first = toy.run()
    assert toy.rows()["measure"] == (10, 0, "not finished before")
    again = toy.run()
    assert (again.run, again.executed, again.ok) == (first.run, 0, True)
    assert again.counts == first.counts
    assert toy.rows() == {"measure": (0, 10, ""), "total": (0, 2, ""), "summary": (0, 1, "")}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_edited_config_reruns_its_task_and_what_is_downstream(toy, workers):
    toy.run("summary:saveLogOutput=True")
    toy.run("total:saveLogOutput=False", workers=workers)
    assert toy.rows() == {
        "measure": (0, 10, ""),
        "total": (2, 0, "config saveLogOutput: True -> False"),
        "summary": (1, 0, "after total"),
    }
    assert len(toy.hashes()) == 10 + 2 + 2 + 1


def test_the_products_are_those_of_a_run_from_scratch(toy):
    toy.run()
    toy.run("measure:scale.factor=4.0")
    assert toy.rows()["measure"] == (10, 0, "config scale.factor: 3.0 -> 4.0")
    toy.run("measure:scale.factor=4.0", output="toy/fresh", reuse=False)
    assert toy.hashes() == toy.hashes("toy/fresh")


def test_going_back_to_an_older_config_runs_again(toy):
    toy.run()
    before = toy.hashes()
    toy.run("measure:mode=double")
    assert toy.hashes() != before
    toy.run()
    assert toy.hashes() == before


def test_a_new_input_reruns_what_reads_it(toy):
    toy.run(where="exposure < 5")
    toy.run(where="exposure < 6")
    assert toy.rows() == {
        "measure": (2, 8, "not finished before"),
        "total": (2, 0, "after measure"),
        "summary": (1, 0, "after total"),
    }
    total = toy.repository.get("total", {"instrument": "toy", "detector": 0}, collections="toy/out")
    assert total["exposures"] == [1, 2, 3, 4, 5]


def test_products_that_are_made_no_more_are_not_seen_any_more(toy):
    toy.run()
    toy.run("measure:defeated=[2]")
    seen = {ref.dataId["exposure"] for ref in toy.repository.query("measured", collections="toy/out")}
    assert seen == {1, 3, 4, 5}
    assert toy.run("measure:defeated=[2]").executed == 0


def test_failed_quanta_run_again_and_finished_ones_do_not(toy):
    broken = toy.run("measure:broken=[4]", where="detector = 1")
    assert not broken.ok
    toy.run("measure:broken=[4]", where="detector = 1")
    assert toy.rows() == {
        "measure": (1, 4, "not finished before"), "total": (1, 0, "not finished before"),
        "summary": (1, 0, "not finished before"),
    }  # fmt: skip


def test_a_run_that_keeps_products_can_be_resumed(toy):
    toy.run()
    toy.run("measure:defeated=[2]", "total:saveLogOutput=False")
    again = toy.run("measure:defeated=[2]", "total:saveLogOutput=False", resume=True)
    assert again.executed == 0
    assert len(own_collections(toy.repository, "toy/out")) == 2


def test_runs_of_some_tasks_keep_the_products_of_the_others(toy):
    toy.run()
    run_pipeline(toy.repository, f"{TOY}#total", inputs=INPUTS, output="toy/out", workers=1, progress=False,
                 overrides=["total:saveLogOutput=False"], reuse=True)  # fmt: skip
    assert len(toy.hashes()) == 15


def test_a_run_of_some_tasks_is_not_repeated_by_the_next_full_run(toy):
    toy.run()
    changed = "total:saveLogOutput=False"
    run_pipeline(toy.repository, f"{TOY}#total", inputs=INPUTS, output="toy/out", workers=1, progress=False,
                 overrides=[changed], reuse=True)  # fmt: skip
    toy.run(changed)
    assert toy.rows() == {"measure": (0, 10, ""), "total": (0, 2, ""), "summary": (1, 0, "after total")}
    assert len(toy.hashes()) == 15


def test_products_made_anew_in_the_same_way_are_the_same_inputs(toy):
    run_pipeline(toy.repository, f"{TOY}#measure", inputs=INPUTS, output="toy/first", workers=1, progress=False)
    later = {"inputs": ["toy/first", *INPUTS], "output": "toy/second", "workers": 1, "progress": False, "reuse": True}
    run_pipeline(toy.repository, f"{TOY}#total", **later)
    run_pipeline(toy.repository, f"{TOY}#measure", inputs=INPUTS, output="toy/first", workers=1, progress=False)
    assert run_pipeline(toy.repository, f"{TOY}#total", **later).executed == 0
    run_pipeline(toy.repository, f"{TOY}#measure", inputs=INPUTS, output="toy/first", workers=1, progress=False,
                 overrides=["measure:mode=double"])  # fmt: skip
    assert run_pipeline(toy.repository, f"{TOY}#total", **later).executed == 2


def test_everything_runs_when_asked(toy):
    toy.run()
    report = toy.run(reuse=False)
    assert report.executed == 13
    assert toy.rows()["measure"][0] == 10
