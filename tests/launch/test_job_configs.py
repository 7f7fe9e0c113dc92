"""Groups of jobs that differ in their seeds alone."""

from __future__ import annotations

import pytest

from seedlab.launch.jobs.job_configs import group_key, swept_seeds


def test_seeds_are_what_is_left_out_of_a_group() -> None:
    jobs = [["seed.init=3", "recipe=devlin", "seed.order=4"], ["seed.init=0", "recipe=devlin"]]
    assert swept_seeds(jobs[0]) == {"init": 3, "order": 4}
    assert group_key(jobs[0]) == group_key(["seed.init=9", "recipe=devlin", "seed.order=1"])
    assert group_key(jobs[0]) != group_key(["seed.init=9", "recipe=other", "seed.order=1"])
    assert group_key(jobs[0]) != group_key(jobs[1])


@pytest.mark.parametrize(
    "override",
    [
        "seed.init=-1",  # not allowed: the adapter has to refuse it
        "seed.init=007",
        "seed.init=1.0",
        "seed.init='1'",
        "seed.init=null",
        "seed.init=${seed.order}",
        "+seed.init=1",
        "~seed.init",
        "seed.init@x=1",
        "seed={init: 1}",
        "my.seed.init=1",
    ],
)
def test_anything_but_a_plain_integer_is_composed_by_hydra(override: str) -> None:
    assert swept_seeds([override]) == {}
    assert group_key([override]) == (override,)
