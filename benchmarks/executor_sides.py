"""Empty quanta through our worker pool and through the stock executor, each in a repository of its own."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from side import Work, cpu_seconds

INPUTS = ("empty/numbers",)
FEW = 20  # quanta of the short run, which is subtracted: start, imports and graph set-up
WORKERS = 2


def fill(folder: Path, n: int) -> Any:
    """Return a new repository with ``n`` exposures of one detector, and the number 0 for each of them."""
    from etendue.middleware.repository import Repository

    repository = Repository.create(folder)
    insert_exposures(repository, n, detectors=1)
    data_ids = [{"instrument": "none", "exposure": i, "detector": 0} for i in range(1, n + 1)]
    give_file(
        repository, folder / "nothing.json", "number", ("instrument", "exposure", "detector"), data_ids, INPUTS[0]
    )
    return repository


def insert_exposures(repository: Any, n: int, *, detectors: int) -> None:
    """Insert the dimension records of exposures."""
    from astropy.time import Time
    from lsst.daf.butler import Timespan

    insert = repository.butler.registry.insertDimensionData
    insert("instrument", {"name": "none", "class_name": "etendue.middleware.cameras.none", "detector_max": detectors})
    insert("physical_filter", {"instrument": "none", "name": "none", "band": "none"})
    insert("day_obs", {"instrument": "none", "id": 20230225})
    insert("detector", *({"instrument": "none", "id": d, "full_name": f"d{d}"} for d in range(detectors)))
    begin, end = (Time(60000.0 + hours / 24.0, format="mjd", scale="tai") for hours in (0.0, 1.0))
    common = {"instrument": "none", "physical_filter": "none", "day_obs": 20230225, "observation_type": "science"}
    names = [str(i) for i in range(1, n + 1)]
    insert("group", *({"instrument": "none", "name": name} for name in names))
    span = Timespan(begin, end)
    insert("exposure", *(common | {"id": int(i), "obs_id": i, "group": i, "timespan": span} for i in names))


def give_file(
    repository: Any, path: Path, kind: str, dimensions: tuple[str, ...], data_ids: list[dict[str, Any]], run: str, *,
    calibration: bool = False,
) -> None:  # fmt: skip
    """Give one small file, made where it is missing, to many data IDs of a new dataset type."""
    from lsst.daf.butler import DatasetRef, FileDataset

    path.write_text("0")
    repository.register_dataset_type(kind, dimensions, "EtendueJson", calibration=calibration)
    dataset_type = repository.butler.get_dataset_type(kind)
    with repository.writing(run=run) as writer:
        refs = [DatasetRef(dataset_type, writer.registry.expandDataId(data_id), run) for data_id in data_ids]
        writer.ingest(*(FileDataset(str(path), ref) for ref in refs), transfer="direct")


def empty_pipeline() -> Any:
    """Return a pipeline of the empty stage."""
    from lsst.pipe.base import Pipeline

    pipeline = Pipeline("Nothing but machinery")
    pipeline.addTask("empty_step.Empty", "empty")
    return pipeline


def our_executor(folder: Path, *, quanta: int, **_: Any) -> Work:
    from etendue.middleware.execution.executor import run_pipeline

    repository = fill(folder / "pool", FEW + quanta)
    pipeline, number = empty_pipeline(), count()

    def run(n: int) -> dict[str, float]:
        report = run_pipeline(
            repository,
            pipeline,
            inputs=INPUTS,
            output=f"empty/{next(number)}",
            where=f"instrument = 'none' AND exposure <= {n}",
            workers=WORKERS,
            progress=False,
        )
        assert report.counts["succeeded"] == n
        # Workers are children of the fork server, so that the system does not count them for this process.
        return {
            "worker_s": sum(outcome.cpu_s for outcome in report.outcomes),
            "worker_peak_mib": max(outcome.memory_mb for outcome in report.outcomes),
        }

    return lambda: _marginal(run, quanta)


def stock_executor(folder: Path, *, quanta: int, **_: Any) -> Work:
    from lsst.daf.butler import Butler
    from lsst.pipe.base.separable_pipeline_executor import SeparablePipelineExecutor

    repository = fill(folder / "stock", FEW + quanta)
    pipeline, number = empty_pipeline(), count()

    def run(n: int) -> dict[str, float]:
        name = f"empty/{next(number)}"
        with Butler.from_config(repository.root, collections=INPUTS, run=name, writeable=True) as butler:
            executor = SeparablePipelineExecutor(butler)
            graph = executor.build_quantum_graph(pipeline, f"instrument = 'none' AND exposure <= {n}")
            executor.pre_execute_qgraph(graph, register_dataset_types=True)
            executor.run_pipeline(graph)
            assert butler.get("echo", instrument="none", exposure=n, detector=0, collections=name) == 0
        return {}

    return lambda: _marginal(run, quanta)


def _marginal(run: Callable[[int], dict[str, float]], quanta: int) -> dict[str, float]:
    """Return the CPU time that each further quantum costs [ms], from a short and a long run."""
    start = cpu_seconds()
    few = run(FEW)
    middle = cpu_seconds()
    many = run(FEW + quanta)
    driver = 1e3 * ((cpu_seconds() - middle) - (middle - start)) / quanta
    worker = 1e3 * (many.get("worker_s", 0.0) - few.get("worker_s", 0.0)) / quanta
    facts = {"ms_per_quantum": driver + worker, "driver_ms": driver, "worker_ms": worker}
    return facts | ({"worker_peak_mib": many["worker_peak_mib"]} if worker else {})
