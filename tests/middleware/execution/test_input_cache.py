"""A worker keeps what it read last, within bounds, and only what nobody changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.middleware.execution.input_cache import InputCache, size_of
from etendue.table.table import Table


def exposure(side=64):
    box = Box.from_shape((side, side))
    return Exposure(image=Image.full(box, 1.0), mask=Mask.empty(box), variance=Image.full(box, 1.0), unit="")


def test_the_size_of_an_exposure_is_that_of_its_planes():
    pixels = 64 * 64 * (4 + 4 + 4)
    assert pixels <= size_of(exposure()) < 1.2 * pixels + 20_000


def test_the_size_of_a_table_is_that_of_its_columns():
    n = 10_000
    table = Table("refcat", {"id": np.arange(n), "ra": np.zeros(n), "dec": np.zeros(n)})
    assert 3 * 8 * n <= size_of(table) <= 1.1 * len(table.schema.columns) * 8 * n


def test_views_count_what_they_hold_in_memory():
    whole = np.zeros(1000)
    assert size_of(whole[:1]) >= whole.nbytes
    assert size_of((whole, whole)) < 2 * whole.nbytes


@given(st.lists(st.integers(0, 9), max_size=60))
def test_it_never_holds_more_than_its_limit(keys):
    cache, limit = InputCache(5000), 5000
    for key in keys:
        if cache.get(key) is None:
            cache.put(key, np.zeros(100 + 20 * key))
        assert cache.size <= limit


def test_the_one_that_was_not_used_longest_goes_first():
    cache = InputCache(3 * 920)
    for key in "abc":
        cache.put(key, np.zeros(100))
    assert cache.get("a") is not None
    cache.put("d", np.zeros(100))
    assert cache.get("b") is None
    assert cache.get("a") is not None


@pytest.mark.parametrize("value", [{"a": 1}, [1], None, np.zeros(10**6)], ids=["dict", "list", "nothing", "large"])
def test_what_can_be_changed_or_is_too_large_is_not_kept(value):
    cache = InputCache(10_000)
    cache.put("key", value)
    assert cache.get("key") is None
    assert cache.size == 0


def test_a_cache_of_no_size_keeps_nothing():
    cache = InputCache(0)
    cache.put("key", 1)
    assert cache.get("key") is None
