"""Serves a stream of events over HTTP: server-sent events, previews, and a page that shows them."""

import json
import re
import socket
import threading
import uuid
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from etendue.errors import InputError
from etendue.log import get_logger
from etendue.middleware.router.previews import Previews
from etendue.middleware.router.rules import StreamSpec
from etendue.middleware.router.stream_store import StreamStore

_LOG = get_logger(__name__)
_BEAT_S = 15.0  # between signs of life to a subscriber
_SLOW_S = 30.0  # a subscriber that takes nothing for so long is let go; it resumes where it was
_MOST_SUBSCRIBERS = 100
_LOCAL = ("127.0.0.1", "localhost", "[::1]")
_PREVIEW = re.compile(r"/previews/([0-9a-f-]{36})\.png")


class StreamServer:
    """An HTTP server in threads of its own.

    Parameters
    ----------
    spec : StreamSpec
        Where to listen.
    events : Path
        File of published events.
    previews : Previews
        Makes pictures.
    published : threading.Condition
        Notified after every publication.

    Raises
    ------
    InputError
        The address is in use or not ours.
    """

    def __init__(self, spec: StreamSpec, events: Path, previews: Previews, published: threading.Condition):
        self.spec, self.events, self.previews, self.published = spec, events, previews, published
        self.closing = threading.Event()
        self.subscribers = threading.BoundedSemaphore(_MOST_SUBSCRIBERS)
        handler = type("_BoundHandler", (_Handler,), {"home": self})
        family = socket.AF_INET6 if ":" in spec.host else socket.AF_INET
        server = type("_Server", (ThreadingHTTPServer,), {"address_family": family, "daemon_threads": True})
        try:
            self._server = server((spec.host, spec.port), handler)
        except OSError as error:
            remedy = "choose another port or host in the rules"
            raise InputError(
                f"cannot listen: {error.strerror}", source=f"{spec.host}:{spec.port}", remedy=remedy
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="router-http", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Address with the port in use."""
        host = f"[{self.spec.host}]" if ":" in self.spec.host else self.spec.host
        return f"http://{host}:{self._server.server_address[1]}/"

    def close(self) -> None:
        """Stop listening, and let all subscribers go."""
        self.closing.set()
        with self.published:
            self.published.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    home: StreamServer
    protocol_version = "HTTP/1.1"
    server_version = "etendue"
    sys_version = ""
    timeout = _SLOW_S

    def do_GET(self) -> None:
        """Answer a request."""
        host = re.sub(r":\d+$", "", self.headers.get("Host", ""))
        if not self.home.spec.public and host not in _LOCAL:
            self._answer(
                HTTPStatus.FORBIDDEN, b"only for this machine\n"
            )  # a page of another site asked the browser to
            return
        address = urlsplit(self.path)
        routes: dict[str, Callable[[dict[str, list[str]]], None]] = {
            "/": self._page, "/events": self._events, "/last": self._last,
        }  # fmt: skip
        try:
            if address.path in routes:
                routes[address.path](parse_qs(address.query))
            elif found := _PREVIEW.fullmatch(address.path):
                self._preview(found.group(1))
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"there are /, /events, /last and /previews/ID.png\n")
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _page(self, query: dict[str, list[str]]) -> None:
        page = resources.files("etendue.middleware.router").joinpath("display.html").read_bytes()
        self._answer(HTTPStatus.OK, page, "text/html; charset=utf-8")

    def _last(self, query: dict[str, list[str]]) -> None:
        store = StreamStore(self.home.events)
        try:
            self._answer(HTTPStatus.OK, json.dumps({"id": store.last()}).encode(), "application/json")
        finally:
            store.close()

    def _preview(self, name: str) -> None:
        try:
            picture = self.home.previews.png(uuid.UUID(name))
        except ValueError:
            picture = None
        except Exception as error:  # a damaged file must not end the server
            _LOG.warning("no preview of %s: %s", name, error)
            picture = None
        if picture is None:
            self._answer(HTTPStatus.NOT_FOUND, b"no preview\n")
        else:
            self._answer(HTTPStatus.OK, picture, "image/png")

    def _events(self, query: dict[str, list[str]]) -> None:
        asked = self.headers.get("Last-Event-ID") or query.get("after", [""])[0]
        if asked and not asked.isdecimal():
            self._answer(HTTPStatus.BAD_REQUEST, b"after is no number of an event\n")
            return
        if not self.home.subscribers.acquire(blocking=False):
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"too many subscribers\n")
            return
        store = StreamStore(self.home.events)
        try:
            self._send_events(store, int(asked) if asked else store.last(), query)
        finally:
            store.close()
            self.home.subscribers.release()

    def _send_events(self, store: StreamStore, last: int, query: dict[str, list[str]]) -> None:
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        for name, value in (
            ("Content-Type", "text/event-stream"),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self._send("retry: 2000\n\n")
        if last > store.last():
            last = 0  # numbers of another stream: the events of this one begin anew
        if (first := store.first()) > last + 1:
            missed = json.dumps({"first": last + 1, "last": first - 1})
            self._send(f"id: {first - 1}\nevent: gap\ndata: {missed}\n\n")
        end = query.get("end", [""])[0] == "now"  # for programs that only want what there is
        while not self.home.closing.is_set():
            events, last = store.after(last, rules=query.get("rule", ()), types=query.get("type", ()))
            self._send("".join(f"id: {number}\nevent: put\ndata: {body}\n\n" for number, body in events))
            if last >= store.last():
                if end:
                    return
                with self.home.published:
                    if last >= store.last() and not self.home.published.wait(_BEAT_S):
                        self._send(f": {last}\n\n")

    def _send(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header(
            "Content-Security-Policy",
            "default-src 'self'; img-src 'self' data:; script-src 'unsafe-inline'; style-src 'unsafe-inline'",
        )
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: requests are no events of the router."""
