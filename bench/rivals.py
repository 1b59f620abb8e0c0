"""What admission is measured against: `python -m bench.rivals bare|rq PORT`, with the secret in BENCH_SECRET.

`bare`: a FastAPI handler that verifies the signature and does nothing else. `rq`: one that then has RQ enqueue the
delivery, in the thread pool, because RQ blocks. Both under the server that Assay uses.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
from collections.abc import Awaitable, Callable

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from redis import Redis
from rq import Queue
from starlette.concurrency import run_in_threadpool

Keep = Callable[[str, bytes], Awaitable[None]]


def application(secret: bytes, keep: Keep) -> FastAPI:
    app = FastAPI()

    @app.post("/webhook", status_code=202)
    async def webhook(request: Request) -> dict[str, str]:
        body = await request.body()
        expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, request.headers.get("x-hub-signature-256", "")):
            raise HTTPException(401)
        await keep(request.headers["x-github-delivery"], body)
        return {"message": "accepted"}

    return app


async def nothing(_guid: str, _body: bytes) -> None:
    pass


def rq(redis_url: str) -> Keep:
    queue = Queue("rival", connection=Redis.from_url(redis_url))

    async def keep(guid: str, body: bytes) -> None:
        await run_in_threadpool(queue.enqueue, "rival.handle", guid, body)

    return keep


if __name__ == "__main__":
    keep = rq(os.environ["BENCH_REDIS"]) if sys.argv[1] == "rq" else nothing
    app = application(os.environ["BENCH_SECRET"].encode(), keep)
    uvicorn.run(app, port=int(sys.argv[2]), log_config=None, access_log=False)
