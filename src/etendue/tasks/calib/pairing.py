"""Which flats of a night are pairs of one light."""

from collections.abc import Sequence

from etendue.camera.observation_info import ObservationInfo

_EQUAL = 1e-3


def pair_exposures(infos: Sequence[ObservationInfo]) -> list[tuple[int, int]]:
    """Pair each flat with the next of its filter and exposure time; each is in one pair at most.

    Biases (exposure time 0) are paired alike. What is read from disk may wait until a pair is measured.

    Parameters
    ----------
    infos : sequence of ObservationInfo
        Of flats or biases, in any order.

    Returns
    -------
    list of tuple of int
        Places in ``infos``, in order of exposure.
    """
    order = sorted(range(len(infos)), key=lambda k: infos[k].exposure_id)
    waiting: dict[str, list[int]] = {}
    pairs: list[tuple[int, int]] = []
    for k in order:
        same = waiting.setdefault(infos[k].physical_filter, [])
        seconds = infos[k].exposure_time_s
        match = next((j for j in same if abs(infos[j].exposure_time_s - seconds) <= _EQUAL * seconds), None)
        if match is None:
            same.append(k)
        else:
            same.remove(match)
            pairs.append((match, k))
    return pairs
