"""The API's part about the App itself: its installations, its tokens, its webhook's deliveries.

https://docs.github.com/rest/apps
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.demo import shapes
from bot.demo.access import mint
from bot.demo.answers import Problem, Reply, not_found
from bot.demo.bodies import NewToken, parse
from bot.demo.deliveries import Delivery, Hook
from bot.demo.routing import Call, Handler, Route


def get_app(call: Call) -> Reply:
    return Reply(shapes.app(call.world))


def list_installations(call: Call) -> Reply:
    return call.page(sorted(call.world.installations), lambda id_: shapes.installation(call.world, id_))


def get_installation(call: Call) -> Reply:
    return Reply(shapes.installation(call.world, _installation(call)))


def get_repository_installation(call: Call) -> Reply:
    installation = call.world.installation_of(call.repo)
    if installation is None:
        raise not_found()
    return Reply(shapes.installation(call.world, installation))


def create_token(call: Call) -> Reply:
    body = parse(NewToken, call.body)
    token = mint(
        call.world,
        _installation(call),
        names=body.repositories,
        ids=body.repository_ids,
        permissions=body.permissions,
    )
    return Reply(shapes.access_token(call.world, token), 201)


def revoke_token(call: Call) -> Reply:
    del call.world.tokens[call.token.token.value]
    return Reply(status=204)


def list_repositories(call: Call) -> Reply:
    world = call.world
    offered = [repo for repo in world.repositories.values() if call.token.sees(world, repo)]
    return call.page(offered, lambda repo: shapes.full_repository(world, repo), "repositories")


def get_user(call: Call) -> Reply:
    accounts = {**call.world.users, call.world.app.bot.login: call.world.app.bot}
    if call.arguments["login"] not in accounts:
        raise not_found()
    return Reply(shapes.full_user(call.world, accounts[call.arguments["login"]]))


def _installation(call: Call) -> int:
    id_ = call.number("id")
    if id_ not in call.world.installations:
        raise not_found()
    return id_


@dataclass(frozen=True)
class HookRoutes:
    """What the API tells of the App's webhook."""

    hook: Hook

    def get_config(self, _call: Call) -> Reply:
        return Reply(
            {
                "content_type": self.hook.content_type,
                "insecure_ssl": "0",
                "secret": "********",
                "url": self.hook.url or "",
            }
        )

    def list_deliveries(self, call: Call) -> Reply:
        """Newest first; a cursor names the first delivery of its page."""
        cursor, wanted = call.query.get("cursor"), call.query.get("status")
        if wanted not in (None, "success", "failure"):
            raise Problem(422, "Validation Failed")
        newest = [d for d in self.hook.kept() if wanted is None or d.ok == (wanted == "success")]
        if cursor is not None:
            if not cursor.removeprefix("v1_").isdigit():
                raise Problem(422, "Invalid cursor")
            newest = [d for d in newest if d.id <= int(cursor.removeprefix("v1_"))]
        size = min(int(call.query.get("per_page", "30")), 100)
        more = newest[size : size + 1]
        links = {"Link": f'<{call.link(cursor=f"v1_{more[0].id}")}>; rel="next"'} if more else {}
        return Reply([_delivery(delivery) for delivery in newest[:size]], headers=links)

    def get_delivery(self, call: Call) -> Reply:
        delivery = self._find(call)
        request = {"headers": dict(delivery.request_headers), "payload": dict(delivery.payload)}
        response = {"headers": dict(delivery.response_headers), "payload": delivery.response}
        return Reply({**_delivery(delivery), "url": self.hook.url or "", "request": request, "response": response})

    def redeliver(self, call: Call) -> Reply:
        delivery = self._find(call)
        self.hook.later(delivery.event, delivery.payload, delivery.guid, redelivery=True)
        return Reply({}, 202)

    def _find(self, call: Call) -> Delivery:
        found = next((d for d in self.hook.kept() if d.id == call.number("id")), None)
        if found is None:
            raise not_found()
        return found


def _delivery(delivery: Delivery) -> shapes.Json:
    payload = delivery.payload
    return {
        "id": delivery.id,
        "guid": delivery.guid,
        "delivered_at": shapes.stamp(delivery.delivered_at),
        "redelivery": delivery.redelivery,
        "duration": delivery.duration,
        "status": delivery.status,
        "status_code": delivery.status_code,
        "event": delivery.event,
        "action": payload.get("action"),
        "installation_id": (payload.get("installation") or {}).get("id"),
        "repository_id": (payload.get("repository") or {}).get("id"),
        "throttled_at": None,
    }


def app_routes(hook: Hook) -> list[Route]:
    told = HookRoutes(hook)
    by_app: list[tuple[str, str, Handler]] = [
        ("GET", "/app", get_app),
        ("GET", "/app/installations", list_installations),
        ("GET", "/app/installations/{id}", get_installation),
        ("POST", "/app/installations/{id}/access_tokens", create_token),
        ("GET", "/repos/{owner}/{repo}/installation", get_repository_installation),
        ("GET", "/app/hook/config", told.get_config),
        ("GET", "/app/hook/deliveries", told.list_deliveries),
        ("GET", "/app/hook/deliveries/{id}", told.get_delivery),
        ("POST", "/app/hook/deliveries/{id}/attempts", told.redeliver),
    ]
    return [
        *(Route(method, template, handler, who="app") for method, template, handler in by_app),
        Route("DELETE", "/installation/token", revoke_token),
        Route("GET", "/installation/repositories", list_repositories),
        Route("GET", "/users/{login}", get_user, who="anyone"),
    ]
