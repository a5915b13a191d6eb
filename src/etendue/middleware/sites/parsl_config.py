"""A site in the words of Parsl."""

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from etendue.errors import InputError
from etendue.middleware.sites.interchange import launch_command
from etendue.middleware.sites.site import Site

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_HEARTBEAT_S, _SILENCE_S = 5, 20  # of the jobs, and after which a node counts as lost
EXECUTOR = "etendue"


def parsl_config(site: Site, folder: Path) -> Any:
    """Return Parsl's configuration of a site.

    Parameters
    ----------
    site : Site
        Where quanta run.
    folder : Path
        Gets scripts and logs of the jobs; the nodes must see it.

    Returns
    -------
    parsl.Config

    Raises
    ------
    InputError
        If Parsl is not installed.
    """
    try:
        from parsl import Config, HighThroughputExecutor
    except ImportError:
        raise InputError("sites need Parsl", remedy="pip install 'etendue[parsl]'") from None
    executor = HighThroughputExecutor(
        label=EXECUTOR, provider=_provider(site), address=_address(site), max_workers_per_node=site.workers_per_node,
        cores_per_worker=1e-3, heartbeat_period=_HEARTBEAT_S, heartbeat_threshold=_SILENCE_S,
        worker_logdir_root=str(folder), interchange_launch_cmd=launch_command(),
    )  # fmt: skip
    return Config(executors=[executor], run_dir=str(folder), strategy="simple", max_idletime=30.0, retries=0,
                  initialize_logging=False, exit_mode="skip")  # fmt: skip


def _address(site: Site) -> str | None:
    return "127.0.0.1" if site.provider == "local" and site.address is None else site.address


def _provider(site: Site) -> Any:
    from parsl import launchers, providers

    common: dict[str, Any] = {
        "init_blocks": 1, "min_blocks": 0, "max_blocks": site.jobs, "nodes_per_block": site.nodes_per_job,
        "worker_init": worker_setup(site),
    }  # fmt: skip
    cores = site.cores or site.workers_per_node
    if site.provider == "local":
        return providers.LocalProvider(**common)
    if site.provider == "slurm":
        launcher = launchers.SrunLauncher() if site.nodes_per_job > 1 else launchers.SingleNodeLauncher()
        return providers.SlurmProvider(
            partition=site.partition, account=site.account, walltime=site.walltime, cores_per_node=cores,
            mem_per_node=site.memory_gib, scheduler_options=site.scheduler_options, exclusive=False,
            launcher=launcher, **common,
        )  # fmt: skip
    if site.provider == "htcondor":
        return providers.CondorProvider(
            cores_per_slot=cores, mem_per_slot=site.memory_gib, walltime=site.walltime,
            project=site.account or "", scheduler_options=site.scheduler_options, **common,
        )  # fmt: skip
    if site.image is None:
        raise InputError("a Kubernetes site needs an image", remedy="image: the name of a container with etendue")
    del common["nodes_per_block"]
    return providers.KubernetesProvider(
        image=site.image, namespace=site.namespace, nodes_per_block=site.nodes_per_job, max_cpu=cores, init_cpu=cores,
        init_mem=f"{site.memory_gib or 2}Gi", max_mem=f"{site.memory_gib or 2}Gi",
        persistent_volumes=[tuple(volume) for volume in site.volumes], **common,
    )  # fmt: skip


def worker_setup(site: Site) -> str:
    """Return the shell commands that make a node ready: the same Python, one thread for each worker.

    Parameters
    ----------
    site : Site
        Its own commands come first.

    Returns
    -------
    str
        Lines.
    """
    lines = [site.setup] if site.setup else []
    lines.append(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH")
    if os.environ.get("PYTHONPATH"):
        lines.append(f"export PYTHONPATH={shlex.quote(os.environ['PYTHONPATH'])}")
    lines += [f"export {name}=1" for name in _THREADS]
    return "\n".join(lines)
