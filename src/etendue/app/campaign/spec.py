"""What a campaign is: steps in order, each a pipeline with its data, limits and clean-up."""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from etendue.camera.camera import explain
from etendue.errors import InputError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SplitSpec(_Part):
    """Groups that run one after the other."""

    dimension: str
    """Whose values are divided: ``visit``, ``day_obs``, ``tract``, ``patch``, ``detector``, ``band``..."""

    size: int = Field(1, ge=1)
    """Values in one group."""


class StepSpec(_Part):
    """One step."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    """Name; its products are in the collection ``CAMERA/CAMPAIGN/STEP``."""

    pipeline: str
    """Shipped pipeline or YAML file, beside the campaign's file; ``drp#make_warp,assemble_coadd`` takes some tasks."""

    config: tuple[str, ...] = ()
    """Config overrides, ``label:field=value``."""

    where: str = ""
    """Data ID expression, besides that of the campaign."""

    split: SplitSpec | None = None
    """Run it in groups; None runs all at once."""

    certify: tuple[str, ...] = ()
    """Calibrations that later steps find by date when the step is done."""

    publish: bool = False
    """Send its tables to the archive and its alerts to the alert log."""

    clean_up: tuple[str, ...] = ()
    """Dataset types, of this step or earlier ones, that are deleted when it is done."""

    retries: int = Field(1, ge=0)
    """Further attempts at a quantum that failed for a reason which may pass."""

    time_limit_s: float | None = Field(None, gt=0.0)
    """Longest time of a quantum [s]."""

    memory_limit_mib: float | None = Field(None, gt=0.0)
    """Largest memory of a worker [MiB]."""

    failures_allowed: float = Field(0.0, ge=0.0, le=1.0)
    """Share of failed quanta from which on the campaign stops."""


class CampaignSpec(_Part):
    """A campaign."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    """Name; the products of all steps are in the collection ``CAMERA/NAME``."""

    description: str = ""
    """For people."""

    camera: str | None = None
    """Camera; needed only if the repository holds several."""

    inputs: tuple[str, ...] = ()
    """Collections that are read; by default the raw frames, calibrations, skymaps and reference catalogs."""

    where: str = ""
    """Data ID expression of all steps."""

    steps: tuple[StepSpec, ...] = Field(min_length=1)
    """In order; each reads what those before made."""

    @model_validator(mode="after")
    def _names_differ(self) -> "CampaignSpec":
        twice = [name for name, count in Counter(step.name for step in self.steps).items() if count > 1]
        if twice:
            raise ValueError(f"two steps are called {twice[0]}")
        return self

    @classmethod
    def read(cls, path: Path) -> "CampaignSpec":
        """Read a YAML file.

        Parameters
        ----------
        path : Path
            The file.

        Returns
        -------
        CampaignSpec
            Pipelines that lie beside the file are named with its folder.

        Raises
        ------
        InputError
            If it cannot be read, or something in it is wrong.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError("no such file", source=path, remedy="see docs/user/campaigns.md") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"is not YAML: {' '.join(str(error).split())}", source=path,
                             remedy="correct the line named") from None  # fmt: skip
        if not isinstance(content, dict):
            raise InputError("holds no campaign", source=path, remedy="see docs/user/campaigns.md")
        try:
            return cls.model_validate(content)._beside(path.resolve().parent)
        except ValidationError as error:
            raise explain(error, path, "campaign") from None

    def _beside(self, folder: Path) -> "CampaignSpec":
        """Return the campaign with full paths of pipelines that lie in a folder."""

        def placed(step: StepSpec) -> StepSpec:
            base, mark, labels = step.pipeline.partition("#")
            return step.model_copy(update={"pipeline": f"{folder / base}{mark}{labels}"}) if base.endswith(
                (".yaml", ".yml")) else step  # fmt: skip

        return self.model_copy(update={"steps": tuple(placed(step) for step in self.steps)})

    def where_of(self, step: StepSpec, group: str = "") -> str:
        """Return the data ID expression of a step.

        Parameters
        ----------
        step : StepSpec
            One of the steps.
        group : str
            Expression of one of its groups.

        Returns
        -------
        str
            All that must hold at once; empty for everything.
        """
        parts = [part for part in (self.where, step.where, group) if part]
        return " AND ".join(f"({part})" for part in parts) if len(parts) > 1 else "".join(parts)

    def fingerprint(self, step: StepSpec) -> dict[str, Any]:
        """Return what a step and those before depend on, as JSON-able values.

        Parameters
        ----------
        step : StepSpec
            One of the steps.

        Returns
        -------
        dict
        """
        before = [one.model_dump(mode="json") for one in self.steps[: self.steps.index(step) + 1]]
        return {"inputs": list(self.inputs), "where": self.where, "steps": before}
