"""Execute a campaign, or what is left of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table as RichTable

from etendue.app.campaign.forecast import CostRow, cost_table, forecast
from etendue.app.campaign.progress import CampaignProgress, GroupProgress, StepProgress
from etendue.app.campaign.spec import CampaignSpec, StepSpec
from etendue.app.quickstart import publish_products
from etendue.errors import EtendueError, InputError, NothingToDoError
from etendue.middleware.changes import certify_current
from etendue.middleware.data_groups import data_groups
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.execution.limits import Limits
from etendue.middleware.journal import Journal
from etendue.middleware.pipeline import load_pipeline
from etendue.middleware.products import delete_products, join_outputs
from etendue.middleware.repository import Repository
from etendue.middleware.runs import latest
from etendue.middleware.sites.site import Site
from etendue.middleware.task_costs import TaskCost, costs_of

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class CampaignResult:
    """A campaign as it stands.

    Parameters
    ----------
    name, collection : str
        The campaign, and the collection of all its products.
    progress : CampaignProgress
        What is done, and what was forecast.
    actual : mapping of (str, str) to TaskCost
        What it cost so far, by step and task.
    workers : int
        Processes.
    """

    name: str
    collection: str
    progress: CampaignProgress
    actual: Mapping[tuple[str, str], TaskCost]
    workers: int

    @property
    def is_done(self) -> bool:
        """Whether every step is."""
        return all(step.status == "done" for step in self.progress.steps)

    def lines(self) -> list[Any]:
        """Return what the terminal shows: the steps, and forecast against actual costs."""
        table = RichTable("step", "status", "groups", "succeeded", "defeated", "no work", "failed", "deleted")
        for step in self.progress.steps:
            done = sum(group.status == "done" for group in step.groups)
            counts = step.counts()
            table.add_row(
                step.name, step.status, f"{done} of {len(step.groups)}" if step.groups else "",
                *(str(counts.get(status, "") or "") for status in ("succeeded", "defeated", "no work", "failed")),
                str(step.deleted or ""),
            )  # fmt: skip
        costs = cost_table(self.progress.forecast, self.actual or None, self.workers)
        costs.title = "forecast > actual" if self.actual else "forecast"
        return [table, costs, f"products: {self.collection}"]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {
            "name": self.name,
            "collection": self.collection,
            "done": self.is_done,
            "steps": [{"name": s.name, "status": s.status, "quanta": s.counts()} for s in self.progress.steps],
            "forecast": [row.to_dict() for row in self.progress.forecast],
            "actual": [CostRow(*key, cost.quanta, cost).to_dict() for key, cost in self.actual.items()],
        }


class Campaign:
    """A campaign in a repository.

    Parameters
    ----------
    home : Repository
        The repository.
    spec : CampaignSpec
        What is to be done.
    workers : int
        Processes.
    site : Site, optional
        Where quanta run, with workers of its own; this machine by default.
    """

    def __init__(self, home: Repository, spec: CampaignSpec, *, workers: int = 2, site: Site | None = None):
        self.home, self.spec, self.site = home, spec, site
        self.workers = workers if site is None else site.workers
        self.camera = _camera(home, spec)
        self.collection = f"{self.camera}/{spec.name}"
        self.progress = CampaignProgress.read(home.path / "etendue" / "campaigns", spec)
        named = spec.inputs or (f"{self.camera}/defaults", "refcats")
        missing = [name for name in spec.inputs if not home.has_collection(name)]
        if missing:
            raise InputError("no such collection to read", source=home.path, value=missing[0])
        self._inputs = [name for name in named if home.has_collection(name)]

    def forecast(self, history: Repository | None = None) -> CampaignResult:
        """Return what the campaign will cost; what was forecast before it began stays.

        Parameters
        ----------
        history : Repository, optional
            Whose runs tell the costs; by default those of the repository itself.

        Returns
        -------
        CampaignResult
        """
        if not self.progress.forecast:
            self.progress.forecast = forecast(self.home, self.spec, self._inputs, history)
        return self.status()

    def status(self) -> CampaignResult:
        """Return how far the campaign is."""
        actual: dict[tuple[str, str], TaskCost] = {}
        for step in self.progress.steps:
            outcomes = [one for run in step.runs for one in Journal(self.home.runs_folder / run).outcomes().values()]
            actual |= {(step.name, label): cost for label, cost in costs_of(outcomes).items()}
        return CampaignResult(self.spec.name, self.collection, self.progress, actual, self.workers)

    def run(self, *, tell: Tell = lambda line: None, progress: bool = True) -> CampaignResult:
        """Do all that is not done yet; after any interruption the same call goes on.

        Parameters
        ----------
        tell : callable
            Called with one line before each group.
        progress : bool
            Show progress bars.

        Returns
        -------
        CampaignResult

        Raises
        ------
        InputError
            If something in the campaign is wrong.
        EtendueError
            More quanta of a step failed than it allows; what is finished is kept.
        """
        self.forecast()
        self.progress.save()
        for step, state in zip(self.spec.steps, self.progress.steps, strict=True):
            if state.status != "done":
                self._run_step(step, state, tell, progress)
        return self.status()

    def _run_step(self, step: StepSpec, state: StepProgress, tell: Tell, progress: bool) -> None:
        inputs = self._inputs_of(step)
        if state.status == "waiting":
            state.groups = [GroupProgress(where) for where in self._groups(step, inputs)]
            state.status = "begun"
            self.progress.save()
        for number, group in enumerate(state.groups, 1):
            if group.status != "done":
                tell(f"{step.name}, {number} of {len(state.groups)}: {group.where or 'all data'}")
                self._run_group(step, state, group, inputs, progress)
        self._finish(step, state)

    def _inputs_of(self, step: StepSpec) -> list[str]:
        before = self.progress.steps[: self.spec.steps.index(step)]
        return [*(run for state in reversed(before) for run in state.runs), *self._inputs]

    def _groups(self, step: StepSpec, inputs: list[str]) -> list[str]:
        if step.split is None:
            return [""]
        return data_groups(self.home, step.split.dimension, step.split.size, inputs=inputs,
                           where=self.spec.where_of(step))  # fmt: skip

    def _run_group(
        self, step: StepSpec, state: StepProgress, group: GroupProgress, inputs: list[str], progress: bool
    ) -> None:
        output = f"{self.collection}/{state.output}"
        if group.status == "waiting":
            group.status, group.before = "begun", self._latest(output)
            self.progress.save()
        try:
            report = run_pipeline(
                self.home, load_pipeline(step.pipeline, step.config), inputs=inputs, output=output,
                where=self.spec.where_of(step, group.where), workers=self.workers, progress=progress,
                resume=self._latest(output) != group.before,
                limits=Limits(step.retries, step.time_limit_s, step.memory_limit_mib), site=self.site,
            )  # fmt: skip
        except NothingToDoError:
            group.status = "done"  # a group of data can be empty
            self.progress.save()
            return
        group.run, group.counts = report.run, {status: n for status, n in report.counts.items() if n}
        bad = report.counts["failed"] + report.counts["skipped"]
        if bad > step.failures_allowed * len(report.outcomes):
            self.progress.save()
            raise EtendueError(f"step {step.name}: {report.counts['failed']} quanta failed and "
                               f"{report.counts['skipped']} were skipped because of them; see 'etendue run why', "
                               "repair the cause and give the same command again")  # fmt: skip
        group.status = "done"
        self.progress.save()

    def _latest(self, output: str) -> str:
        journal = latest(self.home.runs_folder, output)
        return "" if journal is None else str(journal.description()["run"])

    def _finish(self, step: StepSpec, state: StepProgress) -> None:
        """Certify, publish, delete; each can be done twice."""
        output = f"{self.collection}/{state.output}"
        if not state.runs:
            raise InputError(f"step {step.name} finds nothing to do", source=self.home.path,
                             value=self.spec.where_of(step) or None,
                             remedy="check the expression and the steps before")  # fmt: skip
        if step.certify:
            certify_current(self.home, output, step.certify, camera=self.camera)
        join_outputs(self.home, self.collection, [run for one in reversed(self.progress.steps) for run in one.runs])
        if step.publish:
            publish_products(self.home, output)
        if step.clean_up:
            for one in self.progress.steps[: self.progress.steps.index(state) + 1]:
                deleted = delete_products(self.home, f"{self.collection}/{one.output}", step.clean_up)
                state.deleted += deleted
                one.deleted_by = step.name if deleted else one.deleted_by
        state.status = "done"
        self.progress.save()


def _camera(home: Repository, spec: CampaignSpec) -> str:
    known = home.cameras()
    wanted = [name for name in known if spec.camera in (None, name)]
    if len(wanted) != 1:
        raise InputError("the campaign must name a camera of the repository", source=home.path, value=spec.camera,
                         remedy=f"camera: one of {', '.join(known) or 'none, register one first'}")  # fmt: skip
    return wanted[0]
