"""The providers that are asked when the first one fails: a TOML text, a table a provider, in this order.

    [backup]
    url = "https://llm.example.com/v1"
    key = "..."
    model = "large"
    models = {"gpt-5.4" = "larger"}

Messages repeat nothing of a value.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from config.fields import Url

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
# A shorter key could not be masked, for it would mask ordinary words.
_KEY = re.compile(r"[!-~]{8,1000}")


def _check_key(value: SecretStr) -> SecretStr:
    if not _KEY.fullmatch(value.get_secret_value()):
        raise ValueError("no key")
    return value


_Model = Annotated[str, Field(min_length=1, max_length=200)]


class Fallback(BaseModel):
    """A provider that speaks OpenAI's protocol. `key` None: it needs none; `api` as in Settings. `models` are its own
    names of the models that are asked for; any other is `model` there, or, where that is left out, is called the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str
    url: Url
    key: Annotated[SecretStr, AfterValidator(_check_key)] | None = None
    api: Literal["responses", "chat"] | None = None
    model: _Model | None = None
    models: Mapping[str, _Model] = {}


_MUST = {
    "url": "must be given, as a URL that starts with https:// or http://, without a name or password, `?` and `#`",
    "key": "must be a text of 8 characters or more, without spaces; leave it out where none is needed",
    "api": "must be responses or chat",
    "model": "must be the name of a model",
    "models": 'must be a table of names, such as {"gpt-5.4" = "larger"}',
}


def parse_fallbacks(text: str) -> tuple[Fallback, ...]:
    """The providers, in their order. Raises ValueError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at .*\)", str(error))
        raise ValueError(f"is no TOML {place[0] if place else ''}".rstrip()) from None
    return tuple(_fallback(name, fields) for name, fields in table.items())


def _fallback(name: str, fields: object) -> Fallback:
    if not _NAME.fullmatch(name) or not isinstance(fields, dict):
        raise ValueError(
            f"must be tables by the name of a provider, in small letters, such as [backup], of {', '.join(_MUST)}"
        )
    if not set(fields) <= set(_MUST):
        raise ValueError(f"[{name}] takes {', '.join(_MUST)}, and nothing else")
    try:
        return Fallback(name=name, **fields)
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        raise ValueError(f"[{name}] {key} {_MUST[key]}") from None
