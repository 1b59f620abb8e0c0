"""The lock files' parsers: what each tells, and that nothing a stranger writes gets them down."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.agents.dependencies import files
from workers.agents.dependencies.package import Package, Unreadable

from . import locks

NAMES = tuple(files._BY_NAME)


def read(path: str, text: str) -> dict[str, Package]:
    return {one.name: one for one in files.read(path, text).packages}


@pytest.mark.parametrize(
    ("path", "text", "versions"),
    [
        ("package-lock.json", locks.NPM, {"@types/node": "20.0.0", "esbuild": "0.20.0", "lodash": "4.17.20"}),
        ("package-lock.json", locks.NPM_1, {"mkdirp": "0.5.1", "minimist": "0.0.8", "fork": ""}),
        ("yarn.lock", locks.YARN_1, {"@babel/core": "7.24.0", "lodash": "4.17.20"}),
        ("yarn.lock", locks.YARN_4, {"@babel/core": "7.24.0"}),
        ("pnpm-lock.yaml", locks.PNPM_9, {"@types/node": "20.0.0", "lodash": "4.17.21"}),
        ("pnpm-lock.yaml", locks.PNPM_6, {"@types/node": "20.0.0", "esbuild": "0.20.0"}),
        ("bun.lock", locks.BUN, {"@types/node": "20.0.0"}),
        ("poetry.lock", locks.POETRY, {"requests": "2.31.0", "fork": "1.0"}),
        ("uv.lock", locks.UV, {"idna": "3.10"}),
        ("Pipfile.lock", locks.PIPFILE, {"requests": "2.31.0"}),
        ("Cargo.lock", locks.CARGO, {"serde": "1.0.200"}),
        (
            "go.mod",
            locks.GO_MOD,
            {"github.com/pkg/errors": "0.9.1", "golang.org/x/net": "0.10.0", "github.com/gin-gonic/gin": "1.9.0"},
        ),
        ("go.sum", locks.GO_SUM, {"github.com/pkg/errors": "0.9.1"}),
        ("Gemfile.lock", locks.GEMFILE, {"fork": "1.0", "nokogiri": "1.16.0", "racc": "1.7.3"}),
        ("composer.lock", locks.COMPOSER, {"monolog/monolog": "3.5.0"}),
        ("packages.lock.json", locks.NUGET, {"Newtonsoft.Json": "12.0.1"}),
        (
            "pom.xml",
            locks.POM,
            {"org.apache.logging.log4j:log4j-core": "2.14.1", "junit:junit": "4.13", "org.managed:elsewhere": ""},
        ),
        ("gradle.lockfile", locks.GRADLE, {"com.google.guava:guava": "31.1-jre"}),
        ("requirements-dev.txt", locks.REQUIREMENTS, {"requests": "2.31.0", "django": "", "flask": ""}),
    ],
)
def test_packages_stand_on_the_line_of_their_version(path: str, text: str, versions: dict[str, str]) -> None:
    found = read(path, text)
    assert {name: one.version for name, one in found.items()} == versions
    lines = text.split("\n")
    for one in found.values():
        if one.version and "log4j" not in one.name:
            assert one.line
            assert one.version in lines[one.line - 1]


def test_npm_tells_most() -> None:
    found = read("package-lock.json", locks.NPM)
    esbuild, lodash = found["esbuild"], found["lodash"]
    assert (esbuild.licence, esbuild.source, esbuild.scripts) == ("MIT", "npm.registry.example", True)
    assert (lodash.deprecated, lodash.scripts) == ("use another", False)
    assert lodash.integrity.startswith("sha512-")


def test_where_a_package_comes_from() -> None:
    assert read("poetry.lock", locks.POETRY)["fork"].source == "git"
    assert read("package-lock.json", locks.NPM_1)["mkdirp"].source == "npm.registry.example"
    assert read("uv.lock", locks.UV)["idna"].source == "pip.registry.example"
    assert read("composer.lock", locks.COMPOSER)["monolog/monolog"].licence == "MIT"


def test_the_day_of_a_version() -> None:
    assert read("uv.lock", locks.UV)["idna"].published == "2024-09-15"
    assert read("composer.lock", locks.COMPOSER)["monolog/monolog"].published == "2023-10-27"


def test_sums_name_also_what_is_not_used() -> None:
    assert files.read("go.mod", locks.GO_MOD).installed
    assert not files.read("go.sum", locks.GO_SUM).installed


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("requirements.txt", True),
        ("docs/requirements-dev.txt", True),
        ("requirements/test.txt", True),
        ("web/package-lock.json", True),
        ("package.json", False),
        ("notes.txt", False),
    ],
)
def test_which_files_are_locks(path: str, is_one: bool) -> None:
    assert (files.parser_for(path) is not None) is is_one


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("package-lock.json", "{", "no JSON"),
        ("package-lock.json", "[]", "no object"),
        ("package-lock.json", "{}", "neither"),
        ("package-lock.json", "[" * 100_000, "no JSON"),
        ("composer.lock", "{}", "`packages` is missing"),
        ("poetry.lock", "x = ", "no TOML"),
        ("Cargo.lock", "x = 1", "has no"),
        ("pnpm-lock.yaml", "a: [", "no YAML"),
        ("pnpm-lock.yaml", "a: 1", "is missing"),
        ("yarn.lock", "<html>", "does not begin"),
        ("bun.lock", "x", "is missing"),
        ("go.mod", "x", "names no module"),
        ("go.sum", "<<<<<<< HEAD", "is no sum"),
        ("Gemfile.lock", "x", "no section"),
        ("pom.xml", "<project", "no XML"),
        ("pom.xml", '<!DOCTYPE x [<!ENTITY a "b">]><project>&a;</project>', "no XML"),
        ("pom.xml", "<html/>", "no <project>"),
        ("gradle.lockfile", "", "names no module"),
    ],
)
def test_what_is_no_lock_file_is_said_to_be_unreadable(path: str, text: str, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        files.read(path, text)


@given(st.sampled_from(NAMES), st.text() | st.sampled_from(sorted(vars(locks)["NPM"].split("\n"))).map(str))
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    try:
        files.read(name, text)
    except Unreadable as error:
        assert str(error)  # noqa: PT017 - it may also not be raised


@given(st.data())
def test_damaged_lock_files_are_read_or_refused(data: st.DataObject) -> None:
    text, name = data.draw(
        st.sampled_from(
            [
                (locks.NPM, "package-lock.json"),
                (locks.YARN_4, "yarn.lock"),
                (locks.PNPM_9, "pnpm-lock.yaml"),
                (locks.UV, "uv.lock"),
                (locks.COMPOSER, "composer.lock"),
                (locks.NUGET, "packages.lock.json"),
                (locks.POM, "pom.xml"),
                (locks.REQUIREMENTS, "requirements.txt"),
            ]
        )
    )
    at, length = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 40))
    damaged = text[:at] + data.draw(st.text(max_size=10)) + text[at + length :]
    try:
        found = files.read(name, damaged).packages
    except Unreadable:
        return
    assert all(one.name and one.name.isprintable() for one in found)


def test_large_files_take_time_in_proportion() -> None:
    begun = time.process_time()
    entries = ",\n".join(
        f'    "node_modules/p{number}": {{\n      "version": "1.0.{number}"\n    }}' for number in range(20_000)
    )
    assert len(read("package-lock.json", f'{{"packages": {{\n{entries}\n}}}}')) == 20_000
    deps = "".join(
        f"<dependency><groupId>g</groupId>\n<artifactId>a{number}</artifactId>\n<version>1</version></dependency>\n"
        for number in range(10_000)
    )
    assert len(read("pom.xml", f"<project><dependencies>{deps}</dependencies></project>")) == 10_000
    assert read("requirements.txt", "a" * 1_000_000 + "\n" + "x \\\n" * 100_000) == {}
    assert time.process_time() - begun < 5
