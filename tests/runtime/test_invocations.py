"""What a backend session is handed for a run: the call in the backend's own words, and whose it is."""

from types import SimpleNamespace

import pytest

from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era, Principal
from mcp_orchestrator.model.plan import Target
from mcp_orchestrator.runtime.invocations import invocation_of

CLIENT = ClientFace(Era.MODERN, "2026-07-28")


def invoked(era=Era.MODERN, kind=CallKind.TOOL, name="files__read", own="read", **target):
    call = Call(
        kind, "tools/call", name, {"name": name, "arguments": {"a": 1}}, {"m": 1}, CLIENT, Principal("ada"), "narrow"
    )
    run = SimpleNamespace(id="r1", call=call, trace="t1")
    return call, invocation_of(run, Target("files", own, None, 5.0, **target), SimpleNamespace(era=era), CLIENT)


def test_the_backend_hears_its_own_name_and_on_whose_behalf():
    call, made = invoked()
    assert made.params == {"name": "read", "arguments": {"a": 1}}
    assert call.params["name"] == "files__read", "the call itself is left alone"
    assert (made.run, made.trace, made.principal.id, made.profile, made.meta) == ("r1", "t1", "ada", "narrow", {"m": 1})
    assert made.name_header == "read"


def test_where_the_names_are_the_same_nothing_is_copied():
    call, made = invoked(own="files__read")
    assert made.params is call.params


@pytest.mark.parametrize(("era", "sent"), [(Era.MODERN, {"Mcp-Param-A": "1"}), (Era.LEGACY, None)])
def test_headers_of_parameters_are_for_modern_backends(era, sent):
    assert invoked(era, headers={"Mcp-Param-A": "1"})[1].headers == sent


def test_a_method_that_we_do_not_know_bears_no_name():
    assert invoked(kind=CallKind.EXTENSION)[1].name_header is None
