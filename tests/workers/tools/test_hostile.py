"""Whatever a tool prints, its parser answers with findings or with ToolFailed."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import ToolFailed
from workers.agent import Completed, Output
from workers.registry import FORMATS, TOOLS

from .recordings import reader

KEYS = [
    *("runs", "results", "comments", "diagnostics", "location", "locations", "tool", "driver", "rules", "message"),
    *("physicalLocation", "region", "range", "start", "line", "fix", "edits", "errors", "line_range", "level"),
    *("artifactLocation", "uri", "symbolic", "concrete", "properties", "tags", "arguments", "replacements"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
@given(text=st.text(max_size=40) | JSON.map(json.dumps), exit_code=st.sampled_from([0, 1]))
def test_tools(tool: object, text: str, exit_code: int) -> None:
    [parse] = [one.parse for one in TOOLS if one is tool]
    with contextlib.suppress(ToolFailed):
        parse(Output(Completed(exit_code, text, "", 0.1), ["./a"], None, reader({"a": "x\n"})))


@pytest.mark.parametrize("name", FORMATS)
@given(text=st.text(max_size=40) | JSON.map(json.dumps))
def test_formats(name: str, text: str) -> None:
    with contextlib.suppress(ToolFailed):
        FORMATS[name](text, reader({"a": "x\n"}))


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
@pytest.mark.parametrize(
    "completed",
    [
        Completed(None, "", "", 9.0, timed_out=True),
        Completed(None, "", "", 0.1),
        Completed(0, "[", "", 0.1, truncated=True),
        Completed(70, "", "panicked", 0.1),
    ],
)
def test_no_tool_that_did_not_end_well_is_believed(tool: object, completed: Completed) -> None:
    [parse] = [one.parse for one in TOOLS if one is tool]
    with pytest.raises(ToolFailed):
        parse(Output(completed, ["./a"], None, reader({})))


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_files_come_after_a_double_dash(tool: object) -> None:
    [argv] = [one.argv for one in TOOLS if one is tool]
    # A colon marks a name that is no pattern.
    words = [word.removeprefix(":") for word in argv(["./--fix"], None)]
    named = words[words.index("--") + 1 :] if "--" in words else []
    # Some take folders instead, or look at the project that they are started in; taplo excludes nothing that
    # begins with a dot and a slash.
    assert named in (["./--fix"], ["--fix"], ["."], [])
    if words[0] == "cppcheck":  # knows no double dash; what begins with a dot is no option
        named = words[-1:]
    assert not any("/--fix" in word for word in words[: len(words) - len(named)])
