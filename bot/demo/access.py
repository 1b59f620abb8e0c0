"""Who may do what: the App's JWT, installation tokens, and the permissions they carry.

https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import jwt

from bot.demo.answers import Problem, invalid
from bot.demo.github_state import Repository, Token, World

TOKEN_LIFE = 3600.0
JWT_LIFE = 600.0
LEVELS = {"read": 1, "write": 2, "admin": 3}
FORBIDDEN = "Resource not accessible by integration"

Needs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class AppCaller:
    """The App itself, by its JWT."""

    @property
    def account(self) -> str:
        return "app"


@dataclass(frozen=True)
class TokenCaller:
    """An installation, by one of its tokens."""

    token: Token

    @property
    def account(self) -> str:
        return f"installation:{self.token.installation}"

    def sees(self, world: World, repo: Repository) -> bool:
        if world.installation_of(repo) != self.token.installation:
            return False
        return self.token.repositories is None or repo.id in self.token.repositories

    def holds(self, permission: str, level: str) -> bool:
        return LEVELS.get(self.token.permissions.get(permission, ""), 0) >= LEVELS[level]


Caller = AppCaller | TokenCaller


def identify(world: World, authorization: str | None) -> Caller | None:
    """Who sends this header; None for nobody. Raises `Problem` 401 for credentials that do not hold."""
    if not authorization:
        return None
    scheme, _, value = authorization.partition(" ")
    match scheme.lower():
        case "basic":
            return TokenCaller(live_token(world, _password(value)))
        case "bearer" if value.count(".") == 2:
            check_jwt(world, value)
            return AppCaller()
        case "bearer" | "token":
            return TokenCaller(live_token(world, value))
    raise Problem(401, "Bad credentials")


def live_token(world: World, value: str) -> Token:
    """Raises `Problem` 401 for a token that is unknown, revoked or expired, 403 for a suspended installation."""
    token = world.tokens.get(value)
    if token is None or token.expires_at <= world.clock():
        raise Problem(401, "Bad credentials")
    if token.installation not in world.installations:
        raise Problem(401, "Bad credentials")
    _awake(world, token.installation)
    return token


def _awake(world: World, installation: int) -> None:
    if installation in world.suspended_at:
        raise Problem(403, "This installation has been suspended")


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        raise Problem(401, "Bad credentials") from None


def check_jwt(world: World, value: str) -> None:
    """Raises `Problem` 401 in GitHub's words unless this is a JWT of our App, alive by our clock."""
    try:
        # The times are checked below: by the stand-in's clock, and without leeway.
        options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_iss": False}
        claims = jwt.decode(value, world.app.public_key, algorithms=["RS256"], options=options)
    except jwt.InvalidTokenError:
        raise Problem(401, "A JSON web token could not be decoded") from None
    if str(claims.get("iss")) not in {str(world.app.id), world.app.client_id}:
        raise Problem(401, "'Issuer' claim ('iss') must be an Integer or String naming the App")
    now, expires, issued = world.clock(), claims.get("exp"), claims.get("iat")
    if not _is_time(expires) or expires <= now:
        raise Problem(401, "'Expiration time' claim ('exp') must be a numeric value representing the future time")
    if expires > now + JWT_LIFE:
        raise Problem(401, "'Expiration time' claim ('exp') is too far in the future")
    if not _is_time(issued) or issued > now:
        raise Problem(401, "'Issued at' claim ('iat') must be an Integer representing the time of the assertion")


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def mint(
    world: World,
    installation: int,
    *,
    names: Collection[str] | None,
    ids: Collection[int] | None,
    permissions: Mapping[str, str] | None,
) -> Token:
    """A token, narrowed as asked. Raises `Problem` 422 for a repository or permission that was not granted, 403 for a
    suspended installation."""
    _awake(world, installation)
    token = Token(
        value=f"ghs_{secrets.token_urlsafe(27)}",
        installation=installation,
        permissions=_narrowed(world, permissions),
        repositories=_chosen(world, installation, names, ids),
        expires_at=world.clock() + TOKEN_LIFE,
    )
    world.tokens[token.value] = token
    return token


def _narrowed(world: World, wanted: Mapping[str, str] | None) -> dict[str, str]:
    granted = {"metadata": "read", **world.app.permissions}
    if not wanted:
        return granted
    for name, level in wanted.items():
        if LEVELS.get(level, 9) > LEVELS.get(granted.get(name, ""), 0):
            raise Problem(422, "The permissions requested are not granted to this installation.")
    return {"metadata": "read", **wanted}


def _chosen(
    world: World, installation: int, names: Collection[str] | None, ids: Collection[int] | None
) -> frozenset[int] | None:
    if names is None and ids is None:
        return None
    offered = world.installed_repositories(installation)
    chosen = {repo.id for repo in offered if repo.name in (names or ()) or repo.id in (ids or ())}
    if len(chosen) < len({*(names or ())} | {*(ids or ())}):
        raise Problem(
            422, "There is at least one repository that does not exist or is not accessible to the parent installation."
        )
    if len(chosen) > 500:
        raise invalid("Too many repositories")
    return frozenset(chosen)


def demand(caller: TokenCaller, needs: Needs, *, public_read: bool) -> None:
    """Raises `Problem` 403 unless the token holds one of these permissions, or the thing is public and only read."""
    if not needs or any(caller.holds(name, level) for name, level in needs):
        return
    if public_read and all(level == "read" for _, level in needs):
        return
    accepted = "; ".join(f"{name}={level}" for name, level in needs)
    raise Problem(403, FORBIDDEN, headers={"X-Accepted-GitHub-Permissions": accepted})
