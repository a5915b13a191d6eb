import io

import numpy as np
from PIL import Image

from etendue.qa.calibration_trend_plot import TrendLine, calibration_trend_plot


def test_a_night_without_a_value_leaves_a_gap_and_no_fault():
    nights = [20260101, 20260102, 20260105]
    lines = [TrendLine(f"0 {name}", nights, [1.0, float("nan"), 2.0], [0.1, 0.0, 0.1]) for name in "AB"]
    empty = [TrendLine("0 A", nights, [float("nan")] * 3, [0.0] * 3)]
    png = calibration_trend_plot({"level [ADU]": lines, "gain over curve - 1": empty})
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    assert picture.shape[0] > 300
    assert (picture < 128).sum() > 500
