"""Say loudly which frames are processed without a bias or a flat."""

from collections import Counter

from etendue.middleware.calibrations import calibration_chain
from etendue.middleware.repository import Repository


def missing_calibrations(home: Repository, camera: str) -> tuple[str, ...]:
    """Return a line per detector without certified bias, and per detector and filter without certified flat.

    Parameters
    ----------
    home : Repository
        With raws of the camera.
    camera : str
        Its name.

    Returns
    -------
    tuple of str
        Only for detectors and filters with science frames.
    """
    science = home.query("raw", collections=f"{camera}/raw/all", where="exposure.observation_type='science'")
    names = {detector.id: detector.name for detector in home.camera(camera).detectors}
    frames = Counter((int(ref.dataId["detector"]), str(ref.dataId["physical_filter"])) for ref in science)
    certified = calibration_chain(camera)  # with curated ones
    bias = {int(ref.dataId["detector"]) for ref in _certified(home, "bias", certified)}
    flats = {
        (int(ref.dataId["detector"]), str(ref.dataId["physical_filter"])) for ref in _certified(home, "flat", certified)
    }
    lines = []
    for detector in sorted({detector for detector, _ in frames}):
        if detector not in bias:
            n = sum(count for (other, _), count in frames.items() if other == detector)
            lines.append(_line(n, "bias", f"detector {names[detector]}"))
    for (detector, name), n in sorted(frames.items()):
        if (detector, name) not in flats:
            lines.append(_line(n, "flat", f"detector {names[detector]} in filter {name}"))
    return tuple(lines)


def _certified(home: Repository, dataset_type: str, collection: str) -> tuple:
    return home.query(dataset_type, collections=collection, find_first=False)


def _line(n: int, kind: str, what: str) -> str:
    frames = "1 science frame is" if n == 1 else f"{n} science frames are"
    return f"no {kind} of {what}: {frames} processed without; add {kind} frames and run again"
