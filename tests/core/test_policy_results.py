"""A result is withheld, cleared, or handed on as it is."""

from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.policy_rules import Subject
from mcp_orchestrator.core.rulings import Asker
from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.rules import Effect, Phase, PolicyRule, Redaction

MAIL = encode({"content": [{"type": "text", "text": "a@b.example"}], "isError": True})


def judge(effect, when="", args=None, **more):
    rule = PolicyRule("r", effect, when=when, phases=(Phase.RESULT,), where="f:1", **more)
    return Policy([rule]).decide(Subject(("tool",), ("a.b",), "a"), Asker(Principal("p")), args or {}, 0.0).judge


def test_a_result_that_no_rule_touches_is_handed_on_byte_for_byte():
    judged = judge(Effect.DENY, "result.bytes > 1000")(MAIL)
    assert judged.result is MAIL
    assert judged.reasons == ()


def test_conditions_see_text_size_error_and_the_arguments_of_the_call():
    for when in ('result.text.contains("a@b")', "result.is_error", "result.bytes < 100", "args.n == 1"):
        assert judge(Effect.DENY, when, {"n": 1})(MAIL).result is None


def test_a_nul_in_a_result_hides_nothing():
    hidden = encode({"content": [{"type": "text", "text": "x\x00TOP SECRET"}]})
    assert judge(Effect.DENY, 'result.text.contains("SECRET")')(hidden).result is None


def test_what_was_taken_out_is_told_with_the_rule():
    judged = judge(Effect.REDACT, redact=Redaction(("email",)))(MAIL)
    assert b"[email]" in judged.result
    assert (judged.reasons[0].rule, judged.reasons[0].where) == ("r", "f:1")


def test_what_is_no_json_or_too_deep_is_withheld():
    for result in (b"{", b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"):
        assert judge(Effect.REDACT, redact=Redaction(("email",)))(result).result is None


def test_what_is_said_on_the_way_is_cleared_and_withheld_where_the_result_may_be():
    assert judge(Effect.REDACT, redact=Redaction(("email",))).veil({"message": "a@b.example"}) == {"message": "[email]"}
    veiled = judge(Effect.DENY, "result.is_error").veil({"progress": 1, "message": "x", "data": {"y": 1}})
    assert veiled == {"progress": 1, "message": "[withheld]", "data": "[withheld]"}
