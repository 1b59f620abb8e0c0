"""Jobs name no function but ours."""

from __future__ import annotations

import pytest
from redis import Redis

from bot.errors import Misconfigured
from bot.jobs import FUNCTIONS, AllowedJob


def test_job_that_names_a_foreign_function_is_refused(redis: Redis) -> None:
    job = AllowedJob.create("os.system", args=["true"], connection=redis)
    with pytest.raises(Misconfigured, match="no job of Assay's"):
        _ = job.func


def test_every_job_function_exists(redis: Redis) -> None:
    for name in FUNCTIONS:
        assert callable(AllowedJob.create(name, connection=redis).func)
