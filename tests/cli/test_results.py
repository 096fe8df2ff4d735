import io
import json

import pytest

from mcp_orchestrator.cli.exits import Ended, Exit
from mcp_orchestrator.cli.printing import Format, Printer
from mcp_orchestrator.cli.results import report, text_of


def told(answer, chosen=Format.TEXT):
    out, err = io.StringIO(), io.StringIO()
    code = report(answer, Printer(chosen, out=out, err=err))
    return code, out.getvalue(), err.getvalue()


def test_every_kind_of_content_has_a_readable_form():
    content = [
        {"type": "text", "text": "one\x1b[2J"},
        {"type": "image", "mimeType": "image/png", "data": "AAAA"},
        {"type": "resource_link", "name": "n", "uri": "file:///x"},
        {"type": "resource", "resource": {"uri": "file:///y", "text": "inside"}},
        {"type": "resource", "resource": {"uri": "file:///z", "blob": "AAAA"}},
        {"type": "resource", "resource": 5},
        {"type": "hologram", "depth": 3},
        "odd",
    ]
    shown = text_of({"content": content})
    assert "\x1b" not in shown
    for part in (
        "one",
        "[image image/png, 3 bytes",
        "[link n: file:///x]",
        "[resource file:///y]\ninside",
        '"depth": 3',
    ):
        assert part in shown


def test_structured_content_stands_in_for_missing_text():
    assert json.loads(text_of({"content": [], "structuredContent": [1, 2]})) == [1, 2]
    assert text_of({}) == ""


def test_a_result_goes_to_standard_output_and_the_run_to_standard_error():
    answer = {"run": "r1", "outcome": {"result": {"content": [{"type": "text", "text": "hi"}]}}}
    assert told(answer) == (0, "hi\n", "Run r1\n")
    code, out, err = told(answer, Format.JSON)
    assert (code, json.loads(out), err) == (0, answer["outcome"]["result"], "")


def test_an_error_of_the_tool_is_exit_code_5():
    assert told({"outcome": {"result": {"content": [], "isError": True}}})[0] == 5


@pytest.mark.parametrize(
    ("kind", "data", "code"),
    [
        ("backend_error", None, Exit.TOOL_FAILED),
        ("unavailable", None, Exit.UNREACHABLE),
        ("unavailable", {"httpStatus": 401}, Exit.SIGN_IN),
        ("died", None, Exit.UNREACHABLE),
        ("timeout", None, Exit.UNREACHABLE),
        ("unknown_name", None, Exit.USAGE),
        ("refused", None, Exit.REFUSED),
        ("internal", None, Exit.UNEXPECTED),
        ("something new", None, Exit.TOOL_FAILED),
    ],
)
def test_every_kind_of_failure_has_its_exit_code(kind, data, code):
    error = {"kind": kind, "code": -32000, "message": "no", "data": data, "retryable": False}
    with pytest.raises(Ended) as caught:
        told({"run": "r1", "outcome": {"error": error}})
    assert caught.value.code is code
    assert caught.value.details["run"] == "r1"


def test_a_question_is_exit_code_7_and_says_what_is_asked():
    requests = {
        "q": {"method": "elicitation/create", "params": {"message": "Which branch?"}},
        "r": {"method": "roots/list"},
    }
    with pytest.raises(Ended) as caught:
        told({"outcome": {"result": {"resultType": "input_required", "inputRequests": requests}}})
    assert caught.value.code is Exit.QUESTION
    assert "Which branch?; roots/list" in caught.value.message
