"""A TAP server on this machine that has a few thousand stars, and can fail in every way that real ones do."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Lock, Thread
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from astropy.io.votable import from_table
from astropy.io.votable.tree import Info
from astropy.table import Table

from etendue.geom.sphere import separation_deg
from etendue.refcat.source import open_reference

CENTER = (124.6, 25.3)
N = 1500
_CIRCLE = re.compile(r"CIRCLE\('ICRS',\s*([-\d.]+),\s*([-\d.]+),\s*([-\d.]+)\)")
_CAPABILITIES = (
    '<?xml version="1.0"?><vosi:capabilities xmlns:vosi="http://www.ivoa.net/xml/VOSICapabilities/v1.0"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1">'
    '<capability standardID="ivo://ivoa.net/std/TAP"><interface xsi:type="vs:ParamHTTP" role="std">'
    '<accessURL use="base">{0}</accessURL></interface></capability></vosi:capabilities>'
)


def gaia_sky(seed: int = 5, n: int = N, radius_deg: float = 0.8) -> Table:
    """Return stars as Gaia's columns at VizieR, around `CENTER`."""
    rng = np.random.default_rng(seed)
    turn, distance = rng.uniform(0.0, 2.0 * np.pi, n), radius_deg * np.sqrt(rng.uniform(0.0, 1.0, n))
    colour = rng.uniform(0.3, 2.5, n)
    mag = rng.uniform(11.0, 19.9, n)
    table = Table({
        "Source": np.arange(n, dtype=np.int64) + 7 * 10**17,
        "RA_ICRS": CENTER[0] + distance * np.cos(turn) / np.cos(np.radians(CENTER[1])),
        "DE_ICRS": CENTER[1] + distance * np.sin(turn),
        "e_RA_ICRS": np.full(n, 0.1), "e_DE_ICRS": np.full(n, 0.2),
        "pmRA": rng.normal(0.0, 20.0, n), "pmDE": rng.normal(0.0, 20.0, n),
        "e_pmRA": np.full(n, 0.05), "e_pmDE": np.full(n, 0.06), "Plx": np.full(n, 1.0), "e_Plx": np.full(n, 0.1),
        "Gmag": mag, "e_Gmag": np.full(n, 0.003), "BPmag": mag + 0.4 * colour, "e_BPmag": np.full(n, 0.01),
        "RPmag": mag - 0.6 * colour, "e_RPmag": np.full(n, 0.01), "RUWE": np.full(n, 1.0),
        "E(BP/RP)": 1.162004 + 0.011464 * colour + 0.049255 * colour**2 - 0.005879 * colour**3,
    })  # fmt: skip
    for name, unit in (("e_RA_ICRS", "mas"), ("e_DE_ICRS", "mas"), ("pmRA", "mas/yr"), ("pmDE", "mas/yr")):
        table[name].unit = unit
    return table


@dataclass
class TapServer:
    """What the server has, how it shall behave, and what it was asked."""

    url: str = ""
    tables: dict[str, Table] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    always: str = ""
    row_limit: int = 10**6
    queries: list[str] = field(default_factory=list)
    delay_s: float = 0.0
    lock: Lock = field(default_factory=Lock)

    def answer(self, adql: str, maxrec: int) -> tuple[int, bytes]:
        """Return status and body of a query; the queued failures come first."""
        with self.lock:
            self.queries.append(adql)
            failure = self.failures.pop(0) if self.failures else self.always
        time.sleep(self.delay_s)
        if failure == "500":
            return 500, b"the database is on fire"
        if failure == "refuse":
            return 400, _error("column Gmagg does not exist")
        if failure == "slow":
            time.sleep(1.6)
        with self.lock:  # astropy's VOTable writer is made for one thread
            rows, overflow = self.select(adql, min(maxrec, self.row_limit))
            body = _votable(rows, "OVERFLOW" if overflow else "OK")
        return 200, body[: len(body) // 2] if failure == "truncated" else body

    def select(self, adql: str, limit: int) -> tuple[Table, bool]:
        """Return the stars in the query's circle."""
        name = re.search(r"FROM \"?([^\s\"]+)\"?", adql)
        circle, wanted = _CIRCLE.search(adql), re.search(r"SELECT (.*?) FROM", adql)
        assert name, adql
        assert circle, adql
        assert wanted, adql
        table = self.tables[name[1]]
        ra, dec, radius = map(float, circle.groups())
        columns = [column.strip().strip('"') for column in wanted[1].split(",")]
        position = re.search(r"POINT\('ICRS', (\w+), (\w+)\)", adql)
        assert position is not None
        inside = separation_deg(ra, dec, table[position[1]], table[position[2]]) <= radius
        found = table[columns][inside]
        if "E(BP/RP)" in columns:  # no name for a field of a VOTable
            found.rename_column("E(BP/RP)", "E_BP_RP_")
        return found[:limit], len(found) > limit


def _votable(rows: Table, status: str) -> bytes:
    tree = from_table(rows)
    tree.resources[0].type = "results"
    info = Info(name="QUERY_STATUS", value=status)
    tree.resources[0].infos.append(info)
    stream = BytesIO()
    tree.to_xml(stream)
    return stream.getvalue()


def _error(text: str) -> bytes:
    return (
        '<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE'
        f' type="results"><INFO name="QUERY_STATUS" value="ERROR">{text}</INFO></RESOURCE></VOTABLE>'
    ).encode()


class _Handler(BaseHTTPRequestHandler):
    tap: TapServer

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.endswith("/capabilities"):
            self._send(200, _CAPABILITIES.format(self.tap.url).encode(), "text/xml")
        elif path.endswith("/availability"):
            self._send(200, b"<availability><available>true</available></availability>", "text/xml")
        else:
            self._query(urlsplit(self.path).query)

    def do_POST(self) -> None:
        self._query(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def _query(self, text: str) -> None:
        given = {key.upper(): values[0] for key, values in parse_qs(text).items()}
        status, body = self.tap.answer(given["QUERY"], int(given.get("MAXREC", 10**6)))
        self._send(status, body, "application/x-votable+xml" if status != 500 else "text/plain")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):  # a client that lost its patience
            self.close_connection = True

    def log_message(self, *_args: object) -> None:
        """Stay silent."""


@pytest.fixture(scope="session")
def _server() -> Iterator[TapServer]:
    tap = TapServer()
    handler = type("Handler", (_Handler,), {"tap": tap})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    tap.url = f"http://127.0.0.1:{server.server_address[1]}/tap"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield tap
    server.shutdown()
    server.server_close()


@pytest.fixture
def tap(_server, tmp_path, monkeypatch) -> TapServer:
    """Return the server, fresh, as every service's only address, with an empty cache and no patience."""
    _server.tables = {"I/355/gaiadr3": gaia_sky()}
    _server.failures, _server.always, _server.row_limit, _server.delay_s = [], "", 10**6, 0.0
    _server.queries.clear()
    for name in ("GAIA", "PS1", "2MASS"):
        monkeypatch.setenv(f"ETENDUE_REFCAT_URL_{name}", _server.url)
    settings = tmp_path / "refcat.yaml"
    settings.write_text("defaults: {pause_s: 0.0, timeout_s: 20.0, tries: 2}\n")
    monkeypatch.setenv("ETENDUE_REFCAT_CONFIG", str(settings))
    monkeypatch.setenv("ETENDUE_CACHE", str(tmp_path / "cache"))
    open_reference.cache_clear()
    return _server
