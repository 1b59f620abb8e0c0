"""Whether a Redis is one to keep deliveries and runs in: recent enough, durable, never evicting, reached in private.

Asked by `assay doctor`, and at their start by the processes that use a Redis of the operator's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from redis import Redis
from redis.exceptions import ResponseError

from config.redis_url import RedisAddress

# Where LMOVE and BLMOVE came, with which a worker takes a job without ever being its only place.
OLDEST = (6, 2)
_UNKNOWN = "unknown"
_DURABLE = "`appendonly yes`, `appendfsync always` and `maxmemory-policy noeviction`"


@dataclass(frozen=True)
class Remark:
    """`fail`: Assay cannot work with it. `warn`: it may lose what was accepted. `remedy` is for these two."""

    state: Literal["ok", "warn", "fail"]
    what: str
    remedy: str = ""


def examine(redis: Redis, address: RedisAddress) -> Iterator[Remark]:
    """What there is to say of it, its version first. A hosted Redis may not tell everything, and that is no failure.

    Raises redis.exceptions.RedisError when it does not answer.
    """
    info = _info(redis)
    yield _version(str(info.get("redis_version", _UNKNOWN)))
    yield from _configuration(_known(redis, info))
    yield from _privacy(address)


def _info(redis: Redis) -> Mapping[str, object]:
    try:
        return cast("Mapping[str, object]", redis.info())
    except ResponseError:
        return {}


def _version(text: str) -> Remark:
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    oldest = ".".join(map(str, OLDEST))
    if len(numbers) < len(OLDEST):
        return Remark("warn", f"version {text[:40]}", f"see that it is {oldest} or later")
    if numbers < OLDEST:
        return Remark("fail", f"{text} is too old", f"install Redis {oldest} or later")
    return Remark("ok", f"{text} answers")


def _known(redis: Redis, info: Mapping[str, object]) -> dict[str, str]:
    """`appendonly`, `appendfsync` and `maxmemory-policy`. Where CONFIG is forbidden, INFO knows two of them."""
    aof = {0: "no", 1: "yes"}.get(cast("int", info.get("aof_enabled")), _UNKNOWN)
    policy = str(info.get("maxmemory_policy", _UNKNOWN))
    known = {"appendonly": aof, "appendfsync": _UNKNOWN, "maxmemory-policy": policy}
    try:
        # One pattern at a time: Redis before 7 takes no more.
        return known | cast("dict[str, str]", redis.config_get("append*") | redis.config_get("maxmemory-policy"))
    except ResponseError:
        return known


def _configuration(known: Mapping[str, str]) -> Iterator[Remark]:
    unknown = [name for name, value in known.items() if value == _UNKNOWN]
    if known["appendonly"] == "no":
        remedy = "set `appendonly yes` and `appendfsync always`: without, a restart loses deliveries and runs"
        yield Remark("warn", "is not durable (appendonly no)", remedy)
    elif unknown:
        yield Remark(
            "warn", f"does not tell how it is configured ({', '.join(unknown)}: unknown)", f"see that it has {_DURABLE}"
        )
    elif known["appendfsync"] != "always":
        remedy = "set `appendfsync always`: otherwise a crash may lose the last deliveries that were acknowledged"
        yield Remark("warn", f"writes to disk late (appendfsync {known['appendfsync']})", remedy)
    policy = known["maxmemory-policy"]
    if policy not in ("noeviction", _UNKNOWN):
        remedy = "set `maxmemory-policy noeviction`, or it may throw runs away"
        yield Remark("warn", f"evicts keys when memory is short ({policy})", remedy)


def _privacy(address: RedisAddress) -> Iterator[Remark]:
    if address.tls is None and not address.local:
        remedy = "use rediss:// (rediss+sentinel://) in ASSAY_REDIS_URL, or a network that nobody else can listen on"
        yield Remark("warn", "is reached over the network without TLS", remedy)
    if address.tls is not None and not address.tls.verify:
        remedy = "name its authority by ssl_ca_certs instead of ssl_cert_reqs=none in ASSAY_REDIS_URL"
        yield Remark("warn", "may be anybody (its certificate is not checked)", remedy)
