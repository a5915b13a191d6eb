"""The linking kernels agree with their definitions."""

import numpy as np

from etendue.kernels.moving import members, nearest_in_frame, recurrence, supported_pairs


def strewn(seed, frames=6, per_frame=12):
    rng = np.random.default_rng(seed)
    x = np.concatenate([np.sort(rng.uniform(0, 60, per_frame)) for _ in range(frames)])
    return x, rng.uniform(0, 60, x.size), np.arange(frames + 1, dtype=np.int64) * per_frame


def test_nearest_is_the_closest_inside_the_radius():
    x, y, start = strewn(1)
    for px, py in np.random.default_rng(2).uniform(0, 60, (200, 2)):
        distance = np.hypot(x[start[2] : start[3]] - px, y[start[2] : start[3]] - py)
        expected = start[2] + distance.argmin() if distance.min() <= 5.0 else -1
        assert nearest_in_frame(x, y, start[2], start[3], px, py, 5.0) == expected


def test_pairs_and_support_agree_with_the_definition():
    x, y, start = strewn(3)
    time = np.arange(6) * 0.2
    found = set(
        zip(*(column.tolist() for column in supported_pairs(x, y, time, start, 1.0, 40.0, 0.5, 2.0, 4)), strict=True)
    )
    expected = set()
    frame = np.repeat(np.arange(6), 12)
    for a in range(x.size):
        for b in range(x.size):
            gap = time[frame[b]] - time[frame[a]]
            if not 0 < gap <= 0.5:
                continue
            velocity = np.array([x[b] - x[a], y[b] - y[a]]) / gap
            if not 1.0 <= np.hypot(*velocity) <= 40.0:
                continue
            count = 2
            for k in set(range(6)) - {frame[a], frame[b]}:
                outside = max(0.0, time[frame[a]] - time[k], time[k] - time[frame[b]])
                place = np.array([x[a], y[a]]) + velocity * (time[k] - time[frame[a]])
                inside = frame == k
                distance = np.hypot(x[inside] - place[0], y[inside] - place[1]).min()
                count += distance <= 2.0 * (1 + min(outside / gap, 3.0))
            if count >= 4:
                expected.add((a, b, count))
    assert found == expected
    assert expected


def test_members_are_the_nearest_of_every_frame():
    x, y, start = strewn(4)
    px, py, radius = np.full(6, 30.0), np.full(6, 30.0), np.full(6, 8.0)
    found = members(x, y, start, px, py, radius)
    assert found.tolist() == [nearest_in_frame(x, y, start[k], start[k + 1], 30.0, 30.0, 8.0) for k in range(6)]


def test_recurrence_counts_other_frames_only():
    x = np.array([1.0, 1.1, 5.0, 1.05])
    y = np.zeros(4)
    np.testing.assert_array_equal(recurrence(x, y, np.array([0, 1, 3, 4]), 0.2), [2, 2, 0, 2])
