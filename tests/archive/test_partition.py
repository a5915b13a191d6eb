from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.archive.partition import ROW_ORDER, Partition, assign, split

PIXELS = st.lists(st.integers(0, 12 * 4**ROW_ORDER - 1), max_size=60)


def overlapping(parts) -> bool:
    ordered = sorted(parts, key=lambda part: part.first)
    return any(a.last >= b.first for a, b in pairwise(ordered))


@settings(max_examples=40, deadline=None)
@given(old=PIXELS, new=PIXELS, max_rows=st.integers(1, 5))
def test_every_row_lies_in_exactly_one_partition_and_none_overlap(old, new, max_rows):
    old_rows, new_rows = np.array(old, np.int64), np.array(new, np.int64)
    existing = {
        piece for part, index in assign(old_rows, ()) for piece, _ in split(part, old_rows[index], max_rows, 12)
    }
    seen = np.zeros(new_rows.size, int)
    parts = set(existing)
    for part, index in assign(new_rows, existing):
        assert all(part.first <= row <= part.last for row in new_rows[index].tolist())
        seen[index] += 1
        parts.add(part)
    assert (seen == 1).all()
    assert not overlapping(parts)


@settings(max_examples=40, deadline=None)
@given(rows=PIXELS, max_rows=st.integers(1, 5))
def test_no_partition_holds_more_rows_than_allowed_unless_it_cannot_be_split(rows, max_rows):
    pixels = np.array([row % 4**ROW_ORDER for row in rows], np.int64)
    pieces = dict(split(Partition(0, 0), pixels, max_rows, 6))
    assert all(index.size <= max_rows or part.order == 6 for part, index in pieces.items())
    assert sum(index.size for index in pieces.values()) == pixels.size


def test_the_path_is_the_one_of_the_hats_convention():
    assert Partition(6, 12345).path == "dataset/Norder=6/Dir=10000/Npix=12345.parquet"
