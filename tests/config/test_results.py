"""The section `results` and the bounds of profiles."""

import json

import pytest

from mcp_orchestrator.config.load import load
from mcp_orchestrator.config.results import read_results
from mcp_orchestrator.model.results import UNBOUNDED, Bound, ResultsSpec


def loaded(tmp_path, **sections):
    path = tmp_path / "orchestrator.yaml"
    path.write_text(json.dumps({"mcpServers": {"one": {"command": "x"}}, **sections}))
    return load(path, environ={"HOME": str(tmp_path)}, secrets={})


def test_without_the_section_nothing_is_bounded(tmp_path):
    snapshot = loaded(tmp_path).snapshot
    assert snapshot.results == ResultsSpec() == read_results({})
    assert snapshot.results.inline == UNBOUNDED
    assert not snapshot.bounds_results


def test_bounds_of_everything_of_tools_and_of_profiles_are_read(tmp_path):
    snapshot = loaded(
        tmp_path,
        results={
            "inline": {"bytes": "64KiB", "items": 200, "lines": 2000},
            "tools": {"one.read_*": {"bytes": "16KiB"}, "delegate": {"lines": 50}},
            "keep": "10m",
            "space": "32MiB",
        },
        profiles={"tight": {"results": {"bytes": 8192}}},
    ).snapshot
    assert snapshot.results == ResultsSpec(
        Bound(65536, 200, 2000),
        (("one.read_*", Bound(16384)), ("delegate", Bound(lines=50))),
        600.0,
        32 * 1024 * 1024,
    )
    assert snapshot.profiles["tight"].results == Bound(8192)
    assert snapshot.bounds_results


@pytest.mark.parametrize("where", ["tools", "profiles"])
def test_a_bound_anywhere_makes_results_bounded(tmp_path, where):
    bound = {"bytes": "8KiB"}
    sections = {"results": {"tools": {"one.*": bound}}} if where == "tools" else {"profiles": {"p": {"results": bound}}}
    assert loaded(tmp_path, **sections).snapshot.bounds_results


@pytest.mark.parametrize(
    ("section", "word"),
    [({"inline": {"bytes": 100}}, "bytes"), ({"inline": {"items": 0}}, "items"), ({"keep": 0}, "keep"),
     ({"inline": {"bites": 5000}}, "bites"), ({"space": "1KiB"}, "space"), ({"tools": {"": {"bytes": 5000}}}, "tools")],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(tmp_path, section, word):
    found = loaded(tmp_path, results=section)
    assert found.snapshot is None
    assert any(word in problem.message for problem in found.errors)


def test_a_pattern_that_can_fit_nothing_is_warned_of(tmp_path):
    patterns = {
        "on.read_*": {"bytes": 5000},
        "one.read_*": {"bytes": 5000},
        "delegate": {"bytes": 5000},
        "*": {"items": 3},
    }
    found = loaded(tmp_path, results={"tools": patterns})
    assert found.snapshot is not None
    (warning,) = [problem for problem in found.problems if "results.tools" in problem.message]
    assert "on.read_*" in warning.message
