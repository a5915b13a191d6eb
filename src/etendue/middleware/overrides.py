"""Bring the overrides file of a repository into force: one dataset per frame that something is said about.

The file ``overrides.yaml`` beside the data of the repository is what people edit. `OverrideStore.apply` looks up which
frames its entries mean and puts what changed as datasets ``frame_override`` into a new RUN below
``<camera>/overrides/``; the TAGGED collection ``<camera>/overrides``, searched with the raws, holds those that are in
force. So every quantum records exactly what it saw, `pipetask` sees the same, and a frame about which nothing new is
said keeps its dataset. WCSs that the stars of frames gave (`OverrideStore.remember_places`) come into force the same
way.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
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
from etendue.camera.frame_override import FrameOverride
from etendue.camera.overrides import BadFrame, Frame, Overrides
from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.log import get_logger
from etendue.middleware.ingest.records import update_records
from etendue.middleware.visits import raw_info

_log = get_logger(__name__)
DATASET_TYPE = "frame_override"
_DIMENSIONS = ("instrument", "exposure", "detector")
Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class OverrideChange:
    """A frame about which something else is said than before.

    Parameters
    ----------
    exposure, detector : int
        The frame.
    file : str
        Its file, as ingested.
    before, after : str
        What was and is said, in one line; ``nothing`` for no override.
    header : bool
        Whether it concerns what the header says, which visits and dimension records are made of.
    """

    exposure: int
    detector: int
    file: str
    before: str
    after: str
    header: bool


@dataclass(frozen=True, slots=True)
class FrameEffect:
    """What the file says about one frame of the repository.

    Parameters
    ----------
    file : str
        The frame's file, as ingested.
    override : FrameOverride
        What is said.
    """

    file: str
    override: FrameOverride


class OverrideStore:
    """Overrides of one camera in one repository.

    Parameters
    ----------
    root : Path
        The repository.
    camera : Camera
        The camera.
    """

    def __init__(self, root: Path, camera: Camera):
        self._root = root
        self._camera = camera

    @property
    def path(self) -> Path:
        """The file that people edit."""
        return self._root / "overrides.yaml"

    @property
    def collection(self) -> str:
        """TAGGED collection of what is in force."""
        return f"{self._camera.name}/overrides"

    @property
    def _names_path(self) -> Path:
        return self._root / "etendue" / "raw_names" / f"{self._camera.name}.jsonl"

    def read(self) -> Overrides:
        """Return the file's content, checked."""
        return Overrides.read(self.path)

    def add_bad_frame(self, frame: str, reason: str) -> None:
        """Add a bad frame to the file; its comments stay, and it is replaced whole or not at all.

        Parameters
        ----------
        frame, reason : str
            File name, pattern or exposure id, and why it is left out.

        Raises
        ------
        InputError
            If the file is wrong, or says so already.
        """
        known = next(
            (entry for entry in self.read().bad_frames if entry == BadFrame(frame=frame, reason=entry.reason)), None
        )
        if known is not None:
            raise InputError(
                f"{frame!r} is a bad frame already: {known.reason}", source=self.path, remedy="edit it there"
            )
        before = self.path.read_text(encoding="utf-8") if self.path.is_file() else ""
        text = with_bad_frame(before, frame, reason)
        Overrides.parse(text, self.path)
        with whole_file(self.path.resolve(), "overrides-yaml") as part:
            part.write_text(text, encoding="utf-8")

    @property
    def located_path(self) -> Path:
        """Where the WCSs are kept that the stars of frames gave."""
        return self._root / "etendue" / "located" / f"{self._camera.name}.json"

    def located(self) -> dict[Key, dict[str, Any] | None]:
        """Return what is known of the places of frames.

        Returns
        -------
        dict
            By exposure and detector: header cards of the WCS that the stars of a frame gave, or None where its stars
            were searched in vain.
        """
        if not self.located_path.is_file():
            return {}
        return {(int(e), int(d)): cards for e, d, cards in json.loads(self.located_path.read_text())}

    def remember_places(self, found: Mapping[Key, dict[str, Any] | None]) -> None:
        """Keep WCSs that the stars of frames gave; `apply` brings them into force, below what people say.

        Parameters
        ----------
        found : mapping
            As returned by `located`; frames not named, and those searched in vain now but not before, stay as they are.
        """
        known = self.located()
        known |= {key: cards for key, cards in found.items() if cards is not None or key not in known}
        self.located_path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self.located_path, "located") as part:
            part.write_text(json.dumps([[*key, cards] for key, cards in sorted(known.items())]))

    def remember_names(self, files: Mapping[Key, str]) -> None:
        """Keep the names that files had before they were copied into the repository.

        Parameters
        ----------
        files : mapping
            File name by exposure and detector.
        """
        lines = [json.dumps([exposure, detector, name]) + "\n" for (exposure, detector), name in files.items()]
        if lines:
            self._names_path.parent.mkdir(parents=True, exist_ok=True)
            with self._names_path.open("a") as stream:
                stream.write("".join(lines))

    def for_frame(self, overrides: Overrides, file: str, exposure: int, detector: int) -> FrameOverride | None:
        """Return what a file says about a frame that is not in the repository yet.

        Parameters
        ----------
        overrides : Overrides
            The file's content.
        file : str
            Name of the frame's file.
        exposure, detector : int
            The frame.

        Returns
        -------
        FrameOverride or None
            None where nothing is said.
        """
        said = overrides.of_frame(self._frame(file, exposure, detector, ""))
        return None if said.says_nothing else said

    def effects(self, butler: Butler, overrides: Overrides) -> dict[Key, FrameEffect]:
        """Return what a file says about the frames of the repository.

        Parameters
        ----------
        butler : Butler
            Searching the raws.
        overrides : Overrides
            The file's content.

        Returns
        -------
        dict
            By exposure and detector; frames about which nothing is said are left out.
        """
        found, places = {}, {key: cards for key, cards in self.located().items() if cards is not None}
        for frame in self._frames(butler) if places or overrides != Overrides() else ():
            said = _placed(overrides.of_frame(frame), places)
            if not said.says_nothing:
                found[frame.exposure, frame.detector] = FrameEffect(frame.file_name, said)
        return found

    def unmatched(self, butler: Butler, overrides: Overrides) -> list[str]:
        """Return the entries, ``bad_frames.0``, that mean no frame of the repository.

        Parameters
        ----------
        butler : Butler
            Searching the raws.
        overrides : Overrides
            The file's content.

        Returns
        -------
        list of str
        """
        return overrides.unmatched(self._frames(butler) if overrides.entries() else ())

    def apply(self, butler: Butler) -> tuple[OverrideChange, ...]:
        """Bring the file into force.

        Parameters
        ----------
        butler : Butler
            Writeable, searching the raws.

        Returns
        -------
        tuple of OverrideChange
            Sorted by exposure and detector; empty where the file says what it said before.
        """
        butler.collections.register(self.collection, CollectionType.TAGGED)
        butler.registry.registerDatasetType(
            DatasetType(DATASET_TYPE, _DIMENSIONS, "EtendueJson", universe=butler.dimensions)
        )
        wanted = self.effects(butler, self.read())
        current = self.in_force(butler)
        changed = [key for key in sorted({*wanted, *current}) if _said(wanted, key) != _value(current, key)]
        if changed:
            names = {(f.exposure, f.detector): f.file_name for f in self._frames(butler)}
            self._replace(butler, changed, wanted, current)
            self._write_readable({key: effect.override for key, effect in wanted.items()})
            return tuple(_change(key, names.get(key, ""), wanted, current) for key in changed)
        return ()

    def in_force(self, butler: Butler) -> dict[Key, tuple[DatasetRef, FrameOverride]]:
        """Return the datasets in force with their content.

        Parameters
        ----------
        butler : Butler
            Of the repository.

        Returns
        -------
        dict
            By exposure and detector.
        """
        try:
            refs = butler.query_datasets(DATASET_TYPE, collections=self.collection, explain=False, limit=None)
        except (MissingDatasetTypeError, MissingCollectionError):
            return {}
        return {(int(ref.dataId["exposure"]), int(ref.dataId["detector"])): (ref, butler.get(ref)) for ref in refs}

    def said(self, butler: Butler) -> dict[Key, FrameOverride]:
        """Return what is in force, by exposure and detector.

        Parameters
        ----------
        butler : Butler
            Of the repository.

        Returns
        -------
        dict
        """
        return {key: override for key, (_, override) in self.in_force(butler).items()}

    def _replace(
        self,
        butler: Butler,
        changed: Iterable[Key],
        wanted: Mapping[Key, FrameEffect],
        current: Mapping[Key, tuple[DatasetRef, FrameOverride]],
    ) -> None:
        run = f"{self.collection}/{datetime.now(tz=UTC):%Y%m%dT%H%M%S%fZ}"
        butler.collections.register(run, CollectionType.RUN)
        with butler.transaction():
            butler.registry.disassociate(self.collection, [current[key][0] for key in changed if key in current])
            fresh = [
                butler.put(
                    wanted[key].override, DATASET_TYPE, run=run, instrument=self._camera.name, exposure=key[0],
                    detector=key[1],
                )
                for key in changed
                if key in wanted
            ]  # fmt: skip
            butler.registry.associate(self.collection, fresh)

    def _write_readable(self, said: Mapping[Key, FrameOverride]) -> None:
        """Tell readers of raw frames, which see no collections, what headers should have said."""
        path = readable_path(self._root / "etendue" / "cameras", self._camera.name)
        content = {f"{key[0]} {key[1]}": override.to_dict() for key, override in sorted(said.items())}
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, "overrides") as part:
            part.write_text(json.dumps(content, indent=1))

    def _frames(self, butler: Butler) -> Iterable[Frame]:
        names = self._original_names()
        where = "instrument = camera_name"
        refs = butler.query_datasets(
            "raw", where=where, bind={"camera_name": self._camera.name}, with_dimension_records=True, explain=False,
            limit=None, collections=f"{self._camera.name}/raw/all",
        )  # fmt: skip
        for ref in refs:
            key = int(ref.dataId["exposure"]), int(ref.dataId["detector"])
            name = names.get(key) or butler.getURI(ref).basename()
            yield self._frame(name, *key, str(ref.dataId["physical_filter"]))

    def _frame(self, file: str, exposure: int, detector: int, physical_filter: str) -> Frame:
        return Frame(
            camera=self._camera.name, file_name=file, exposure=exposure, detector=detector,
            detector_name=self._camera.detector(detector).name, physical_filter=physical_filter,
        )  # fmt: skip

    def _original_names(self) -> dict[Key, str]:
        lines = self._names_path.read_text().splitlines() if self._names_path.is_file() else []
        return {(int(exposure), int(detector)): str(name) for exposure, detector, name in map(json.loads, lines)}


def _placed(said: FrameOverride, places: Mapping[Key, dict[str, Any]]) -> FrameOverride:
    """Return what is said of a frame with the WCS of its stars, unless people gave it a WCS or a pointing."""
    cards = places.get((said.exposure, said.detector))
    if cards is None or said.wcs is not None or said.ra_deg is not None:
        return said
    return said.model_copy(update={"wcs": cards, "wcs_from_stars": True})


def _said(wanted: Mapping[Key, FrameEffect], key: Key) -> FrameOverride | None:
    return wanted[key].override if key in wanted else None


def _value(current: Mapping[Key, tuple[DatasetRef, FrameOverride]], key: Key) -> FrameOverride | None:
    return current[key][1] if key in current else None


def _change(
    key: Key,
    file: str,
    wanted: Mapping[Key, FrameEffect],
    current: Mapping[Key, tuple[DatasetRef, FrameOverride]],
) -> OverrideChange:
    nothing = FrameOverride(exposure=key[0], detector=key[1])
    before, after = _value(current, key) or nothing, _said(wanted, key) or nothing
    return OverrideChange(*key, file, before.describe(), after.describe(), before.of_header() != after.of_header())


def correct_records(
    butler: Butler, camera: Camera, exposures: Collection[int], said: Mapping[Key, FrameOverride]
) -> None:
    """Make the records of exposures say what is in force; a header that cannot be read leaves its record alone.

    Parameters
    ----------
    butler : Butler
        Writeable, searching the raws.
    camera : Camera
        The camera.
    exposures : collection of int
        Which exposures.
    said : mapping
        What is in force, by exposure and detector.
    """
    refs = butler.query_datasets(
        "raw", collections=f"{camera.name}/raw/all", where="instrument = camera_name AND exposure IN (exposures)",
        bind={"camera_name": camera.name, "exposures": sorted(exposures)}, explain=False, limit=None,
    )  # fmt: skip
    infos = []
    for ref in refs:
        try:
            key = int(ref.dataId["exposure"]), int(ref.dataId["detector"])
            infos.append(raw_info(butler, camera, ref, said.get(key)))
        except InputError as error:
            _log.warning("%s", error)
    update_records(butler, infos)


def readable_path(cameras_folder: Path, camera: str) -> Path:
    """Return where readers of raw frames find the overrides of a camera."""
    return cameras_folder / f"{camera}.overrides.json"


def override_for(data_id: Mapping[str, Any], folders: Iterable[Path]) -> FrameOverride | None:
    """Return what is said about a raw frame, for readers that see no collections.

    Parameters
    ----------
    data_id : mapping
        With instrument, exposure and detector.
    folders : iterable of Path
        Folders of camera YAML; the first that knows the frame counts.

    Returns
    -------
    FrameOverride or None
    """
    for folder in folders:
        path = readable_path(folder, str(data_id["instrument"]))
        if path.is_file():
            said = _readable(path, path.stat().st_mtime_ns).get(f"{data_id['exposure']} {data_id['detector']}")
            if said is not None:
                return FrameOverride.from_dict(said)
    return None


@cache
def _readable(path: Path, changed_ns: int) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def with_bad_frame(text: str, frame: str, reason: str) -> str:
    """Return the text of an overrides file with one more bad frame; comments stay.

    Parameters
    ----------
    text : str
        The file as it is.
    frame, reason : str
        File name, pattern or exposure id, and why it is left out.

    Returns
    -------
    str
    """
    entry = f"- {{frame: {json.dumps(frame)}, reason: {json.dumps(reason, ensure_ascii=False)}}}"
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if re.fullmatch(r"bad_frames:\s*(#.*)?", line):
            following = next((item for item in lines[number + 1 :] if item.strip() and item.strip()[0] != "#"), "")
            indent = following[: len(following) - len(following.lstrip())] if following.lstrip()[:1] == "-" else "  "
            return "\n".join([*lines[: number + 1], f"{indent}{entry}", *lines[number + 1 :]]) + "\n"
    return "\n".join([*lines, "bad_frames:", f"  {entry}"]) + "\n"
