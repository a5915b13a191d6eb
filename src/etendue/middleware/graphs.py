"""Build quantum graphs: all of a pipeline, or only the part that has to run again."""

from collections.abc import Collection, Sequence
from typing import Any

from lsst.daf.butler import Butler, MissingDatasetTypeError
from lsst.pipe.base import Pipeline
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder
from lsst.pipe.base.quantum_graph import PredictedQuantumGraphComponents
from lsst.pipe.base.quantum_graph_builder import QuantumGraphBuilderError

from etendue.errors import InputError, NothingToDoError
from etendue.middleware.pipeline import check_pipeline

QuantumKey = tuple[str, tuple[int | str, ...]]
"""Task label and required values of the data ID."""


class _PartialBuilder(AllDimensionsQuantumGraphBuilder):
    """Takes products from earlier runs except those of the quanta named."""

    def __init__(self, *args: Any, stale: Collection[QuantumKey], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._stale = stale

    def _skip_quantum_if_metadata_exists(self, task_node: Any, quantum_key: Any, skeleton: Any) -> bool:
        """Decide, and act on it: what pipe_base 30.0.0 calls."""
        return not self._is_stale(quantum_key) and super()._skip_quantum_if_metadata_exists(
            task_node, quantum_key, skeleton
        )

    def _compute_skip_decision(self, task_node: Any, quantum_key: Any, skeleton: Any) -> bool:
        """Decide only: what pipe_base 30.0.11 calls."""
        return not self._is_stale(quantum_key) and super()._compute_skip_decision(task_node, quantum_key, skeleton)

    def _is_stale(self, quantum_key: Any) -> bool:
        return (quantum_key.task_label, tuple(quantum_key.data_id_values)) in self._stale


def build_graph(
    pipeline: Pipeline,
    butler: Butler,
    run: str,
    *,
    output: str,
    where: str,
    stale: Collection[QuantumKey] | None = None,
    earlier: Sequence[str] = (),
) -> PredictedQuantumGraphComponents:
    """Build the graph of a run.

    Parameters
    ----------
    pipeline : Pipeline
        What to run.
    butler : Butler
        Searching the inputs.
    run, output : str
        RUN of the products, and the chain it will belong to.
    where : str
        Data ID expression.
    stale : collection, optional
        Quanta to run; the products of all others come from ``earlier``. Everything runs by default.
    earlier : sequence of str
        Collections with the products of earlier runs.

    Returns
    -------
    PredictedQuantumGraphComponents
        Without quanta where nothing matches.

    Raises
    ------
    InputError
        Bad pipeline or expression, or missing inputs.
    """
    pipeline_graph = check_pipeline(pipeline)
    try:
        builder = _PartialBuilder(
            pipeline_graph, butler, where=where, output_run=run, stale=stale or (),
            skip_existing_in=() if stale is None else list(earlier),
        )  # fmt: skip
        return builder.finish(output=output, metadata={"data_query": where}, attach_datastore_records=True)
    except QuantumGraphBuilderError as error:
        if not isinstance(error.__context__, MissingDatasetTypeError):
            raise _unbuildable(error) from error
        raise NothingToDoError(
            "nothing to do: the repository holds no data of a kind that the pipeline reads",
            source=str(error).partition(" found (")[0].removeprefix("No datasets for overall-input "),
            remedy="ingest frames, or run the pipeline that makes them",
        ) from error
    except Exception as error:  # Rubin raises many types for bad expressions and missing inputs
        raise _unbuildable(error) from error


def _unbuildable(error: Exception) -> InputError:
    return InputError(f"cannot build the graph: {error}", remedy="check the inputs and the expression")
