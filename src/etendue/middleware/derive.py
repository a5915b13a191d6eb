"""Derive Rubin's PipelineTask, Connections and Config from a stage."""

import re
import sys
import types
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any, ClassVar

from lsst.daf.butler import DataCoordinate, DatasetRef
from lsst.pipe.base import AlgorithmError as RubinAlgorithmError
from lsst.pipe.base import (
    AnnotatedPartialOutputsError,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    connectionTypes,
)
from threadpoolctl import ThreadpoolController

from etendue.errors import AlgorithmError, InputError
from etendue.middleware import storage
from etendue.middleware.stage_config import config_namespace, to_model
from etendue.middleware.timeless_calibrations import find_timeless
from etendue.stages.stage import Connection, Input, Output, Prerequisite, Stage, seed_from

storage.register_storage_classes()


class DefeatedError(RubinAlgorithmError):
    """An etendue AlgorithmError in the shape in which pipe_base records it."""

    def __init__(self, error: AlgorithmError):
        super().__init__(str(error))
        self._metadata = {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in error.metadata.items()
        }

    @property
    def metadata(self) -> dict[str, Any]:
        """Numbers that explain the failure."""
        return self._metadata


class Handle:
    """A deferred dataset: its data ID is known, nothing is read before `get`."""

    def __init__(self, deferred: Any):
        self._deferred = deferred

    @property
    def data_id(self) -> dict[str, int | str]:
        """Data ID of the dataset, required and implied dimensions."""
        return plain_data_id(self._deferred.dataId)

    def get(self, component: str | None = None, box: Any = None) -> Any:
        """Read the dataset, one of its components, or a cutout.

        Parameters
        ----------
        component : str, optional
            Part of the dataset, for instance ``"wcs"``.
        box : Box, optional
            Cutout in the dataset's own pixel coordinates.

        Returns
        -------
        object
        """
        return self._deferred.get(component=component, parameters=None if box is None else {"box": box})


class StageConnections(PipelineTaskConnections, dimensions=()):  # type: ignore[call-arg]
    """Connections of a derived task: filters by observation type, finds calibrations by the inputs' times."""

    stage_class: ClassVar[type[Stage]]

    def __init__(self, *, config: Any = None):
        super().__init__(config=config)
        for name, connection in self.stage_class.inputs().items():
            switch = getattr(connection, "switch", None)
            if switch is not None and not getattr(config, switch):
                delattr(self, name)

    def adjust_all_quanta(self, adjuster: Any) -> None:
        """Give quanta what others read of the same exposures, where a connection asks for it."""
        for name, connection in self.stage_class.inputs().items():
            if getattr(connection, "others", False) and name in self.inputs:
                _share(adjuster, name)

    def adjustQuantum(  # noqa: N802 (Rubin's name)
        self,
        inputs: dict[str, tuple[Any, Collection[DatasetRef]]],
        outputs: Mapping[str, tuple[Any, Collection[DatasetRef]]],
        label: str,
        data_id: DataCoordinate,
    ) -> tuple[Mapping[str, tuple[Any, Collection[DatasetRef]]], Mapping[str, Any]]:
        """Drop exposures of other observation types and what follows them; prune the quantum when too few are left."""
        adjusted: dict[str, tuple[Any, Collection[DatasetRef]]] = {}
        for name, connection in self.stage_class.inputs().items():
            wanted = getattr(connection, "observation_types", None)
            if wanted is not None and name in inputs:
                rubin, refs = inputs[name]
                kept = [ref for ref in refs if _observation_type(ref) in wanted]
                if len(kept) < len(refs):
                    adjusted[name] = (rubin, kept)
        inputs.update(adjusted)
        for name, connection in self.stage_class.inputs().items():
            followed = getattr(connection, "follows", None)
            if followed is not None and name in inputs:
                rubin, refs = inputs[name]
                frames = {ref.dataId for ref in inputs[followed][1]}
                adjusted[name] = inputs[name] = (rubin, [ref for ref in refs if ref.dataId in frames])
        super().adjustQuantum(inputs, outputs, label, data_id)
        return adjusted, {}

    def getTemporalBoundsConnections(self) -> Iterable[str]:  # noqa: N802 (Rubin's name)
        """Return the connections whose times select calibrations, for quanta without a time of their own."""
        return [
            name
            for name, c in self.stage_class.connections.items()
            if not isinstance(c, Prerequisite) and {"exposure", "visit"} & set(c.dimensions)
        ]


class StageTask(PipelineTask):
    """Base of the derived tasks: gathers inputs, calls the stage's pure run, writes what it returns."""

    ConfigClass = PipelineTaskConfig
    stage_class: ClassVar[type[Stage]]

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        model = to_model(self.config, self.stage_class.config_class)
        self.stage: Any = self.stage_class(model)

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:  # noqa: N802
        """Run the stage on one quantum.

        Parameters
        ----------
        butlerQC : QuantumContext
            Butler of this quantum.
        inputRefs, outputRefs : QuantizedConnection
            What to read and what may be written.

        Raises
        ------
        AnnotatedPartialOutputsError
            The data defeated the method: the quantum is marked with the reason and the run goes on.
        """
        data_id = plain_data_id(butlerQC.quantum.dataId)
        self.metadata["seed"] = seed_from(data_id)
        self.metadata["inputs"] = [str(r.id) for refs in butlerQC.quantum.inputs.values() for r in refs]
        try:
            arguments = {
                name: _gather(butlerQC, self._refs(inputRefs, name, data_id), connection, self.log)
                for name, connection in self.stage_class.inputs().items()
            }
            if self.stage_class.wants_data_id:
                arguments["data_id"] = data_id
            # Sums of several BLAS threads have other last bits: one thread makes the bytes equal in every executor.
            with _libraries(len(sys.modules)).limit(limits=1, user_api="blas"):
                result = self.stage.run(**arguments)
        except AlgorithmError as error:
            defeated = DefeatedError(error)
            raise AnnotatedPartialOutputsError.annotate(defeated, self, log=self.log) from defeated
        except Exception:
            self.log.exception("%s failed on %s", self.stage_class.__name__, data_id)  # the log keeps the traceback
            raise
        for name in self.stage_class.outputs():
            value = getattr(result, name)
            if value is not None:
                butlerQC.put(value, getattr(outputRefs, name))

    def _refs(self, input_refs: Any, name: str, data_id: Mapping[str, Any]) -> Any:
        """Return the references of a connection; Rubin gives datasets to every connection of their type."""
        refs, connections = getattr(input_refs, name, None), self.stage_class.connections
        mine = getattr(connections[name], "others", False)
        twins = [c for c in connections.values() if c.name == connections[name].name and getattr(c, "others", False)]
        if not refs or not twins:
            return refs
        return [ref for ref in refs if (_data_id(ref)["detector"] != data_id["detector"]) == mine]


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """Look for the libraries with threads, which takes a millisecond; again only when something was imported since."""
    return ThreadpoolController()


def derive_task(stage_class: type[Stage], module: str) -> type[StageTask]:
    """Return the PipelineTask that runs a stage, with its Connections and Config.

    Parameters
    ----------
    stage_class : type[Stage]
        Any concrete stage.
    module : str
        Module that offers the result under the stage's own name, and the config under
        ``<Stage>Config``; pipeline YAML and saved configs refer to it.

    Returns
    -------
    type[StageTask]
    """
    name = stage_class.__name__
    connections = types.new_class(
        f"{name}Connections",
        (StageConnections,),
        {"dimensions": stage_class.dimensions},
        lambda body: body.update(_connections_body(stage_class, module)),
    )
    config_body = config_namespace(stage_class.config_class, module, PipelineTaskConfig) | {"__module__": module}
    config = types.new_class(
        f"{name}Config", (PipelineTaskConfig,), {"pipelineConnections": connections}, partial(_fill, config_body)
    )
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    body = {
        "__doc__": stage_class.__doc__,
        "__module__": module,
        "ConfigClass": config,
        "_DefaultName": snake,
        "stage_class": stage_class,
    }
    return type(name, (StageTask,), body)


def plain_data_id(data_id: DataCoordinate) -> dict[str, int | str]:
    """Return a data ID as a plain dict of its required and, where known, implied dimensions.

    Parameters
    ----------
    data_id : DataCoordinate
        Rubin's data ID.

    Returns
    -------
    dict[str, int | str]
    """
    return dict(data_id.mapping) if data_id.hasFull() else dict(data_id.required)


def _share(adjuster: Any, name: str) -> None:
    """Add to each quantum the datasets that others have of its exposures."""
    own = {quantum: adjuster.get_inputs(quantum)[name] for quantum in adjuster.iter_data_ids()}
    together: dict[Any, set[DataCoordinate]] = {}
    for data_ids in own.values():
        for data_id in data_ids:
            together.setdefault(data_id["exposure"], set()).add(data_id)
    for quantum, data_ids in own.items():
        for exposure in sorted({data_id["exposure"] for data_id in data_ids}):
            for data_id in sorted(together[exposure] - set(data_ids)):
                adjuster.add_input(quantum, name, data_id)


def _fill(values: dict[str, Any], body: dict[str, Any]) -> None:
    body.update(values)


def _connections_body(stage_class: type[Stage], module: str) -> dict[str, Any]:
    body: dict[str, Any] = {"__module__": module, "stage_class": stage_class}
    for name, connection in stage_class.connections.items():
        body[name] = _rubin_connection(stage_class, name, connection)
    return body


def _rubin_connection(stage_class: type[Stage], name: str, connection: Connection) -> Any:
    common: dict[str, Any] = {
        "doc": f"{name} of {stage_class.__name__}",
        "name": connection.name,
        "storageClass": connection.storage,
        "dimensions": connection.dimensions,
    }
    assert isinstance(connection, Input | Prerequisite | Output)
    common["isCalibration"] = connection.calibration
    if isinstance(connection, Output):
        return connectionTypes.Output(**common)
    common |= {
        "multiple": connection.multiple,
        "deferLoad": connection.deferred,
        "minimum": connection.minimum,
    }
    if getattr(connection, "others", False):
        common["minimum"] = 1  # the quantum's own is among them, and without one there is no quantum
    if isinstance(connection, Prerequisite):
        if connection.calibration and not {"exposure", "visit"} & set(stage_class.dimensions):
            common["lookupFunction"] = find_timeless
        return connectionTypes.PrerequisiteInput(**common)
    return connectionTypes.Input(**common)


def _gather(butler_qc: Any, refs: Any, connection: Input | Prerequisite, log: Any) -> Any:
    if not connection.multiple:
        return None if refs is None else _read(butler_qc, refs)
    ordered = sorted(refs or (), key=lambda ref: _data_id(ref))
    if connection.storage == "EtendueRaw":
        return _read_frames(butler_qc, ordered, log)
    return tuple(_read(butler_qc, ref) for ref in ordered)


def _read_frames(butler_qc: Any, refs: list[Any], log: Any) -> tuple[Any, ...]:
    """Read raw frames; one that was damaged after ingest is left out, and only if all are the data are at fault."""
    frames, reasons = [], []
    for ref in refs:
        try:
            frames.append(_read(butler_qc, ref))
        except Exception as error:  # the Butler wraps what its formatters raise
            reason = _input_error(error)
            if reason is None:
                raise
            log.warning("left out: %s", reason)
            reasons.append(str(reason))
    if reasons and not frames:
        raise AlgorithmError("; ".join(reasons))
    return tuple(frames)


def _input_error(error: BaseException | None) -> InputError | None:
    """Return the InputError among the causes of an error."""
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__ or error.__context__
    return error


def _read(butler_qc: Any, ref: Any) -> Any:
    value = butler_qc.get(ref)
    return value if isinstance(ref, DatasetRef) else Handle(value)


def _data_id(ref: Any) -> DataCoordinate:
    return ref.dataId if isinstance(ref, DatasetRef) else ref.datasetRef.dataId


def _observation_type(ref: DatasetRef) -> str | None:
    record = ref.dataId.records["exposure"]
    return None if record is None else record.observation_type
