"""What of a campaign is done: one file in the repository, whole at every moment."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from etendue.app.campaign.forecast import CostRow
from etendue.app.campaign.spec import CampaignSpec, StepSpec
from etendue.disk import whole_file

Status = Literal["waiting", "begun", "done"]


@dataclass(slots=True)
class GroupProgress:
    """One group of data of a step.

    Parameters
    ----------
    where : str
        Its data ID expression; empty for all data.
    status : str
        ``waiting``, ``begun`` or ``done``.
    before : str
        The latest run of the step's output when the group began: a later one is the group's.
    run : str
        Its run.
    counts : dict of str to int
        Quanta by status.
    """

    where: str
    status: Status = "waiting"
    before: str = ""
    run: str = ""
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class StepProgress:
    """One step.

    Parameters
    ----------
    name : str
        Its name.
    fingerprint : str
        Of all that it depends on.
    status : str
        ``waiting``, ``begun`` or ``done``.
    groups : list of GroupProgress
        In order; empty before it began.
    deleted : int
        Products that its clean-up deleted.
    attempt : int
        Counts how often it began anew because something it depends on had been changed.
    deleted_by : str
        The last step whose clean-up deleted products of this one.
    """

    name: str
    fingerprint: str
    status: Status = "waiting"
    groups: list[GroupProgress] = field(default_factory=list)
    deleted: int = 0
    attempt: int = 1
    deleted_by: str = ""

    def anew(self, fingerprint: str) -> "StepProgress":
        """Return the step before it begins once more.

        Parameters
        ----------
        fingerprint : str
            Of what it depends on now.

        Returns
        -------
        StepProgress
            In an output of its own, if it had begun.
        """
        return StepProgress(self.name, fingerprint, attempt=self.attempt + (self.status != "waiting"))

    @property
    def output(self) -> str:
        """Last part of the name of its output: attempts do not see each other's products."""
        return self.name if self.attempt == 1 else f"{self.name}-{self.attempt}"

    @property
    def runs(self) -> list[str]:
        """Runs of its groups, the latest first."""
        return [group.run for group in reversed(self.groups) if group.run]

    def counts(self) -> dict[str, int]:
        """Return the quanta of all groups by status."""
        found: dict[str, int] = {}
        for group in self.groups:
            for status, count in group.counts.items():
                found[status] = found.get(status, 0) + count
        return found


@dataclass(slots=True)
class CampaignProgress:
    """All steps of a campaign, and what was forecast before the first.

    Parameters
    ----------
    path : Path
        The file.
    steps : list of StepProgress
        In order.
    forecast : list of CostRow
        From before it began; empty before that.
    """

    path: Path
    steps: list[StepProgress]
    forecast: list[CostRow]

    @classmethod
    def read(cls, folder: Path, spec: CampaignSpec) -> "CampaignProgress":
        """Read what is done of a campaign; steps that have been changed since wait again, and all that follow.

        Parameters
        ----------
        folder : Path
            Where campaigns keep their files.
        spec : CampaignSpec
            The campaign as it is now.

        Returns
        -------
        CampaignProgress
        """
        path = folder / f"{spec.name}.json"
        state = json.loads(path.read_text()) if path.is_file() else {"steps": [], "forecast": []}
        known = {entry["name"]: entry for entry in state["steps"]}
        steps = [_step(known.get(step.name), step.name, _hash(spec, step)) for step in spec.steps]
        found = cls(path, steps, [CostRow.from_dict(row) for row in state["forecast"]])
        found._restore_deleted()
        return found

    def _restore_deleted(self) -> None:
        """Let steps begin anew that made what a clean-up deleted and a step needs that is not done."""
        names = [step.name for step in self.steps]
        for number, step in enumerate(self.steps):
            left = next((k for k, one in enumerate(self.steps) if one.status != "done"), len(names))
            if step.deleted_by and left < len(names) and step.deleted_by not in names[:left]:
                self.steps[number:] = [one.anew(one.fingerprint) for one in self.steps[number:]]

    def save(self) -> None:
        """Write the file, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "steps": [asdict(step) for step in self.steps],
            "forecast": [row.to_dict() for row in self.forecast],
        }
        with whole_file(self.path, "campaign") as part:
            part.write_text(json.dumps(state, indent=1))


def _step(state: dict[str, Any] | None, name: str, fingerprint: str) -> StepProgress:
    if state is None:
        return StepProgress(name, fingerprint)
    known = StepProgress(**state | {"groups": [GroupProgress(**group) for group in state["groups"]]})
    return known if known.fingerprint == fingerprint else known.anew(fingerprint)


def _hash(spec: CampaignSpec, step: StepSpec) -> str:
    return hashlib.blake2b(json.dumps(spec.fingerprint(step), sort_keys=True).encode(), digest_size=12).hexdigest()
