import errno
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from etendue.alerts.alert_log import AlertLog
from etendue.alerts.batch import AlertBatch
from etendue.errors import InputError

from .conftest import VISIT


def raw_batch(visit: int, content: bytes = b"packet") -> AlertBatch:
    return AlertBatch(visit, 0, (visit,), (content,))


def test_publishing_twice_adds_nothing(tmp_path, batch):
    log = AlertLog(tmp_path / "alerts")
    assert log.publish(batch)
    size = next((tmp_path / "alerts").glob("*.segment")).stat().st_size
    assert not log.publish(batch)
    assert not AlertLog(tmp_path / "alerts").publish(batch)
    assert next((tmp_path / "alerts").glob("*.segment")).stat().st_size == size
    assert len(log) == 3


def test_other_alerts_under_the_same_key_supersede_and_both_stay(tmp_path):
    log = AlertLog(tmp_path)
    first, second = raw_batch(1), raw_batch(1, b"different")
    assert log.publish(first)
    assert log.publish(raw_batch(2))
    assert log.publish(second)
    assert not log.publish(second)
    log = AlertLog(tmp_path)
    assert log.keys == ("1/0", "2/0")
    assert list(log.batches()) == [second, raw_batch(2)]
    assert log.batch("1/0") == log.batch("1/0", version=2) == second
    assert log.batch("1/0", version=1) == first
    assert [(b.key, b.version, b.superseded) for b in log.history()] == [
        ("1/0", 1, True), ("1/0", 2, False), ("2/0", 1, False),
    ]  # fmt: skip
    assert len(log) == 2
    with pytest.raises(InputError, match=r"no such version of batch 1/0 \(got 3\); use 1 to 2"):
        log.batch("1/0", version=3)


def test_going_back_to_an_earlier_result_is_a_version_of_its_own(tmp_path):
    log = AlertLog(tmp_path)
    for content in (b"a", b"b", b"a"):
        assert log.publish(raw_batch(1, content))
    assert [batch.version for batch in log.history()] == [1, 2, 3]
    assert log.batch("1/0") == raw_batch(1, b"a")


def test_an_empty_batch_withdraws_the_alerts_before_it(tmp_path):
    log = AlertLog(tmp_path)
    log.publish(raw_batch(1))
    assert log.publish(AlertBatch(1, 0, (), ()))
    assert len(log) == 0
    assert len(log.batch("1/0", version=1)) == 1


def test_frames_written_before_there_were_versions_are_the_first(tmp_path):
    payload = raw_batch(1).to_bytes()
    label = json.dumps(["1/0", raw_batch(1).content_hash(), 1]).encode()
    lengths = struct.pack("<IQ", len(label), len(payload))
    checksum = zlib.crc32(payload, zlib.crc32(label, zlib.crc32(lengths)))
    (tmp_path / "00000000.segment").write_bytes(b"EALF" + struct.pack("<I", checksum) + lengths + label + payload)
    log = AlertLog(tmp_path)
    assert not log.publish(raw_batch(1))
    assert log.publish(raw_batch(1, b"later"))
    assert [batch.version for batch in log.history()] == [1, 2]


@pytest.mark.parametrize("zeros", [0, 3])
def test_a_torn_tail_at_any_byte_is_ignored_and_then_repaired(tmp_path, zeros):
    log = AlertLog(tmp_path)
    log.publish(raw_batch(1))
    segment = next(tmp_path.glob("*.segment"))
    whole = segment.stat().st_size
    log.publish(raw_batch(2))
    content = segment.read_bytes()
    for size in range(whole, len(content)):
        segment.write_bytes(content[:size] + bytes(zeros if size == whole else 0))
        assert AlertLog(tmp_path).keys == ("1/0",)
        log = AlertLog(tmp_path)
        assert log.publish(raw_batch(2))
        assert segment.read_bytes() == content
        assert [found.visit for found in AlertLog(tmp_path).batches()] == [1, 2]


def test_a_flipped_bit_in_the_middle_is_reported_not_cut_off(tmp_path):
    log = AlertLog(tmp_path)
    log.publish(raw_batch(1, bytes(100)))
    log.publish(raw_batch(2))
    segment = next(tmp_path.glob("*.segment"))
    content = bytearray(segment.read_bytes())
    content[120] ^= 1
    segment.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        len(AlertLog(tmp_path))


def test_segments_rotate_and_are_read_in_order(tmp_path):
    log = AlertLog(tmp_path, segment_bytes=300)
    for visit in range(10):
        log.publish(raw_batch(visit))
    assert len(list(tmp_path.glob("*.segment"))) > 2
    assert [batch.visit for batch in AlertLog(tmp_path).batches()] == list(range(10))


def test_a_reader_sees_what_another_writer_appends(tmp_path):
    reader, writer = AlertLog(tmp_path), AlertLog(tmp_path)
    assert len(reader) == 0
    writer.publish(raw_batch(1))
    assert "1/0" in reader
    assert reader.batch("1/0") == raw_batch(1)
    with pytest.raises(InputError, match="no such batch"):
        reader.batch("9/9")


def test_many_writers_at_once_publish_every_batch_once(tmp_path):
    logs = [AlertLog(tmp_path, segment_bytes=2000) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda log: sum(log.publish(raw_batch(visit)) for visit in range(30)), logs))
    assert sum(counts) == 30
    assert sorted(batch.visit for batch in AlertLog(tmp_path).batches()) == list(range(30))


def test_sql_selects_detections(tmp_path, batch):
    log = AlertLog(tmp_path)
    log.publish(batch)
    np.testing.assert_array_equal(log.select("psfFlux > 1000 AND NOT isDipole")["diaSourceId"], [100, 101])
    assert len(list(log.alerts(("diaSource",)))) == 3
    for hostile in ("1=1) UNION SELECT * FROM read_csv('/etc/passwd'", "nonsense >", "1=1; DROP TABLE dia_source"):
        with pytest.raises(InputError):
            log.select(hostile)


def test_a_log_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        AlertLog(tmp_path / "file" / "log").publish(raw_batch(1))


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    log = AlertLog(tmp_path)
    log.publish(raw_batch(1))

    def refuse(_number):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(InputError, match="No space left"):
            log.publish(raw_batch(2))
    assert AlertLog(tmp_path).keys == ("1/0",)
    assert log.publish(raw_batch(2))
    assert AlertLog(tmp_path).keys == ("1/0", "2/0")


_WRITER = """
import sys
from etendue.alerts.alert_log import AlertLog
from etendue.alerts.batch import AlertBatch
log = AlertLog(sys.argv[1])
print("ready", flush=True)
for visit in range(100000):
    log.publish(AlertBatch(visit, 0, (visit,), (bytes(200000),)))
"""


def test_a_killed_writer_loses_nothing_that_was_published(tmp_path):
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE)
    writer.stdout.readline()
    time.sleep(0.25)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    log = AlertLog(tmp_path)
    published = log.keys
    assert published == tuple(f"{visit}/0" for visit in range(len(published)))
    assert log.publish(raw_batch(VISIT))
    assert AlertLog(tmp_path).keys == (*published, f"{VISIT}/0")
