"""The providers that are asked when the first one fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.fallbacks import parse_fallbacks
from config.settings import SettingsError, load

TEXT = """
[zebra]
url = "https://zebra.example.com/v1/"
key = "sk-zebra-12345"
models = {"gpt-5.4" = "larger"}
[ape]
url = "http://127.0.0.1:8080/v1"
api = "responses"
model = "local"
"""


def test_providers_come_in_the_order_of_the_file() -> None:
    zebra, ape = parse_fallbacks(TEXT)
    assert (zebra.name, zebra.url, zebra.model) == ("zebra", "https://zebra.example.com/v1", None)
    assert zebra.models == {"gpt-5.4": "larger"}
    assert (ape.name, ape.key, ape.api, ape.model) == ("ape", None, "responses", "local")


URL = 'url = "https://x.example.com/v1"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[a]\nkey = "canary-1', "is no TOML (at"),
        ('key = "canary-12345"', "must be tables by the name of a provider"),
        (f'["canary 1"]\n{URL}', "must be tables by the name of a provider"),
        ('[a]\nkey = "canary-12345"', "[a] url must be given"),
        ('[a]\nurl = "https://me:canary@x.example.com"', "[a] url must be given, as a URL"),
        ('[a]\nurl = "file:///canary"', "[a] url must be given, as a URL"),
        (f'[a]\n{URL}key = "canary"', "[a] key must be a text of 8 characters or more"),
        (f'[a]\n{URL}key = "canary\\n12345"', "[a] key must be a text of 8 characters or more"),
        (f"[a]\n{URL}key = 123456789", "[a] key must be a text of 8 characters or more"),
        (f'[a]\n{URL}canary = "x"', "[a] takes url, key, api, model, models, and nothing else"),
        (f'[a]\n{URL}name = "canary"', "[a] takes url, key, api, model, models, and nothing else"),
        (f'[a]\n{URL}api = "canary"', "[a] api must be responses or chat"),
        (f'[a]\n{URL}model = ""', "[a] model must be the name of a model"),
        (f'[a]\n{URL}models = "canary"', "[a] models must be a table"),
    ],
)
def test_a_mistake_is_told_without_its_value(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load({"ASSAY_LLM_FALLBACKS": text})
    assert "ASSAY_LLM_FALLBACKS" in str(raised.value)
    assert words in str(raised.value)
    assert "canary" not in str(raised.value)


def test_they_come_from_a_file_too_and_their_keys_count_among_all_secrets(tmp_path: Path) -> None:
    file = tmp_path / "fallbacks.toml"
    file.write_text(TEXT)
    chosen = load({"ASSAY_LLM_FALLBACKS_FILE": str(file)})
    assert [one.name for one in chosen.fallbacks()] == ["zebra", "ape"]
    assert "sk-zebra-12345" in chosen.secrets()
    assert "sk-zebra-12345" not in repr(chosen)
    assert load({}).fallbacks() == ()
