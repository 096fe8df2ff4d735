import pytest

from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.core.scopes import WORDS, lists, missing, trouble
from mcp_orchestrator.model.call import CallKind
from mcp_orchestrator.model.catalog import OfferKind

TEMPLATE = {"ref": {"type": "ref/resource", "uri": "a://{b}"}}


@pytest.mark.parametrize("scope", [*WORDS, "tools:files.read_*", "resources:docs.*", "prompts:*"])
def test_words_and_patterns_are_scopes(scope):
    assert trouble(scope) == ""


@pytest.mark.parametrize(
    "scope", ["", "admin", "tool", "tools:", "delegate:x", "runs:*", 'tools:a"b', "tools:a b", "tools:a\\b", "Tools"]
)
def test_anything_else_is_none_and_says_why(scope):
    assert trouble(scope)


@pytest.mark.parametrize(
    ("kind", "backend", "name", "params", "scope"),
    [
        (CallKind.TOOL, "files", "read", None, "tools"),
        (CallKind.TOOL, OWN, "delegate", None, "delegate"),
        (CallKind.TOOL, OWN, "handoff", None, "delegate"),
        (CallKind.TOOL, OWN, "run_cancel", None, "runs"),
        (CallKind.TOOL, OWN, "context_read", None, "runs"),
        (CallKind.TOOL, OWN, "find_tools", None, "tools"),
        (CallKind.RESOURCE, "docs", "a://b", None, "resources"),
        (CallKind.SUBSCRIPTION, "docs", "a://b", None, "resources"),
        (CallKind.PROMPT, "docs", "ask", None, "prompts"),
        (CallKind.COMPLETION, "docs", "ask", {"ref": {"type": "ref/prompt", "name": "ask"}}, "prompts"),
        (CallKind.COMPLETION, "docs", "a://{b}", TEMPLATE, "resources"),
        (CallKind.EXTENSION, "docs", "", None, "tools"),
    ],
)
def test_each_kind_of_call_needs_its_scope_and_no_other(kind, backend, name, params, scope):
    assert missing((scope,), kind, backend, name, params) == ""
    others = tuple(word for word in WORDS if word != scope)
    assert missing(others, kind, backend, name, params) == scope
    assert missing((), kind, backend, name, params) == scope


def test_a_task_is_its_owners_whatever_the_scopes():
    assert missing((), CallKind.TASK, "files", "t") == ""


def test_a_pattern_is_for_what_fits_it_and_the_narrowest_scope_is_named():
    scopes = ("tools:files.read_*", "prompts")
    assert missing(scopes, CallKind.TOOL, "files", "read_file") == ""
    assert missing(scopes, CallKind.TOOL, "files", "write_file") == "tools:files.write_file"
    assert missing(scopes, CallKind.RESOURCE, "files", "file:///x") == "resources"
    assert missing(("tools:delegate",), CallKind.TOOL, OWN, "delegate") == "delegate"


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (OfferKind.TOOL, "tools"),
        (OfferKind.PROMPT, "prompts"),
        (OfferKind.RESOURCE, "resources"),
        (OfferKind.TEMPLATE, "resources"),
    ],
)
def test_what_may_be_used_is_what_is_listed(kind, word):
    assert lists((word,), kind, "s", "x")
    assert lists((f"{word}:s.*",), kind, "s", "x")
    assert not lists((f"{word}:t.*",), kind, "s", "x")
    assert not lists((), kind, "s", "x")


def test_a_kept_result_is_its_owners_whatever_the_scopes():
    assert missing(("runs",), CallKind.RESOURCE, OWN, "result://run1/content/0") == ""
    assert missing((), CallKind.TOOL, OWN, "result_read") == ""
    assert lists(("prompts",), OfferKind.TEMPLATE, OWN, "result://{run}{/path*}")
    assert missing(("runs",), CallKind.RESOURCE, "docs", "result://run1") == "resources"
