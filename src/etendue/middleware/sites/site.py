"""Where quanta run: this machine, or the batch jobs of a cluster."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from etendue.camera.camera import explain
from etendue.errors import InputError

PROVIDERS = ("local", "slurm", "htcondor", "kubernetes")


class Site(BaseModel):
    """A site; every job holds workers that share its nodes."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    provider: Literal["local", "slurm", "htcondor", "kubernetes"]
    """What starts the jobs."""

    workers_per_node: int = Field(2, ge=1)
    """Processes on one node."""

    nodes_per_job: int = Field(1, ge=1)
    """Nodes of one job."""

    jobs: int = Field(1, ge=1)
    """Jobs at most; they are asked for as there is work, and end when there is none."""

    walltime: str = Field("04:00:00", pattern=r"^\d+:\d\d:\d\d$")
    """Longest time of one job; when it ends, its quanta are tried again in others."""

    memory_gib: int | None = Field(None, ge=1)
    """Memory of a node that a job asks for [GiB]."""

    cores: int | None = Field(None, ge=1)
    """Cores of a node that a job asks for; one for each worker by default."""

    partition: str | None = None
    """Slurm's partition."""

    account: str | None = None
    """Account that pays."""

    image: str | None = None
    """Kubernetes: image of a container that holds etendue."""

    namespace: str = "default"
    """Kubernetes: namespace."""

    volumes: tuple[tuple[str, str], ...] = ()
    """Kubernetes: pairs of a persistent volume claim and the path it is mounted at; the repository must be on one."""

    scheduler_options: str = ""
    """Further lines of the job's head, such as ``#SBATCH --constraint=cpu``."""

    setup: str = ""
    """Shell commands before the workers start, such as ``module load python``."""

    address: str | None = None
    """Address of this machine as the nodes see it; all that it has are tried by default."""

    start_timeout_s: float | None = Field(None, gt=0.0)
    """Give up if no worker answers for so long; waits for ever by default [s]."""

    @property
    def workers(self) -> int:
        """Workers of all jobs."""
        return self.workers_per_node * self.nodes_per_job * self.jobs

    @classmethod
    def read(cls, name: str) -> "Site":
        """Return a site from a YAML file; ``local`` alone is this machine.

        Parameters
        ----------
        name : str
            Path of the file, or ``local``.

        Returns
        -------
        Site

        Raises
        ------
        InputError
            If it cannot be read, or something in it is wrong.
        """
        if name == "local":
            return cls(provider="local")
        path = Path(name)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError("no such site", source=path, remedy="give a YAML file, or local") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"is not YAML: {' '.join(str(error).split())}", source=path,
                             remedy="correct the line named") from None  # fmt: skip
        if not isinstance(content, dict):
            raise InputError("holds no site", source=path, remedy="see docs/user/sites.md")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise explain(error, path, "site") from None
