"""The section `results` and the key of the same name in profiles: how much of a result a client gets at once."""

from __future__ import annotations

from typing import Final

from mcp_orchestrator.config.shape import Duration, Field, Record, Size, TableOf, Whole
from mcp_orchestrator.core.bounding import LEAST_BYTES
from mcp_orchestrator.model.results import ResultsSpec

_results = ResultsSpec()

BOUND: Final = Record(
    (
        Field(
            "bytes",
            Size(LEAST_BYTES),
            "How long a result may be, as JSON. Without it there is no bound.",
            None,
            "64KiB",
        ),
        Field(
            "items",
            Whole(1, 10**9),
            "How many elements of each array are shown: of its content, of its structured content, of its messages. The "
            "notes about what is left out come on top.",
            None,
            200,
        ),
        Field(
            "lines",
            Whole(1, 10**9),
            "How many lines of its texts together are shown. The notes come on top.",
            None,
            2000,
        ),
    )
)

RESULTS: Final = Record(
    (
        Field("inline", BOUND, "How much of every result is handed on at once."),
        Field(
            "tools",
            TableOf(BOUND, r"\S.*", "a pattern over SERVER.NAME, such as files.read_*", "PATTERN"),
            "The same for single tools, resources and prompts, by patterns over `SERVER.NAME` (of the gateway's own and of "
            "logical tools the bare name); the first one that fits counts. What it does not say, `inline` says.",
            None,
            {"files.read_*": {"bytes": "16KiB"}},
        ),
        Field(
            "keep",
            Duration(1),
            "For how long the whole of a result that was cut can be read at its `result://` address.",
            _results.keep,
        ),
        Field(
            "space",
            Size(1024 * 1024),
            "How much all of them may take, in a directory beside the state file; beyond it the oldest go early. A result "
            "that alone is larger is handed on whole.",
            _results.space,
            "256MiB",
        ),
    )
)
