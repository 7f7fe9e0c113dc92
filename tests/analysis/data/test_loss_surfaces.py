"""Loss surfaces and barriers from elsewhere: read as they were written, or refused."""

import pandas as pd
import pytest

from analysis.data.loss_surfaces import barrier, read_barrier, read_surface
from analysis.errors import TableError
from analysis.report.panels.surfaces import barrier_caption, surface_caption
from tests.suites.made_diagnostics import line, plane


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_surface_is_read_as_it_was_written(tmp_path, kind):
    table, path = plane(), tmp_path / f"one.{kind}"
    write = table.to_csv if kind == "csv" else table.to_parquet
    write(path, index=False)
    read = read_surface(path)
    pd.testing.assert_frame_equal(read, table, check_dtype=False)
    # From .2 + 1 at the start over 9 to .2 + 2 at the failed end; no rise on the other way.
    assert barrier(read, "failed") == pytest.approx(9 - 2.2)
    assert barrier(read, "successful") == 0
    words = surface_caption(read)
    assert "1.200 at the start (head of the failed run), 2.200 where the failed run ended" in words
    assert "to the failed run's end has a barrier of 6.8" in words


def test_files_that_are_no_surface_are_refused(tmp_path):
    path = tmp_path / "one.csv"
    for change, message in (
        (lambda t: t.iloc[1:], r"no full grid of a and b"),
        (lambda t: t.assign(point=""), r"the point 'start' is not there exactly once"),
        (lambda t: t.assign(failed=range(len(t))), r"holds several surfaces"),
        (lambda t: t.drop(columns="loss"), r"loss"),
    ):
        change(plane()).to_csv(path, index=False)
        with pytest.raises(TableError, match=message):
            read_surface(path)


def test_a_line_is_read_as_it_was_written_in_any_order(tmp_path):
    table, path = line(), tmp_path / "one.csv"
    table.iloc[::-1].to_csv(path, index=False)
    pd.testing.assert_frame_equal(read_barrier(path), table, check_dtype=False)


def test_a_caption_says_where_the_line_is_worst_and_how_high_the_barrier_is():
    assert barrier_caption(line(), "loss") == (
        "The loss on 50 training examples is 0.300 at the first end and 0.400 at the second; it is "
        "highest at t = 0.5, 1.350. The barrier is 1 high: that value against the mean of the ends."
    )
    assert "0.800 at the second; it is lowest at t = 0.5, 0.600. The barrier is 0.2" in (
        barrier_caption(line(), "score")
    )
    slope = line().assign(loss=[0.5, 0.4, 0.3, 0.2, 0.1])
    assert barrier_caption(slope, "loss").endswith(
        "no point between is worse than the worse end. The barrier is 0.2 high, half the difference "
        "of the ends."
    )
    broken = line().assign(loss=[0.5, float("nan"), 0.3, 0.2, 0.1])
    assert barrier_caption(broken, "loss").endswith(
        "1 point of the line has no loss, so no barrier is given."
    )


def test_files_that_are_no_line_are_refused(tmp_path):
    path = tmp_path / "one.csv"
    for change, message in (
        (lambda t: t.iloc[1:], r"no line from 0 to 1; make it again with `seedlab barrier`"),
        (lambda t: t.assign(at=[0, 0.5, 0.5, 0.7, 1]), r"no line from 0 to 1"),
        (lambda t: t.iloc[[0, -1]], r"no line from 0 to 1"),
        (lambda t: t.assign(second=list("abcde")), r"holds several lines; keep one to a file"),
        (lambda t: t.assign(direction="up"), r"direction is 'up'; allowed: max, min"),
        (lambda t: t.drop(columns="score"), r"score"),
    ):
        change(line()).to_csv(path, index=False)
        with pytest.raises(TableError, match=message):
            read_barrier(path)
