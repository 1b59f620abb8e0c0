"""A stand-in for a model provider: a real HTTP server on loopback that speaks both of OpenAI's APIs strictly.

What it says is scripted, as a list of answers or as a function of the request; so are its faults.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from bot.demo import model_responses, model_wire
from bot.demo.model_wire import Answer, Broken, ChatRequest, Failed, Json, Problem, Reply

Script = Sequence[Answer] | Callable[[ChatRequest], Answer]

KEY = "sk-stand-in"
MODEL = "stand-in-model"
_LARGEST_BODY = 16_000_000
_END_OF_SCRIPT = Problem(500, "the script is at its end", "server_error")


class ScriptedModel:
    """Serves while it is entered. `requests` are those that passed the checks, in order of arrival.

    `forms` are the response formats it knows; the others are refused as a server that lacks them does, and so is to
    stream where it does not, or an API that is not among its `apis`. `hung_up` counts the answers that nobody read to
    their end.
    """

    def __init__(
        self,
        script: Script,
        *,
        models: tuple[str, ...] = (MODEL,),
        key: str = KEY,
        forms: tuple[str, ...] = ("text", "json_object", "json_schema"),
        streams: bool = True,
        apis: tuple[str, ...] = ("chat", "responses"),
    ) -> None:
        self.apis = apis
        self.key, self.models, self.forms, self.streams = key, models, forms, streams
        self.hung_up = 0
        self.requests: list[ChatRequest] = []
        self.refused: list[Problem] = []
        self.stopping = threading.Event()
        self._script = script
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> ScriptedModel:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, body: object, api: str) -> tuple[ChatRequest | None, Answer]:
        """Check a request and take the script's answer to it."""
        check = model_wire.check if api == "chat" else model_responses.check
        request = check(body, self.models, self.forms)
        if isinstance(request, ChatRequest) and request.stream and not self.streams:
            request = Problem(400, "Streaming is not supported by this server", param="stream")
        with self._lock:
            if isinstance(request, Problem):
                self.refused.append(request)
                return None, request
            self.requests.append(request)
            if callable(self._script):
                return request, self._script(request)
            turn = len(self.requests) - 1
            return request, self._script[turn] if turn < len(self._script) else _END_OF_SCRIPT


_PATHS = {"/v1/chat/completions": "chat", "/v1/responses": "responses"}


def _events(request: ChatRequest, answer: Reply | Failed, number: int) -> list[str]:
    make = model_wire.chunks if request.api == "chat" else model_responses.events
    return list(make(request, answer, number))


def _whole(request: ChatRequest, answer: Reply | Failed, number: int) -> Json:
    match request.api, answer:
        case "chat", Failed():
            return model_wire.failure(answer)
        case "chat", Reply():
            return model_wire.completion(request, answer, number)
        case _, Failed():
            return model_responses.failure(request, answer, number)
        case _, Reply():
            return model_responses.response(request, answer, number)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Answers still under way end with the process; a test does not wait for a connection that is kept alive.
    block_on_close = False

    def __init__(self, model: ScriptedModel) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Quiet: it shares a terminal with the demo."""

    def do_GET(self) -> None:
        if not self._authorized():
            return
        cards = [{"id": one, "object": "model", "created": 0, "owned_by": "assay"} for one in self.server.model.models]
        path = self.path.removeprefix("/v1/models").strip("/")
        if not self.path.startswith("/v1/models"):
            self._problem(Problem(404, f"Invalid URL (GET {self.path})"))
        elif not path:
            self._json(200, {"object": "list", "data": cards})
        else:
            card = next((one for one in cards if one["id"] == path), None)
            missing = Problem(404, f"The model `{path}` does not exist", code="model_not_found")
            self._json(200, card) if card else self._problem(missing)

    def do_POST(self) -> None:
        raw = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _LARGEST_BODY))
        if not self._authorized():
            return
        api = _PATHS.get(self.path, "")
        if api not in self.server.model.apis:
            self._problem(Problem(404, f"Invalid URL (POST {self.path})"))
        elif self.headers.get_content_type() != "application/json":
            self._problem(Problem(400, "you must provide a JSON body with Content-Type application/json"))
        else:
            self._answer(raw, api)

    def _answer(self, raw: bytes, api: str) -> None:
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        request, answer = self.server.model.answer(body, api)
        match answer:
            case Problem():
                self._problem(answer)
            case Broken(how="half"):
                assert request is not None
                whole = _events(request, Reply("w" * 1_000), len(self.server.model.requests))
                self._stream(whole[: len(whole) // 2])
            case Broken():
                self._break(answer)
            case Reply() | Failed():
                assert request is not None
                self._reply(request, answer)

    def _authorized(self) -> bool:
        given = self.headers.get("Authorization", "")
        if given == f"Bearer {self.server.model.key}":
            return True
        word = "Incorrect API key provided." if given else "You didn't provide an API key."
        self._problem(Problem(401, word, code="invalid_api_key"))
        return False

    def _reply(self, request: ChatRequest, answer: Reply | Failed) -> None:
        number = len(self.server.model.requests)
        if not request.stream:
            self._json(200, _whole(request, answer, number))
        elif isinstance(answer, Failed):
            self._stream(_events(request, answer, number))
        else:
            self._stream(_events(request, answer, number), answer.pause, answer.hold)

    def _stream(self, events: Sequence[str], pause: float = 0.0, hold: float = 0.0) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for event in events:
                self._send(event)
                if self.server.model.stopping.wait(pause):
                    return
            if not self.server.model.stopping.wait(hold):
                self._send("")
        except OSError:
            self.server.model.hung_up += 1
            self.close_connection = True

    def _send(self, event: str) -> None:
        data = event.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _problem(self, problem: Problem) -> None:
        wait = {} if problem.retry_after is None else {"Retry-After": str(problem.retry_after)}
        self._json(problem.status, problem.body(), wait)

    def _json(self, status: int, body: Json, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _break(self, broken: Broken) -> None:
        self.close_connection = True
        if broken.how == "reset":
            # Zero linger: the connection ends in RST, not FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        body = b"<html>not JSON</html>" if broken.how == "garbage" else b'{"id": "chatcmpl-1", "choices": ['
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body) if broken.how == "garbage" else 10_000))
        self.end_headers()
        self.wfile.write(body)
        for _ in range(int(broken.seconds / 0.02)):
            if self.server.model.stopping.wait(0.02):
                return
            self.wfile.write(b" ")
            self.wfile.flush()
