"""The JSON Schema says what the reader does."""

from __future__ import annotations

import jsonschema
import pytest
from ruamel.yaml import YAML

from config.reading import Layer, default_text, read
from config.schema import json_schema
from tests.config.examples import BAD, GOOD

VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def accepted(text: str) -> tuple[bool, bool]:
    """What the schema and what the reader say."""
    value = YAML(typ="safe", pure=True).load(text)
    return VALIDATOR.is_valid(value), not read([Layer("repository", "assay.yml", text)]).problems


def test_it_is_a_schema_without_a_host_in_its_name() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == "urn:assay:repository-config:1"
    assert schema["title"] == "Assay configuration"


@pytest.mark.parametrize("text", [*GOOD, default_text()])
def test_schema_and_reader_accept_the_same(text: str) -> None:
    assert accepted(text) == (True, True)


@pytest.mark.parametrize("text", BAD)
def test_schema_and_reader_refuse_the_same(text: str) -> None:
    assert accepted(text) == (False, False)


def test_every_key_is_described() -> None:
    schema = json_schema()
    for section in (schema, *schema["$defs"].values()):
        for name, value in section["properties"].items():
            # A section of its own is described where it is defined.
            assert "description" in value or "$ref" in str(value), name
