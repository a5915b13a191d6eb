from collections.abc import Mapping, Sequence

from toy_survey import INPUTS, TOY

from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.sinks import AlertLogSink, ArchiveSink, Product, publish


class Shelf:
    dataset_types = ("total", "unheard_of")

    def __init__(self) -> None:
        self.held: dict[str, object] = {}

    def publish(self, products: Mapping[str, Sequence[Product]]) -> int:
        new = {p.key: p.read() for found in products.values() for p in found if p.key not in self.held}
        self.held |= new
        return len(new)


def test_publishing_twice_changes_nothing(toy_repository):
    run_pipeline(toy_repository, TOY, inputs=INPUTS, output="toy/out", workers=1, progress=False)
    shelf = Shelf()
    assert publish(toy_repository, "toy/out", [shelf]) == {"Shelf": 2}
    assert publish(toy_repository, "toy/out", [shelf]) == {"Shelf": 0}
    assert sorted(shelf.held) == ["total/instrument=toy,detector=0", "total/instrument=toy,detector=1"]


def test_a_run_without_tables_and_alerts_publishes_nothing(toy_repository, tmp_path):
    sinks = [ArchiveSink(tmp_path / "archive"), AlertLogSink(tmp_path / "alerts")]
    assert publish(toy_repository, "toy/numbers", sinks) == {"ArchiveSink": 0, "AlertLogSink": 0}
