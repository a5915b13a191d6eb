"""What a campaign will cost, from what its tasks cost before; and what it did cost."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table as RichTable

from etendue.app.campaign.spec import CampaignSpec, StepSpec
from etendue.middleware.expected_quanta import expected_quanta
from etendue.middleware.pipeline import load_pipeline
from etendue.middleware.repository import Repository
from etendue.middleware.task_costs import TaskCost, earlier_costs

_MINUTE_S, _HOUR_S, _UNITS_BEFORE_NEXT = 60.0, 3600.0, 2.0
_MIB, _GIB = 2.0**20, 2.0**30


@dataclass(frozen=True, slots=True)
class CostRow:
    """One task of one step.

    Parameters
    ----------
    step, task : str
        Names.
    quanta : int
        How many.
    cost : TaskCost or None
        Of all of them; None where no earlier run tells.
    """

    step: str
    task: str
    quanta: int
    cost: TaskCost | None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {"step": self.step, "task": self.task, "quanta": self.quanta,
                "cost": None if self.cost is None else asdict(self.cost)}  # fmt: skip

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "CostRow":
        """Return what `to_dict` made."""
        cost = None if state["cost"] is None else TaskCost(**state["cost"])
        return cls(state["step"], state["task"], state["quanta"], cost)


def forecast(
    home: Repository, spec: CampaignSpec, inputs: list[str], history: Repository | None = None
) -> list[CostRow]:
    """Return what every task of a campaign will cost.

    Quanta are counted by building the graph of all steps; a quantum costs what it cost in the latest run of its task.

    Parameters
    ----------
    home : Repository
        With the data.
    spec : CampaignSpec
        The campaign.
    inputs : list of str
        Collections that the steps read.
    history : Repository, optional
        Whose runs tell the costs; by default those of ``home``.

    Returns
    -------
    list of CostRow
        In the order of steps and tasks.

    Raises
    ------
    InputError
        If a pipeline or an expression is wrong.
    """
    costs = earlier_costs((history or home).runs_folder)
    rows = []
    for step in spec.steps:
        labels = list(load_pipeline(step.pipeline, step.config).task_labels)
        counted = _counted(home, spec, step, inputs)
        for label in labels:
            known = costs.get(label)
            rows.append(
                CostRow(step.name, label, counted[label], None if known is None else known.times(counted[label]))
            )
    return rows


def _counted(home: Repository, spec: CampaignSpec, step: StepSpec, inputs: list[str]) -> Counter[str]:
    """Return the quanta of a step and of those that it reads from; calibrations are found by date instead."""
    until = spec.steps[: spec.steps.index(step)]
    before = [] if step.certify else [one for one in until if not one.certify]
    wanted = load_pipeline(step.pipeline, step.config)
    taken, pipelines = set(wanted.task_labels), [wanted]
    for one in reversed(before):
        pipeline = load_pipeline(one.pipeline, one.config)
        if taken.isdisjoint(pipeline.task_labels):
            taken |= set(pipeline.task_labels)
            pipelines.insert(0, pipeline)
    return expected_quanta(home, pipelines, inputs, spec.where_of(step))


def cost_table(forecasted: list[CostRow], actual: Mapping[tuple[str, str], TaskCost] | None, workers: int) -> RichTable:
    """Return the table of costs.

    Parameters
    ----------
    forecasted : list of CostRow
        Before the campaign.
    actual : mapping of (str, str) to TaskCost, or None
        What it cost, by step and task; None before it began.
    workers : int
        Processes, for the wall time.

    Returns
    -------
    rich.table.Table
        Where forecast and actual value differ, the actual one is below.
    """
    table = RichTable("step", "task", "quanta", "CPU", "wall", "memory", "files")
    for row in forecasted:
        found = None if actual is None else actual.get((row.step, row.task), TaskCost())
        table.add_row(row.step, row.task, *_cells(row.quanta, row.cost, found, workers))
    known = sum((row.cost for row in forecasted if row.cost is not None), TaskCost())
    whole = None if actual is None else sum(actual.values(), TaskCost())
    table.add_row("all", "", *_cells(sum(row.quanta for row in forecasted), known, whole, workers))
    return table


def _cells(quanta: int, cost: TaskCost | None, found: TaskCost | None, workers: int) -> list[str]:
    before = ["?"] * 4 if cost is None else _numbers(cost, workers)
    cells = [str(quanta), *before]
    if found is None:
        return cells
    after = [str(found.quanta), *_numbers(found, workers)]
    return [one if one == other else f"{one}\n{other}" for one, other in zip(cells, after, strict=True)]


def _numbers(cost: TaskCost, workers: int) -> list[str]:
    return [_time(cost.cpu_s), _time(cost.wall_s / workers), _size(cost.memory_mib * _MIB), _size(cost.size)]


def _time(seconds: float) -> str:
    for unit, name in ((_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= _UNITS_BEFORE_NEXT * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.1f} s"


def _size(size: float) -> str:
    return f"{size / _GIB:.2f} GiB" if size >= _GIB else f"{size / _MIB:.1f} MiB"
