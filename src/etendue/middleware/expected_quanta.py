"""How many quanta pipelines will have, before anything that they read of each other is there."""

import uuid
from collections import Counter
from collections.abc import Sequence

from lsst.pipe.base import Pipeline
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from etendue.errors import InputError, NothingToDoError
from etendue.middleware.graphs import build_graph
from etendue.middleware.repository import Repository


def expected_quanta(home: Repository, pipelines: Sequence[Pipeline], inputs: Sequence[str], where: str) -> Counter[str]:
    """Return the number of quanta by task.

    Parameters
    ----------
    home : Repository
        With the data.
    pipelines : sequence of Pipeline
        In order; a later one may read what an earlier one makes.
    inputs : sequence of str
        Collections searched in order.
    where : str
        Data ID expression.

    Returns
    -------
    Counter of str
        By label; empty where the data that they begin with are not there.

    Raises
    ------
    InputError
        If the expression is wrong, or two pipelines call a task by one name.
    """
    whole = Pipeline("all steps")
    for pipeline in pipelines:
        twice = sorted(set(whole.task_labels) & set(pipeline.task_labels))
        if twice:
            raise InputError("a task is in two steps", value=twice[0], remedy="name each task in one step")
        whole.mergePipeline(pipeline)
    output = f"forecast/{uuid.uuid4().hex}"
    butler = home.butler.clone(collections=list(inputs))
    try:
        components = build_graph(whole, butler, f"{output}/run", output=output, where=where)
    except NothingToDoError:
        return Counter()
    return _count(components.assemble())


def _count(graph: PredictedQuantumGraph) -> Counter[str]:
    return Counter({label: len(quanta) for label, quanta in graph.quanta_by_task.items()})
