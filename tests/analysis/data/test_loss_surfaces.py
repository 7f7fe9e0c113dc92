"""Loss surfaces from elsewhere: read as they were written, or refused."""

import pandas as pd
import pytest

from analysis.data.loss_surfaces import barrier, read_surface
from analysis.errors import TableError
from analysis.report.panels.surfaces import surface_caption
from tests.suites.made_diagnostics import plane


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
