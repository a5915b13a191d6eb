"""Find the raw frames of a repository by their stars, where headers give a pointing at best."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from etendue.app.solving.each_frame import each_frame
from etendue.app.solving.frame_search import SearchOptions, search_frame
from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.frame_override import FrameOverride
from etendue.camera.header_wcs import write_wcs_cards
from etendue.camera.observation_info import ObservationInfo
from etendue.errors import EtendueError
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import separation_deg
from etendue.middleware.datastores import local_file
from etendue.middleware.repository import Repository
from etendue.refcat.star_index import StarIndex


@dataclass(frozen=True)
class LocateOutcome:
    """What became of one frame.

    Parameters
    ----------
    file : str
        Its name.
    exposure, detector : int
        The frame.
    how : str
        ``pointing`` or ``blind``; empty if it was not found.
    reason : str
        Why it was not found.
    cards : dict or None
        WCS as the frame's own header would say it.
    ra_deg, dec_deg : float
        Middle of the frame [deg]; NaN if it was not found.
    moved_arcmin : float
        Distance from where the header put it [arcmin]; NaN where the header said nothing.
    matched : int
        Stars of the fit.
    rms_arcsec : float
        Scatter of the fit per axis [arcsec].
    """

    file: str
    exposure: int
    detector: int
    how: str = ""
    reason: str = ""
    cards: dict[str, Any] | None = None
    ra_deg: float = float("nan")
    dec_deg: float = float("nan")
    moved_arcmin: float = float("nan")
    matched: int = 0
    rms_arcsec: float = float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values, NaN as None."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


def locate_frames(
    home: Repository,
    camera: Camera,
    index: Callable[[], Path],
    *,
    every: bool = False,
    workers: int = 2,
    progress: bool = True,
) -> list[LocateOutcome]:
    """Search the stars of science frames in a star index, and give the frames the WCS found.

    The WCS counts from then on wherever the header's did: in visits, skymaps and pipelines. What people say in
    ``overrides.yaml`` goes before it. Frames that were searched before are not searched again.

    Parameters
    ----------
    home : Repository
        Writeable, with raw frames.
    camera : Camera
        Registered camera.
    index : callable
        Gives a star index, or a reference catalog that has one; called only if there is a frame to search.
    every : bool
        Also frames whose header has a WCS, and those searched before; by default only frames with a pointing at best.
    workers : int
        Processes.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    list of LocateOutcome
        One per frame searched.

    Raises
    ------
    InputError
        If there is no index.
    """
    with ExitStack() as fetched:
        wanted = _wanted(home, camera, every, fetched)
        if not wanted:
            return []
        outcomes = _searched(home, camera, index, wanted, workers, progress)
    home.overrides(camera.name).remember_places({(o.exposure, o.detector): o.cards for o in outcomes})
    home.apply_overrides(camera.name)
    return outcomes


def _searched(
    home: Repository, camera: Camera, index: Callable[[], Path], wanted: list["_Frame"], workers: int, progress: bool
) -> list[LocateOutcome]:
    options = SearchOptions(index(), str(home.cameras_folder / f"{camera.name}.yaml"))
    StarIndex.open(options.index)  # one clear refusal instead of one per frame
    found = each_frame(partial(_search, options=options), wanted, "finding", workers=workers, progress=progress)
    return [_outcome(frame.info, camera, place) for frame, place in zip(wanted, found, strict=True)]


@dataclass(frozen=True)
class _Frame:
    """One detector of one exposure, and the file that holds it."""

    path: Path
    info: ObservationInfo


def _wanted(home: Repository, camera: Camera, every: bool, fetched: ExitStack) -> list[_Frame]:
    """Return the frames to search; those in a remote store are fetched until the stack is closed."""
    refs = home.query("raw", collections=f"{camera.name}/raw/all", where="exposure.observation_type='science'")
    store = home.overrides(camera.name)
    said, known = store.said(home.butler), store.located()
    by_hand = {key for key, override in said.items() if _is_by_hand(override)}
    wanted = []
    for ref, info in zip(refs, home.raw_infos(refs), strict=True):
        key = info.exposure_id, info.detector_id
        unknown = key not in known and (info.wcs is None or info.wcs_is_approximate)
        if key not in by_hand and (every or unknown):
            wanted.append(_Frame(fetched.enter_context(local_file(home.butler.getURI(ref))), info))
    return wanted


def _is_by_hand(said: FrameOverride) -> bool:
    """Whether people say where the frame is, or that it is left out."""
    return bool(said.excluded) or said.ra_deg is not None or (said.wcs is not None and not said.wcs_from_stars)


@dataclass(frozen=True)
class _Place:
    """What a worker found; the frame itself stays there."""

    how: str
    wcs: dict[str, Any]
    statistics: dict[str, Any]


def _search(frame: _Frame, options: SearchOptions) -> _Place | str:
    """Return where a frame is, or why that is not known."""
    try:
        found = search_frame(frame.path, options, detector=frame.info.detector_id, exposure=frame.info.exposure_id)
    except EtendueError as error:
        return str(error)
    return _Place(found.how, found.solved.wcs.to_dict(), found.statistics())


def _outcome(info: ObservationInfo, camera: Camera, place: _Place | str) -> LocateOutcome:
    if isinstance(place, str):
        return LocateOutcome(info.file_name, info.exposure_id, info.detector_id, reason=place)
    detector, wcs = camera.detector(info.detector_id), SkyWcs.from_dict(place.wcs)
    ra, dec = _middle(wcs, detector)
    moved = float("nan") if info.wcs is None else 60.0 * float(separation_deg(ra, dec, *_middle(info.wcs, detector)))
    return LocateOutcome(
        info.file_name, info.exposure_id, info.detector_id, place.how, "", write_wcs_cards(wcs, camera, detector),
        ra, dec, moved, int(place.statistics["matched"]), float(place.statistics["rms_arcsec"]),
    )  # fmt: skip


def _middle(wcs: SkyWcs, detector: Detector) -> tuple[float, float]:
    ra, dec = wcs.pixel_to_sky(x=detector.bbox.x.center, y=detector.bbox.y.center)
    return float(ra), float(dec)
