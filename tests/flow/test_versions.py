"""Two versions of Assay side by side: what the last one kept is read by this one, and what the next one keeps is left
to it where it means anything that this one does not know.

`tests/recorded/kept-0.1.json` is what version 0.1 kept, and of which fields its models were made.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import TypeAdapter
from redis import Redis

from bot.dead import DeadLetters
from bot.deliveries import Deliveries
from bot.domain.events import EVENT
from bot.domain.publication import Publication, PullMemory
from bot.domain.reduce import reduce
from bot.domain.run import Phase, Run
from bot.domain.stored import understood
from bot.domain.verdict import Conclusion, verdict
from bot.errors import OtherVersion
from bot.jobs import AllowedJob, JobSpec, agent_job
from bot.packing import pack, unpack
from bot.publishing.records import Records
from bot.publishing.unpublished import Unpublished
from bot.queues import LATER
from bot.store import Store
from bot.sweep import Sweep
from tests.builders import commit_received, finished, run_key
from tests.flow.assay import CLEAN, REPOSITORY, Assay

KEY = run_key()
KEPT = json.loads(Path(__file__).parents[1].joinpath("recorded", "kept-0.1.json").read_text("utf-8"))
MODELS: tuple[TypeAdapter[Any], ...] = (
    TypeAdapter(Run),
    EVENT,
    TypeAdapter(Publication),
    TypeAdapter(PullMemory),
    TypeAdapter(JobSpec),
)


def _raw(value: object) -> bytes:
    return json.dumps(value).encode()


def test_what_the_last_version_kept_goes_on(store: Store, redis: Redis) -> None:
    redis.set(f"assay:run:{KEY}", pack(_raw(KEPT["run"])))
    redis.set(f"assay:publication:{KEY}", pack(_raw(KEPT["publication"])))
    for event in KEPT["events"]:
        redis.xadd(f"assay:log:{KEY}", {"event": pack(_raw(event))})
    for job in KEPT["jobs"]:
        redis.zadd(LATER, {_raw(job): 1.0})
    stored = store.load(KEY)
    assert stored is not None
    folded: Run | None = None
    for told in store.log(KEY):
        folded = reduce(folded, told, KEY).run
    assert folded == stored.run
    assert Records(redis, store.retention).publication(KEY).checks["assay"].id == 7
    assert store.queues.send_due(2.0) == len(KEPT["jobs"])
    for name, attempt in (("test", 2), ("security", 1)):
        run = store.update(KEY, finished(name, attempt=attempt))
    assert run is not None
    assert verdict(run).conclusion is Conclusion.SUCCESS


def test_new_fields_of_what_is_kept_are_empty_by_default() -> None:
    """Or else the version before could not go on with what this one has written."""
    for kind in MODELS:
        schema = kind.json_schema()
        for name, model in {**schema.get("$defs", {}), schema.get("title", ""): schema}.items():
            for field in set(model.get("properties", ())) - set(KEPT["fields"].get(name, model.get("properties", ()))):
                assert field not in model.get("required", ()), f"{name}.{field} needs a default"
                assert not model["properties"][field].get("default"), f"the default of {name}.{field} is not empty"


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
def test_unknown_field_that_says_nothing_is_left_out(value: object) -> None:
    run = json.loads(_raw(KEPT["run"]))
    for place in (run, run["agents"][0], run["agents"][0]["plan"], run["triggers"][0], run["requests"]["pull:1"]):
        place["new"] = value
    assert understood(MODELS[0], _raw(run), "it") == understood(MODELS[0], _raw(KEPT["run"]), "it")
    event = KEPT["events"][3] | {"new": value}
    assert understood(EVENT, _raw(event), "it") == understood(EVENT, _raw(KEPT["events"][3]), "it")


@pytest.mark.parametrize(
    "change",
    [
        {"new": 1},
        {"new": None, "newer": ["x"]},
        {"triggers": [KEPT["run"]["triggers"][0] | {"kind": "new"}]},
        {"agents": [KEPT["run"]["agents"][0] | {"phase": "new"}]},
        {"key": None},
    ],
)
def test_unknown_field_that_says_something_is_another_versions(change: dict[str, Any]) -> None:
    with pytest.raises(OtherVersion, match="the run was written by another version"):
        understood(MODELS[0], _raw(KEPT["run"] | change), "the run")


def test_damaged_text_is_another_versions() -> None:
    with pytest.raises(OtherVersion):
        understood(MODELS[0], b'{"key":', "the run")


def _later(redis: Redis) -> list[JobSpec]:
    return [JobSpec.model_validate_json(one) for one in cast("list[bytes]", redis.zrange(LATER, 0, -1))]


@pytest.mark.parametrize("queue", ["lint", "publish"])
def test_job_on_a_run_of_a_newer_version_is_left_to_that(assay: Assay, queue: str) -> None:
    """And nothing of it is changed or shown meanwhile."""
    sha = assay.github.push(REPOSITORY, "main", {"demo.py": CLEAN + "\n\nX = 1\n"})
    assay.settle("intake", *({"lint"} if queue == "publish" else ()))
    redis, key, installation = assay.redis, assay.run(sha).key, assay.run(sha).installation
    raw = cast("bytes", redis.get(f"assay:run:{key}"))
    newer = pack(_raw(json.loads(unpack(raw)) | {"holds": ["a gate"]}))
    redis.set(f"assay:run:{key}", newer)
    shown = len(assay.github.requests)
    assay.settle()
    assay.sweep()
    assert redis.get(f"assay:run:{key}") == newer
    assert len(assay.github.requests) == shown
    assert {spec.function.rpartition(".")[2] for spec in _later(redis)} >= {
        f"on_{'agent' if queue == 'lint' else queue}"
    }
    # Each in the line of its installation: GitHub wants one writer at a time for each.
    assert {spec.installation for spec in _later(redis)} == {installation}
    assert not redis.exists("assay:dead:new")
    # Its worker takes it up, with a token of its own.
    redis.set(f"assay:run:{key}", raw)
    assay.wait(6.0)
    assay.settle()
    assert all(agent.phase is Phase.DONE for agent in assay.run(sha).agents)
    assert assay.verdict(sha) is Conclusion.SUCCESS
    assert _later(redis) == []


def test_sweep_leaves_a_run_of_a_newer_version_to_that(store: Store, redis: Redis) -> None:
    store.update(KEY, commit_received("test", at=1.0))
    newer = pack(_raw(json.loads(unpack(cast("bytes", redis.get(f"assay:run:{KEY}")))) | {"holds": ["a gate"]}))
    redis.set(f"assay:run:{KEY}", newer)
    redis.sadd("assay:dead:new", f"test {agent_job(KEY, 'test', 1)}")
    now = 1e9
    unpublished = Unpublished(store)
    Sweep(store, unpublished, DeadLetters(store, unpublished, Deliveries(redis), lambda: now), lambda: now).once()
    assert redis.get(f"assay:run:{KEY}") == newer
    assert store.overdue(now) == []
    assert store.overdue(now + 61) == [KEY]
    assert unpublished.since_before(now) == [KEY]
    assert redis.scard("assay:dead:new") == 1


def test_job_that_no_version_understands_ends_as_a_dead_letter(assay: Assay) -> None:
    sha = assay.github.push(REPOSITORY, "main", {"demo.py": CLEAN + "\n\nX = 1\n"})
    assay.settle("intake")
    key = assay.run(sha).key
    raw = cast("bytes", assay.redis.get(f"assay:run:{key}"))
    assay.redis.set(f"assay:run:{key}", pack(_raw(json.loads(unpack(raw)) | {"holds": ["a gate"]})))
    spec = JobSpec.publish(key, 7).model_copy(update={"since": 1.0})
    assay.store.queues.enqueue(spec)
    assay.settle()
    (letter,) = cast("set[bytes]", assay.redis.smembers("assay:dead:new"))
    assert letter.startswith(b"publish ")


def test_job_of_an_unknown_function_is_a_newer_versions(redis: Redis) -> None:
    with pytest.raises(OtherVersion):
        _ = AllowedJob.create("bot.wiring.on_something_new", connection=redis).func
