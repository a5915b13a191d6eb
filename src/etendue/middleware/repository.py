"""One door to a repository: cameras, raws, visits, calibrations, skymaps, datasets."""

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsst.daf.butler import (
    Butler,
    CollectionType,
    DatasetRef,
    DatasetType,
    MissingCollectionError,
    MissingDatasetTypeError,
)

from etendue.camera.camera import Camera
from etendue.camera.observation_info import ObservationInfo
from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.geom.skymap import SkyMap
from etendue.middleware import calibrations, skymaps, visits
from etendue.middleware.cameras import camera_for, register_records
from etendue.middleware.configuration import Places, make_repository, opened
from etendue.middleware.database import database_trouble, lost_race
from etendue.middleware.database_tables import complete_tables, lacks_table
from etendue.middleware.datastores import share_side_files
from etendue.middleware.formatters import camera_folders
from etendue.middleware.ingest.file_reader import FoundFrame
from etendue.middleware.ingest.intake import REGION_PADDING_PX, Intake, IntakeRules
from etendue.middleware.ingest.outcome import IngestOutcome, Transfer
from etendue.middleware.overrides import OverrideChange, OverrideStore, correct_records
from etendue.middleware.refusals import Refusals
from etendue.middleware.verification import FailedProducts, judged
from etendue.middleware.visits import VisitOutcome


class Repository:
    """A Butler repository with etendue's types; make it with `create` or `open`.

    Parameters
    ----------
    root : Path
        Folder with ``butler.yaml``.
    butler : Butler
        Butler of that folder.
    """

    def __init__(self, root: Path, butler: Butler):
        self.path = root
        self.butler = butler
        self._read: dict[str, dict[tuple[int, int], FoundFrame]] = {}  # by camera: headers of the last ingest
        camera_folders.add(self.cameras_folder)

    @classmethod
    def create(cls, root: str | Path, places: Places | None = None) -> "Repository":
        """Create a repository; it appears whole or not at all.

        Parameters
        ----------
        root : str or Path
            Folder that does not exist yet, or is empty.
        places : Places, optional
            Where its database and files are; both inside the folder by default.

        Returns
        -------
        Repository

        Raises
        ------
        InputError
            The folder is in use or cannot be written, or the database or the files' place cannot be used.
        """
        make_repository(root, places or Places())
        return cls.open(root, writeable=True)

    @classmethod
    def open(cls, root: str | Path, *, writeable: bool = True) -> "Repository":
        """Open a repository.

        Parameters
        ----------
        root : str or Path
            Its folder.
        writeable : bool
            Whether anything may be added.

        Returns
        -------
        Repository

        Raises
        ------
        InputError
            There is no repository, or it cannot be opened.
        """
        return cls(Path(root).resolve(), opened(root, writeable=writeable))

    @property
    def root(self) -> str:
        """Folder as text."""
        return str(self.path)

    @property
    def runs_folder(self) -> Path:
        """Where the executor keeps graphs and journals."""
        return self.path / "etendue" / "runs"

    @property
    def cameras_folder(self) -> Path:
        """Where the YAML of every registered camera is kept."""
        return self.path / "etendue" / "cameras"

    @property
    def refusals(self) -> Refusals:
        """Which files and exposures were refused, and why."""
        return Refusals(self.path / "etendue" / "refused.jsonl")

    @contextmanager
    def writing(self, *, run: str | None = None, collections: Sequence[str] = ()) -> Iterator[Butler]:
        """Give a Butler that writes into a run and reads from collections.

        Parameters
        ----------
        run : str, optional
            RUN collection, made when missing.
        collections : sequence of str
            Searched in order.
        """
        if not self.butler.isWriteable():
            raise InputError("the repository was opened read-only", source=self.path)
        try:
            if run is not None:
                self.butler.collections.register(run, CollectionType.RUN)
            yield self.butler.clone(run=run, collections=list(collections) or None)
        except Exception as error:
            if lacks_table(error) and complete_tables(self.butler):
                remedy = "it is made now: do it again"
                raise InputError("the database had no room for a table", source=self.path, remedy=remedy) from error
            if (trouble := database_trouble(error)) is not None:
                raise trouble from error
            raise

    # Cameras and raws

    def register_camera(self, camera: Camera, *, update: bool = False) -> None:
        """Register a camera, keep its YAML in the repository, and put it as dataset ``camera``.

        Parameters
        ----------
        camera : Camera
            What to register.
        update : bool
            Replace a different camera of the same name.

        Raises
        ------
        InputError
            A different camera of this name is registered and ``update`` is False.
        """
        register_records(self.butler.registry, camera, update=update)
        fault_point("camera.after-records")
        run, chain = f"{camera.name}/calib/camera", calibrations.calibration_chain(camera.name)
        self.register_dataset_type("camera", ("instrument",), "EtendueCamera")
        self.butler.collections.register(self.calibration_collection(camera.name), CollectionType.CALIBRATION)
        try:
            self._put_camera(camera, run, update=update)
        except Exception as error:
            if not lost_race(error):
                raise
            self.butler.registry.refresh()
            self._put_camera(camera, run, update=update)  # another process did: its camera must be the same
        for name in (f"{camera.name}/raw/all", skymaps.SKYMAP_RUN):
            self.butler.collections.register(name, CollectionType.RUN)
        members = [self.calibration_collection(camera.name), run]
        self._chain(chain, calibrations.chain_members(self.butler, chain, members))  # curated ones keep their place
        self._chain_defaults(camera.name)

    def _put_camera(self, camera: Camera, run: str, *, update: bool) -> None:
        path = self.cameras_folder / f"{camera.name}.yaml"
        with self.writing(run=run, collections=[run]) as butler:
            existing = butler.query_datasets("camera", collections=run, instrument=camera.name, explain=False)
            same = bool(existing) and butler.get(existing[0]) == camera
            if existing and not same and not update:
                raise InputError(
                    "a different camera of this name is registered", value=camera.name, remedy="register with update"
                )
            if existing and not same:
                butler.pruneDatasets(existing, disassociate=True, unstore=True, purge=True)
            if not same:
                butler.put(camera, "camera", instrument=camera.name)
        fault_point("camera.after-put")
        description = camera.to_yaml()
        if not path.is_file() or path.read_text() != description:  # a process may have died between the two
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path, "camera-yaml") as part:
                part.write_text(description)
        self.share_cameras()

    def share_cameras(self) -> None:
        """Put the descriptions of cameras beside files that are not in the repository's folder, for their readers."""
        share_side_files(self.cameras_folder, self.butler)

    def cameras(self) -> list[str]:
        """Return the names of the registered cameras."""
        return sorted(record.name for record in self.butler.query_dimension_records("instrument", explain=False))

    def camera(self, name: str | None = None) -> Camera:
        """Return a registered camera.

        Parameters
        ----------
        name : str, optional
            May be left out when only one is registered.

        Returns
        -------
        Camera

        Raises
        ------
        InputError
            It is not registered, or the choice is open.
        """
        known = self.cameras()
        if name is None and len(known) == 1:
            name = known[0]
        if name is None or name not in known:
            raise InputError(
                "no such camera in the repository",
                source=self.path,
                value=name,
                remedy=f"registered: {', '.join(known) or 'none'}",
            )
        return camera_for(name, (self.cameras_folder,))

    def ingest(
        self,
        paths: Iterable[str | Path],
        *,
        camera: str | None = None,
        transfer: Transfer = "copy",
        rules: IntakeRules | None = None,
        seen: Callable[[Sequence[IngestOutcome]], None] = lambda _: None,
    ) -> tuple[IngestOutcome, ...]:
        """Ingest raw frames into ``<camera>/raw/all``; files that are there already are passed over.

        Parameters
        ----------
        paths : iterable of str or Path
            FITS files.
        camera : str, optional
            Registered camera; may be left out when only one is registered.
        transfer : {"copy", "link", "direct"}
            Copy into the repository, link from it, or refer to the file where it is.
        rules : IntakeRules, optional
            More of how they are taken; its transfer counts then.
        seen : callable
            Told what became of some files, as soon as they are in the repository for good.

        Returns
        -------
        tuple of IngestOutcome
            One per frame: ingested, replaced, already there, or refused and why; `refusals` remembers the refused.
        """
        chosen = self.camera(camera)
        intake = Intake(self, chosen, rules or IntakeRules(transfer))
        outcomes: list[IngestOutcome] = []
        for some in intake.take(paths):
            outcomes.extend(some)
            seen(some)
        self._read = {chosen.name: intake.frames}
        self.apply_overrides(chosen.name)
        return tuple(outcomes)

    def overrides(self, camera: str) -> OverrideStore:
        """Return the manual overrides of a camera, with the file that people edit.

        Parameters
        ----------
        camera : str
            Registered camera.

        Returns
        -------
        OverrideStore
        """
        return OverrideStore(self.path, self.camera(camera))

    def apply_overrides(self, camera: str | None = None) -> tuple[OverrideChange, ...]:
        """Bring the file ``overrides.yaml``, and places that stars gave, into force: frames, dimension records, visits.

        Parameters
        ----------
        camera : str, optional
            Registered camera; may be left out when only one is registered.

        Returns
        -------
        tuple of OverrideChange
            Frames about which something else is said than before.

        Raises
        ------
        InputError
            The file is wrong: one line names the entry.
        """
        chosen = self.camera(camera)
        store = self.overrides(chosen.name)
        sources = store.path, store.located_path
        if not any(path.is_file() for path in sources) and not self.has_collection(store.collection):
            return ()
        with self.writing(collections=[f"{chosen.name}/raw/all"]) as butler:
            changes = store.apply(butler)
            self.share_cameras()
            again = {change.exposure for change in changes if change.header}
            if again:
                correct_records(butler, chosen, again, store.said(butler))
        self._chain_defaults(chosen.name)
        if again:
            self.define_visits(chosen.name, again=again)
        return changes

    def raw_infos(self, refs: Iterable[DatasetRef]) -> list[ObservationInfo]:
        """Return the translated headers of raw frames, or what is said instead; their pixels are not read.

        Parameters
        ----------
        refs : iterable of DatasetRef
            Of type ``raw`` and one camera, from `query`.

        Returns
        -------
        list of ObservationInfo
            In the order of ``refs``.
        """
        wanted = list(refs)
        if not wanted:
            return []
        name = str(wanted[0].dataId["instrument"])
        camera, said = self.camera(name), self.overrides(name).said(self.butler)
        keys = [(int(ref.dataId["exposure"]), int(ref.dataId["detector"])) for ref in wanted]
        return [visits.raw_info(self.butler, camera, ref, said.get(key)) for ref, key in zip(wanted, keys, strict=True)]

    def define_visits(
        self, camera: str | None = None, *, again: Collection[int] = (), only: Collection[int] | None = None
    ) -> tuple[VisitOutcome, ...]:
        """Define visits of all science exposures; detectors that came later are added to those that are there.

        Parameters
        ----------
        camera : str, optional
            Registered camera; may be left out when only one is registered.
        again : collection of int
            Exposures to define anew although they are visits already.
        only : collection of int, optional
            Exposures to look at; all by default.

        Returns
        -------
        tuple of VisitOutcome
            One per exposure of which something was missing: defined, or why not.
        """
        chosen = self.camera(camera)
        with self.writing(collections=[f"{chosen.name}/raw/all"]) as butler:
            said = self.overrides(chosen.name).said(butler)
            outcomes = visits.define_visits(
                butler, chosen, padding_px=REGION_PADDING_PX, again=again, only=only, said=said,
                read=self._read.pop(chosen.name, {}),
            )  # fmt: skip
        self.refusals.record({f"exposure {o.exposure}": o.reason for o in outcomes}, camera=chosen.name)
        return outcomes

    # Calibrations and skymaps

    def calibration_collection(self, camera: str) -> str:
        """Return the CALIBRATION collection of a camera, a member of the chain ``<camera>/calib``."""
        return f"{camera}/calib/certified"

    def certify(
        self,
        dataset_types: Sequence[str],
        *,
        run: str | Sequence[str],
        camera: str | None = None,
        begin_mjd_tai: float | None = None,
        end_mjd_tai: float | None = None,
        replace: bool = False,
        failed: Container[object] | None = None,
    ) -> int:
        """Make the calibrations of a run valid from one time to another.

        Parameters
        ----------
        dataset_types : sequence of str
            ``("bias", "flat")``; a type that the run lacks is passed over.
        run : str or sequence of str
            Collections that hold them; of several versions the first one counts.
        camera : str, optional
            Registered camera; may be left out when only one is registered.
        begin_mjd_tai, end_mjd_tai : float, optional
            Validity [day, TAI]; unbounded where left out.
        replace : bool
            Take overlapping validity away from earlier calibrations.
        failed : container of DatasetRef, optional
            Datasets that are left out; by default those that the verification in ``run`` failed.

        Returns
        -------
        int
            Number of datasets certified.
        """
        with self.writing() as butler:
            return calibrations.certify(
                butler,
                dataset_types,
                run=run,
                collection=self.calibration_collection(self.camera(camera).name),
                begin_mjd_tai=begin_mjd_tai,
                end_mjd_tai=end_mjd_tai,
                replace=replace,
                failed=FailedProducts(judged(butler, run)) if failed is None else failed,
            )

    def register_skymap(self, skymap: SkyMap, name: str, *, tracts: Iterable[int] | None = None) -> None:
        """Register a skymap in collection ``skymaps``; calling again adds tracts.

        Parameters
        ----------
        skymap : SkyMap
            The map.
        name : str
            Its name in data IDs.
        tracts : iterable of int, optional
            All by default.
        """
        with self.writing(run=skymaps.SKYMAP_RUN, collections=[skymaps.SKYMAP_RUN]) as butler:
            skymaps.register_skymap(butler, skymap, name, tracts)

    # Datasets

    def has_collection(self, name: str) -> bool:
        """Return whether a collection exists."""
        try:
            self.butler.collections.get_info(name)
        except MissingCollectionError:
            return False
        return True

    def register_dataset_type(
        self, name: str, dimensions: Sequence[str], storage: str, *, calibration: bool = False
    ) -> None:
        """Register a dataset type; nothing happens when it is there already.

        Parameters
        ----------
        name, dimensions, storage
            As in a stage's connections.
        calibration : bool
            Whether it is found by validity range.
        """
        self.butler.registry.registerDatasetType(
            DatasetType(name, tuple(dimensions), storage, universe=self.butler.dimensions, isCalibration=calibration)
        )

    def query(
        self, dataset_type: str, *, collections: str | Sequence[str], where: str = "", find_first: bool = True
    ) -> tuple[DatasetRef, ...]:
        """Return the datasets that match an expression, sorted by data ID.

        Parameters
        ----------
        dataset_type : str
            Name.
        collections : str or sequence of str
            Searched in order.
        where : str
            ``"visit > 5 AND band = 'r'"``, as in LSST's tools.
        find_first : bool
            One dataset per data ID, from the first collection that has it.

        Returns
        -------
        tuple of DatasetRef
            Empty where the type or collection has none.

        Raises
        ------
        InputError
            The expression is wrong or the collection unknown.
        """
        try:
            butler = self.butler.clone(collections=collections)  # knows which instrument is meant
            refs = butler.query_datasets(dataset_type, where=where, find_first=find_first, explain=False, limit=None)
        except MissingDatasetTypeError:
            return ()
        except Exception as error:  # expression errors have no common base
            raise InputError(f"cannot query {dataset_type}: {error}", source=self.path, value=where or None) from error
        return tuple(sorted(refs, key=lambda ref: ref.dataId.full_values))  # as by data ID, at a fraction of the time

    def get(
        self,
        dataset: str | DatasetRef,
        data_id: Mapping[str, Any] | None = None,
        *,
        collections: str | Sequence[str] | None = None,
        component: str | None = None,
        **parameters: Any,
    ) -> Any:
        """Read a dataset.

        Parameters
        ----------
        dataset : str or DatasetRef
            Type name with a data ID, or what `query` returned.
        data_id : mapping, optional
            Data ID.
        collections : str or sequence of str, optional
            Searched in order.
        component : str, optional
            Part of the dataset, ``"wcs"``.
        **parameters : object
            ``box=`` of images, ``columns=`` of tables.

        Returns
        -------
        object

        Raises
        ------
        InputError
            There is no such dataset, or its file is missing.
        """
        wanted = {key: value for key, value in parameters.items() if value is not None} or None
        try:
            if isinstance(dataset, DatasetRef):
                ref = dataset if component is None else dataset.makeComponentRef(component)
                return self.butler.get(ref, parameters=wanted)
            name = dataset if component is None else f"{dataset}.{component}"
            return self.butler.get(name, dict(data_id or {}), collections=collections, parameters=wanted)
        except (LookupError, FileNotFoundError) as error:
            raise InputError(f"cannot read {dataset}: {error}", source=self.path) from error

    def put(self, value: Any, dataset_type: str, data_id: Mapping[str, Any], *, run: str) -> DatasetRef:
        """Write a dataset of a registered type.

        Parameters
        ----------
        value : object
            What to write.
        dataset_type : str
            Name, registered before.
        data_id : mapping
            Data ID.
        run : str
            RUN collection, made when missing.

        Returns
        -------
        DatasetRef
        """
        with self.writing(run=run) as butler:
            return butler.put(value, dataset_type, dict(data_id))

    def _chain_defaults(self, camera: str) -> None:
        """Make the chain of everything that pipelines of a camera read."""
        tagged = f"{camera}/overrides"
        members = [tagged] if self.has_collection(tagged) else []
        self._chain(f"{camera}/defaults", [*members, f"{camera}/raw/all", f"{camera}/calib", skymaps.SKYMAP_RUN])

    def _chain(self, name: str, members: Sequence[str]) -> None:
        self.butler.collections.register(name, CollectionType.CHAINED)
        self.butler.collections.redefine_chain(name, list(members))
