"""The history of a router's sinks as a picture."""

from pathlib import Path

from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.middleware.router.status import sink_queues


def draw_history(state: Path, path: Path) -> None:
    """Draw when datasets were found and when they were delivered, a panel per sink.

    Parameters
    ----------
    state : Path
        Of the router.
    path : Path
        PNG.

    Raises
    ------
    InputError
        Nothing was found yet.
    """
    from etendue.qa.router_plot import SinkHistory, router_plot

    histories = []
    for name, queue in sink_queues(state):
        rows = queue.history()
        found = sorted(begin for begin, _, _ in rows)
        done = sorted(end for _, end, kind in rows if end is not None and kind in ("done", "expired", "replaced"))
        dead = sorted(end for _, end, kind in rows if end is not None and kind == "dead")
        if rows:
            histories.append(SinkHistory(name, str(queue.fact("kind") or ""), found, done, dead))
    if not histories:
        raise InputError("no router has found anything yet", source=state, remedy="run one first")
    picture = router_plot(histories)
    with whole_file(path, "router-history") as part:
        part.write_bytes(picture)
