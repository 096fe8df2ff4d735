"""On its way to the client an outcome gets public URIs, a sealed state where it asks, and is cut where a part is wanted."""

import msgspec
from engines import MODERN, Ear, tool_call

from mcp_orchestrator.core.translate import ranges
from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.model.call import Call, CallKind, Era
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.model.plan import Plan, Target
from mcp_orchestrator.runtime.homeward import cut, homeward

TARGET = Target("one", "echo", None, 1.0)
ASKS = encode({"resultType": "input_required", "inputRequests": {}, "requestState": "theirs"})


class Engine:
    """As much of an engine as is needed here."""

    def __init__(self):
        self.sealed_ones = []

    def for_the_way(self, _call, _target, outcome):
        return outcome

    def sealed(self, _call, kept):
        self.sealed_ones.append(kept)
        return "ours"

    def now(self):
        return 7.0


class Run:
    def __init__(self, call):
        self.call = call
        self.plan = Plan(TARGET, None, ())
        self.port = Ear()


def test_the_state_of_a_server_that_asks_is_sealed_into_ours():
    engine = Engine()
    made = homeward(Run(tool_call("one__echo")), engine, Completed(ASKS, Era.MODERN), TARGET)
    assert decode(made.result)["requestState"] == "ours"
    (kept,) = engine.sealed_ones
    assert (kept.backend, kept.state, kept.at) == ("one", "theirs", 7.0)


def test_everything_else_passes_untouched():
    for outcome in (Completed(b'{"content":[]}', Era.MODERN), Failed(FailureKind.DIED, -1, "x")):
        assert homeward(Run(tool_call("one__echo")), Engine(), outcome, TARGET) is outcome


def test_a_part_is_cut_where_one_was_asked_for():
    contents = {"contents": [{"uri": "u:1", "text": "0123456789"}]}
    wish = Call(CallKind.RESOURCE, "resources/read", "u:1", {}, {ranges.RANGE: {"offset": 2, "length": 3}}, MODERN)
    whole = Completed(encode(contents), Era.MODERN)
    assert decode(cut(wish, whole).result)["contents"][0]["text"] == "234"
    plain = Call(CallKind.RESOURCE, "resources/read", "u:1", {}, {}, MODERN)
    assert cut(plain, whole) is whole
    assert msgspec.json.decode(whole.result) == contents
