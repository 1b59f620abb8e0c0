"""taplo: TOML as its schema wants it, where the repository names schemas. https://taplo.tamasfe.dev

A schema may lie in the repository; one that only the network has is not fetched, and counted. The format is not looked
at.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from bot.domain.findings import Finding, NotCovered, Severity
from bot.errors import ToolFailed
from workers.agent import Listing, Output, Reader, Reading, Tool
from workers.tools.output import check_exit, check_understood, ours, span, words

_BLOCK = re.compile(
    r"^error: (?P<message>.+)\n *┌─ (?P<path>.+?):(?P<line>\d+):(?P<column>\d+)\n(?P<shown>(?:.+\n)*)", re.MULTILINE
)
_LABEL = re.compile(r"\^ (?P<text>\S.*)$", re.MULTILINE)
_NO_SCHEMA = re.compile(
    r'invalid file error=(?P<why>failed to load schema (?P<schema>\S+)) path="(?P<path>.+)"$', re.MULTILINE
)
_FAR = "a schema that only the network has"
_RULES = {"invalid TOML": ("syntax", Severity.HIGH), "conflicting keys": ("duplicate-key", Severity.HIGH)}
_WORD = re.compile(r"[\w-]+")
# It tells how many of its files are excluded, not which; and its last words are lost now and then, where they are all
# that it has to say. A file of which it said nothing in the end counts as excluded.
_LISTING = """\
config=$1
shift
for file do
    for try in 1 2 3 4 5; do
        case $("$0" lint --no-schema --colors=never "$config" -- "$file" 2>&1) in
            *"found files total=1 excluded=1"*) break ;;
            *"found files total=1 excluded=0"*) printf '%s\\n' "$file"; break ;;
        esac
    done
done
"""


def argv(files: Sequence[str], config: str | None) -> list[str]:
    return ["taplo", "lint", "--colors=never", _configured(config), "--", *(_exactly(file) for file in files)]


def _configured(config: str | None) -> str:
    return f"--config={config}" if config else "--no-auto-config"


def _exactly(file: str) -> str:
    """It would take a path for a pattern; and where one begins with `./` what is excluded is not."""
    return re.sub(r"[*?\[\]{}!]", r"[\g<0>]", file.removeprefix("./"))


def parse(output: Output) -> Reading:
    said = f"{output.completed.stderr}\n"
    check_exit("taplo", output.completed, (0, 1))
    if "invalid configuration file" in said:
        raise ToolFailed(f"taplo cannot read its configuration: {words(output.completed)}")
    wanted = {file.removeprefix("./") for file in output.files}
    found = [one for one in _findings(said, output) if one.path in wanted]
    far, unread = 0, list[NotCovered]()
    for match in _NO_SCHEMA.finditer(said):
        if match["schema"].startswith(("http://", "https://")):
            far += 1
        else:
            unread.append(NotCovered(what=ours(match["path"], output), why=f"taplo: {match['why']}"))
    if output.completed.exit_code and not (found or far or unread):
        raise ToolFailed(f"taplo failed: {words(output.completed)}")
    check_understood("taplo", output.completed, understood=False)
    return Reading(findings=found, unread=unread, left_out={_FAR: far} if far else {})


def _findings(said: str, output: Output) -> Iterator[Finding]:
    """What is wrong with a table is told at each of its keys and values: of those, the ones that are meant."""
    alike = defaultdict[tuple[str, str], list[Finding]](list)
    for match in _BLOCK.finditer(said):
        one = _finding(match, output)
        alike[one.path, one.message].append(one)
    for several in alike.values():
        meant = [one for one in several if _is_meant(one, output.read)]
        yield from dict.fromkeys((meant or several[:1]) if several[0].rule == "schema" else several)


def _finding(match: re.Match[str], output: Output) -> Finding:
    rule, severity = _RULES.get(match["message"], ("schema", Severity.MEDIUM))
    label = _LABEL.search(match["shown"])
    return Finding(
        tool="taplo",
        rule=rule,
        severity=severity,
        message=f"{match['message']}: {label['text']}" if label and rule != "schema" else match["message"],
        path=ours(match["path"], output),
        **span(match["line"], start_column=match["column"]),
    )


def _is_meant(one: Finding, read: Reader) -> bool:
    """Whether the message quotes what stands there."""
    lines = read(one.path)
    if one.start_line is None or one.start_column is None or one.start_line > len(lines):
        return False
    word = _WORD.match(lines[one.start_line - 1], one.start_column - 1)
    return word is not None and f"'{word[0]}'" in one.message


def listing(program: str, files: Sequence[str], config: str) -> list[str]:
    return ["sh", "-c", _LISTING, program, _configured(config), *map(_exactly, files)]


def listed(output: Output) -> list[str]:
    check_exit("taplo", output.completed, (0,))
    named = set(output.completed.stdout.splitlines())
    return [file for file in output.files if _exactly(file) in named]


TOOL = Tool(
    name="taplo",
    applies=lambda path: path.endswith(".toml"),
    argv=argv,
    parse=parse,
    version=("taplo", "--version"),
    languages="TOML",
    licence="MIT",
    configs={"taplo.toml": "", ".taplo.toml": ""},
    taste=True,
    known_as=("@taplo/cli",),
    listing=Listing(listing, listed),
)
