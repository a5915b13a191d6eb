import io
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from PIL import Image as Picture

from etendue.errors import InputError
from etendue.middleware.router.router import Router
from etendue.middleware.router.stream_store import StreamStore

RULES = """
sinks: {live: {kind: stream, port: 0%s}}
rules:
  - {name: pictures, datasets: picture, sinks: live}
  - {name: labels, datasets: label, sinks: live}
"""


@contextmanager
def served(routing, extra="") -> Iterator[str]:
    """Run a router in a thread; gives the address of its stream."""
    router, ready, failed = routing.router(RULES % extra), threading.Event(), list[Exception]()

    def work() -> None:
        try:
            router.run(ready=lambda made: ready.set())
        except Exception as error:
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(20)
    if failed:
        raise failed[0]
    try:
        yield router.urls["live"]
    finally:
        router.stop()
        thread.join(20)
        assert not thread.is_alive()


class Subscriber:
    """Reads server-sent events."""

    def __init__(self, url, query="", **headers):
        self.answer = urllib.request.urlopen(urllib.request.Request(f"{url}events{query}", headers=headers), timeout=20)

    def next(self):
        fields = {}
        for line in self.answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if not name and "data" in fields:
                return fields
            if not name:
                fields = {}
            elif name != "":
                fields[name] = value
        return None

    def close(self):
        self.answer.close()


@pytest.fixture
def pictures(routing):
    for number in (1, 2, 3):
        routing.picture(number, seed=number)
    return routing


def store(routing):
    return StreamStore(routing.state / "live" / "stream.sqlite3")


def test_what_is_there_and_what_comes_is_told_in_order(pictures):
    with served(pictures) as url:
        subscriber = Subscriber(url, "?after=0&rule=pictures")
        told = [subscriber.next() for _ in range(3)]
        assert [int(one["id"]) for one in told] == sorted(int(one["id"]) for one in told)
        body = json.loads(told[0]["data"])
        assert body["dataset_type"] == "picture"
        assert body["data_id"]["exposure"] == 1
        assert body["key"].startswith("live/pictures/")
        pictures.picture(4, seed=4)
        assert json.loads(subscriber.next()["data"])["data_id"]["exposure"] == 4
        subscriber.close()


def test_a_subscriber_resumes_after_the_last_event_it_saw_also_with_another_router(pictures):
    with served(pictures) as url:
        first = Subscriber(url, "?after=0&type=picture").next()
    pictures.picture(4)
    with served(pictures) as url:
        subscriber = Subscriber(url, "?type=picture", **{"Last-Event-ID": first["id"]})
        exposures = [json.loads(subscriber.next()["data"])["data_id"]["exposure"] for _ in range(3)]
        subscriber.close()
    assert sorted(exposures) == [2, 3, 4]


def test_every_dataset_is_told_once_however_often_the_router_starts(pictures):
    for _ in range(3):
        pictures.once(RULES % "")
    events, _ = store(pictures).after(0)
    keys = [json.loads(body)["key"] for _, body in events]
    assert len(keys) == len(set(keys)) == 4


def test_previews_are_small_pictures(pictures):
    with served(pictures, ", preview_px: 32") as url:
        event = json.loads(Subscriber(url, "?after=0&type=picture").next()["data"])
        with urllib.request.urlopen(url + event["preview"][1:], timeout=20) as answer:
            assert answer.headers["Content-Type"] == "image/png"
            first = answer.read()
        assert max(Picture.open(io.BytesIO(first)).size) <= 32
        with urllib.request.urlopen(url + event["preview"][1:], timeout=20) as answer:
            assert answer.read() == first


def test_what_is_no_image_has_no_preview(pictures):
    with served(pictures) as url:
        event = json.loads(Subscriber(url, "?after=0&type=label").next()["data"])
        assert event["preview"] is None
        assert status_of(f"{url}previews/{event['id']}.png") == 404


def test_nothing_else_is_served(pictures):
    unknown = "previews/00000000-0000-0000-0000-000000000000.png"
    with served(pictures) as url:
        for path in ("previews/../../butler.yaml", unknown, f"previews/{'-' * 36}.png", "nothing", "butler.yaml"):
            assert status_of(url + path) == 404, path


def test_pages_of_other_sites_cannot_read_it(pictures):
    with served(pictures) as url:
        assert status_of(url, Host="evil.example") == 403
        assert status_of(url, Host="localhost:1234") == 200
        assert status_of(url + "events?after=x") == 400


def test_the_page_shows_events_without_anything_from_outside(pictures):
    with served(pictures) as url, urllib.request.urlopen(url, timeout=20) as answer:
        page = answer.read().decode()
    assert "EventSource" in page
    assert "http:" not in page.replace("http://www.w3.org", "")


def test_events_that_are_kept_no_more_leave_a_gap_that_is_told(pictures):
    pictures.once(RULES % ", retention: {events: 2}")
    with served(pictures, ", retention: {events: 2}") as url:
        subscriber = Subscriber(url, "?after=1")
        gap = subscriber.next()
        assert (gap["event"], json.loads(gap["data"])) == ("gap", {"first": 2, "last": 2})
        assert [int(subscriber.next()["id"]) for _ in range(2)] == [3, 4]
        subscriber.close()


def test_a_port_in_use_is_one_line(pictures):
    with served(pictures) as url:
        port = url.rstrip("/").rpartition(":")[2]
        other = pictures.folder / "other"
        router = Router(pictures.repository, pictures.router((RULES % "").replace("port: 0", f"port: {port}"))._rules,
                        pictures.folder / "rules.yaml", state=other)  # fmt: skip
        with pytest.raises(InputError, match="cannot listen: Address already in use; choose another port"):
            router.run()


def test_a_key_is_published_once(tmp_path):
    events = StreamStore(tmp_path / "stream.sqlite3")
    body = {"key": "k", "rule": "r", "dataset_type": "raw"}
    assert events.publish([body, body | {"key": "l"}]) == [1, 2]
    assert events.publish([body | {"key": "m"}, body]) == [3, 1]
    assert events.after(1, limit=1) == ([(2, json.dumps(body | {"key": "l"}, separators=(",", ":")))], 2)


def test_numbers_grow_even_when_all_events_are_forgotten(tmp_path):
    events = StreamStore(tmp_path / "stream.sqlite3")
    body = {"key": "k", "rule": "r", "dataset_type": "raw"}
    events.publish([body])
    events.trim(1e-12, 10)
    assert (events.first(), events.last(), events.after(0)) == (2, 1, ([], 1))
    assert events.publish([body | {"key": "l"}]) == [2]


def status_of(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
