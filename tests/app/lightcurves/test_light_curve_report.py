"""The light-curve section of the report holds what the tables say, and its pictures both times."""

import numpy as np
import pytest

from etendue.app.light_curves import curve_of, draw, fit_transit, periodogram_of, series_tables
from etendue.app.report import light_curves
from etendue.app.report.plain import plain
from etendue.app.report.reader import Reader
from etendue.middleware.repository import Repository
from etendue.qa import series_plots

from .conftest import MJD_ZERO, N_FRAMES, N_STARS, PERIOD, SINE, TRANSIT


@pytest.fixture(scope="module")
def reader(night):
    return Reader(Repository.open(night, writeable=False))


@pytest.fixture(scope="module")
def numbers(reader):
    return plain({"section": light_curves.gather(reader)})["section"]


@pytest.fixture
def figures(monkeypatch):
    """Return the figures that are drawn from now on."""
    drawn = []
    monkeypatch.setattr(series_plots, "png", lambda figure: drawn.append(figure) or b"")
    return drawn


def curve_number(night, star):
    curves, stars = series_tables(Repository.open(night, writeable=False))
    return curve_of(curves, stars, star)


def test_numbers_are_those_of_the_table(numbers):
    assert numbers["n_stars"] == numbers["n_complete"] == N_STARS
    assert numbers["n_comparison"] == 20
    assert numbers["best_raw_mmag"] == pytest.approx(3.0)
    assert [row["isolated_star_id"] for row in numbers["variables"]] == [str(TRANSIT + 100), str(SINE + 100)]
    assert numbers["variables"][0]["period_h"] == pytest.approx(24.0 * PERIOD)
    assert len(numbers["comparisons"]) == 20
    transit = numbers["transits"][0]
    assert transit["snr"] > 8.0
    assert transit["baseline_model"].startswith("constant")


def test_the_section_has_its_tables_and_pictures(numbers, reader):
    section = light_curves.present(numbers, reader)
    titles = [grid.title for grid in section.grids]
    assert titles == [
        "Stars that vary",
        "Transits of these",
        "Stars of least scatter",
        "Comparison stars that count most",
    ]
    assert all(column.key in grid.rows[0] for grid in section.grids for column in grid.columns)
    assert [picture.title for picture in section.pictures] == [
        "Scatter against magnitude", "Variability statistics", "Light curves of the variables",
        "Transits with their baselines", "Periodograms of the variables",
    ]  # fmt: skip
    assert all(data.startswith(b"\x89PNG") for picture in section.pictures for data, _ in picture.images)


def test_a_repository_without_light_curves_says_so(tmp_path):
    empty = Reader(Repository.create(tmp_path / "repo"))
    section = light_curves.present(light_curves.gather(empty), empty)
    assert "series" in section.missing[0]


def test_a_light_curve_shows_every_point_against_both_times(night, figures):
    curve = curve_number(night, TRANSIT)
    draw(curve)
    (axis,) = figures[0].axes
    detrended = next(line for line in axis.lines if line.get_label() == "detrended")
    assert len(detrended.get_xdata()) == N_FRAMES - 1
    assert axis.get_xlabel() == "UTC [h]"
    assert axis.get_ylabel() == "Δ magnitude [mmag]"
    assert axis.yaxis_inverted()
    (above,) = axis.child_axes
    assert above.get_xlabel() == f"BJD (TDB) − {2400000 + MJD_ZERO}"
    hours, bjd = detrended.get_xdata(), curve.column("bjdTdb")
    shown = axis.transData.transform([(hour, 0.0) for hour in hours])[:, 0]
    figures[0].draw_without_rendering()
    shown = axis.transData.transform([(hour, 0.0) for hour in hours])[:, 0]
    again = above.transData.transform([(day - np.floor(bjd[0]), 0.0) for day in bjd])[:, 0]
    np.testing.assert_allclose(shown, again, atol=0.1)  # px


def test_a_transit_shows_its_model_baseline_residuals_and_result(night, figures):
    curve = curve_number(night, TRANSIT)
    fit = fit_transit(curve)
    draw(curve, fit)
    top, middle, bottom = figures[0].axes
    assert {line.get_label() for line in top.lines} >= {"model", "baseline"}
    assert f"depth {1e3 * fit.depth_mag:.1f}" in middle.get_title(loc="left")
    assert f"baseline: {fit.baseline_text}" in middle.get_title(loc="left")
    np.testing.assert_allclose(bottom.lines[0].get_ydata(), 1e3 * (curve.column("deltaMag") - fit.model_mag)[fit.used])
    assert bottom.get_xlabel() == "UTC [h]"
    assert "BJD (TDB)" in top.child_axes[0].get_xlabel()


def test_a_periodogram_shows_its_false_alarm_level_and_the_folded_curve(night, figures):
    from etendue.app.report.light_curve_pictures import _periodogram

    curve = curve_number(night, SINE)
    found = periodogram_of(curve)
    assert found.period_d == pytest.approx(PERIOD, rel=0.02)
    assert found.power.max() > found.level
    _periodogram(curve)
    left, right = figures[0].axes
    level = next(line for line in left.lines if line.get_label() == "false alarm 1%")
    assert set(level.get_ydata()) == {found.level}
    assert "false alarm" in left.get_title()
    assert f"{24.0 * found.period_d:.3f} h" in right.get_title()
    phases = right.lines[0].get_xdata()
    assert len(phases) == 2 * (N_FRAMES - 1)
    assert 0.0 <= min(phases) < 1.0 <= max(phases) < 2.0


def test_scatter_and_statistics_show_every_star_and_ring_the_variables(night, figures):
    from etendue.app.light_curves import scatter_picture

    _, stars = series_tables(Repository.open(night, writeable=False))
    scatter_picture(stars)
    lines = {line.get_label(): len(line.get_xdata()) for line in figures[0].axes[0].lines}
    assert lines["raw"] == lines["detrended"] == N_STARS
    assert lines["variable"] == 2
    series_plots.statistics_plot(
        np.asarray(stars["mag"], float), {"J": np.asarray(stars["stetsonJ"], float)}, np.asarray(stars["isVariable"])
    )
    assert [len(line.get_xdata()) for line in figures[1].axes[0].lines] == [N_STARS, 2]
