"""Whatever road a call takes, the rules are asked: nothing goes round them, and what they hide is nowhere told."""

import asyncio
from types import SimpleNamespace

import anyio
import pytest
from delegating import BOB, Agent, House, answers
from engines import MODERN, Ear, FakeBackend, asking, tool_call, whole

from mcp_orchestrator.core.approving import ALLOW, DENY
from mcp_orchestrator.core.plan import Rules
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.translate.ranges import RANGE
from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era, Principal
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, ToolRefusal
from mcp_orchestrator.model.rules import Effect, Match, Phase, PolicyRule, Redaction, Scope
from mcp_orchestrator.plugin_api import View
from mcp_orchestrator.runtime.delegation_door import DelegationFront
from mcp_orchestrator.runtime.policing import Policing
from mcp_orchestrator.testing.fake_backend import tool

pytestmark = pytest.mark.anyio

ADA = Principal("local:ada")
WHERE = "rules.yaml:7"
YES = Answer({"action": "accept", "content": {"decision": ALLOW}})


def rule(effect, ident="r", when="", phases=(Phase.CALL,), **more):
    match = Match(**more.pop("match", {}))
    return PolicyRule(ident, Effect(effect), match, when, tuple(phases), where=WHERE, **more)


def two():
    one, other = FakeBackend("one"), FakeBackend("two")
    one.tools = [tool("read", path={"type": "string"}), tool("write", path={"type": "string"}, text={"type": "string"})]
    one.resources = [{"uri": "memo://a", "name": "a"}, {"uri": "memo://secret/b", "name": "b"}]
    one.prompts = [{"name": "greet"}, {"name": "secret"}]
    return one, other


def sent(backend):
    return [one for session in backend.sessions for one in session.invocations]


async def names(made, kind=OfferKind.TOOL, who=ADA, client=None):
    view = View(Era.MODERN, None, who, client=client)
    found = decode(await made.gateway.listing(view, kind, None))
    return [entry.get("uri") or entry["name"] for entry in found[kind.value]]


async def ask(made, call, port=None):
    return await made.gateway.start(call, port or Ear()).outcome()


def resource(uri, kind=CallKind.RESOURCE, method="resources/read", client=MODERN):
    return Call(kind, method, uri, {"uri": uri}, {}, client, ADA)


@pytest.mark.parametrize("name", ["one__write", "one.write", "write"])
async def test_a_denied_tool_is_refused_by_every_name_it_has_with_rule_and_place(tmp_path, name):
    one, other = two()
    async with whole(
        tmp_path, one, other, policies=(rule("deny", match={"tool": ("one.w*",)}, reason="no writes"),)
    ) as made:
        refused = await made.call(name, path="x")
        assert isinstance(refused, ToolRefusal)
        assert refused.kind is FailureKind.REFUSED
        assert "rule 'r' denies one.write: no writes (rules.yaml:7)" in refused.text
        assert sent(one) == []
        assert isinstance(await made.call("one__read", path="x"), Completed)


async def test_what_can_never_be_called_is_neither_listed_nor_suggested(tmp_path):
    one, other = two()
    async with whole(tmp_path, one, other, policies=(rule("deny", match={"tool": ("one.write",)}),)) as made:
        assert await names(made) == ["one__read", "two__echo"]
        unknown = await made.call("one__wriite")
        assert "one__write" not in str(unknown)


async def test_a_rule_that_reads_arguments_hides_nothing(tmp_path):
    one, other = two()
    rules = (rule("deny", when='args.path == "/etc"', match={"tool": ("one.*",)}),)
    async with whole(tmp_path, one, other, policies=rules) as made:
        assert await names(made) == ["one__read", "one__write", "two__echo"]
        assert isinstance(await made.call("one__read", path="/etc"), ToolRefusal)
        assert isinstance(await made.call("one__read", path="/srv"), Completed)


async def test_lists_differ_by_caller_and_callers_without_rules_share_a_page(tmp_path):
    one, other = two()
    rules = (rule("deny", match={"tool": ("one.*",), "group": ("interns",)}),)
    async with whole(tmp_path, one, other, policies=rules) as made:
        intern = Principal("token:bob", "token", groups=("interns",))
        assert await names(made, who=intern) == ["two__echo"]
        assert await names(made) == await names(made, who=Principal("token:eve", "token"))
        catalog = made.gateway.generation.catalog(Era.MODERN, None)
        assert len(catalog.pages) == 2
        refused = await ask(
            made,
            Call(CallKind.TOOL, "tools/call", "one__read", {"name": "one__read", "arguments": {}}, {}, MODERN, intern),
        )
        assert "It applies to group interns only" in refused.text


async def test_a_rule_of_the_phase_list_denies_the_call_as_well(tmp_path):
    one, other = two()
    rules = (rule("deny", phases=(Phase.LIST,), when='tool.server == "one" && client.name == "c"'),)
    async with whole(tmp_path, one, other, policies=rules) as made:
        face = ClientFace(Era.MODERN, "2026-07-28", {}, {"name": "c"})
        assert await names(made, client=face) == ["two__echo"]
        assert len(await names(made)) == 3
        assert isinstance(await made.call("one__read", face, path="x"), ToolRefusal)
        assert isinstance(await made.call("one__read", path="x"), Completed)


@pytest.mark.parametrize(
    "uri",
    ["memo://secret/b", "mcp://one/memo://secret/b", "memo://secret/x/../b", "memo://secret/%62", "memo://SECRET/b"],
)
@pytest.mark.parametrize(
    ("kind", "method"),
    [(CallKind.RESOURCE, "resources/read"), (CallKind.SUBSCRIPTION, "resources/subscribe")],
)
async def test_a_denied_resource_can_neither_be_read_nor_subscribed_to_however_it_is_written(
    tmp_path, uri, kind, method
):
    one, _ = two()
    rules = (rule("deny", match={"tool": ("memo://secret/b",), "kind": ("resource",)}),)
    async with whole(tmp_path, one, policies=rules) as made:
        client = asking("s1") if kind is CallKind.SUBSCRIPTION else MODERN
        refused = await ask(made, resource(uri, kind, method, client))
        assert isinstance(refused, Failed)
        assert (refused.kind, refused.data["rule"], refused.data["where"]) == (FailureKind.REFUSED, "r", WHERE)
        assert sent(one) == []
        assert await names(made, OfferKind.RESOURCE) == ["memo://a"]


async def test_prompts_and_their_completion_are_denied_alike(tmp_path):
    one, _ = two()
    rules = (rule("deny", match={"tool": ("one.secret",), "kind": ("prompt",)}),)
    async with whole(tmp_path, one, policies=rules) as made:
        assert await names(made, OfferKind.PROMPT) == ["one__greet"]
        got = await ask(
            made, Call(CallKind.PROMPT, "prompts/get", "one__secret", {"name": "one__secret"}, {}, MODERN, ADA)
        )
        params = {"ref": {"type": "ref/prompt", "name": "one__secret"}, "argument": {"name": "a", "value": "b"}}
        completed = await ask(
            made, Call(CallKind.COMPLETION, "completion/complete", "one__secret", params, {}, MODERN, ADA)
        )
        assert {got.kind, completed.kind} == {FailureKind.REFUSED}
        assert sent(one) == []


async def test_conditions_on_the_kind_hold_for_what_belongs_to_it(tmp_path):
    one, _ = two()
    async with whole(tmp_path, one, policies=(rule("deny", when='kind == "resource"'),)) as made:
        refused = await ask(made, resource("memo://a", CallKind.SUBSCRIPTION, "resources/subscribe", asking("s1")))
        assert refused.kind is FailureKind.REFUSED


async def test_names_and_methods_that_no_list_has_are_under_the_rules_too(tmp_path):
    one = FakeBackend("one")
    async with whole(tmp_path, one, policies=(rule("deny", match={"server": ("one",)}),)) as made:
        assert isinstance(await made.call("hidden_tool"), ToolRefusal)
        extension = Call(CallKind.EXTENSION, "acme/do", "", {}, {}, MODERN, ADA)
        assert (await ask(made, extension)).kind is FailureKind.REFUSED
        assert sent(one) == []


async def test_an_unlisted_tool_counts_as_one_that_may_destroy(tmp_path):
    one = FakeBackend("one")
    one.tools = [{**tool("look"), "annotations": {"readOnlyHint": True}}]
    rules = (rule("deny", match={"annotations": {"destructiveHint": True}}),)
    async with whole(tmp_path, one, policies=rules) as made:
        assert isinstance(await made.call("one__look"), Completed)
        assert isinstance(await made.call("hidden_tool"), ToolRefusal)


async def test_an_agent_is_under_the_rules_of_the_client_it_works_for(tmp_path):
    one, other = two()
    rules = (
        rule("deny", "a", match={"tool": ("one.write",), "principal": ("local:bob",)}),
        rule("deny", "b", when='principal.id == "local:eve"', match={"tool": ("one.*",)}),
        rule("deny", "c", when="run.depth > 1", match={"tool": ("two.*",)}),
    )
    async with whole(tmp_path, one, other, policies=rules) as made:

        def by(owner, depth=1):
            agent = Principal("agent:claude:r1", "agent", run="r1", depth=depth, owner=owner)
            return lambda name: ask(
                made, Call(CallKind.TOOL, "tools/call", name, {"name": name, "arguments": {}}, {}, MODERN, agent)
            )

        assert isinstance(await by("local:bob")("one__write"), ToolRefusal)
        assert isinstance(await by("local:bob")("one__read"), Completed)
        assert isinstance(await by("local:eve")("one__read"), ToolRefusal)
        assert isinstance(await by("local:ada")("two__echo"), Completed)
        assert isinstance(await by("local:ada", 2)("two__echo"), ToolRefusal)


async def test_an_error_while_deciding_denies_and_is_in_the_journal_with_rule_and_place(tmp_path):
    one, _ = two()
    async with whole(tmp_path, one, policies=(rule("deny", when='args.nope == "x"'),)) as made:
        refused = await made.call("one__read", path="x")
        assert "cannot be decided" in refused.text
        assert sent(one) == []
        event = next(event for event in made.journal.events if event.kind == "call.refused")
        assert (event.data["reasons"][-1].rule, event.data["reasons"][-1].where) == ("r", WHERE)


async def test_padding_does_not_hide_what_a_rule_looks_for(tmp_path):
    one, _ = two()
    rules = (rule("deny", when='args.text.contains("evil")', match={"tool": ("one.write",)}),)
    async with whole(tmp_path, one, policies=rules) as made:
        assert isinstance(await made.call("one__write", text="x" * 10_000_000 + "evil"), ToolRefusal)
        assert isinstance(await made.call("one__write", text="good", path="y" * 10_000_000), Completed)
        assert isinstance(await made.call("one__write", text="x\x00evil"), ToolRefusal)  # cut off inside the engine


async def test_a_nul_in_a_uri_or_a_client_hides_nothing(tmp_path):
    one, _ = two()
    rules = (rule("deny", when='tool.name.contains("secret") || client.name.contains("evil")'),)
    async with whole(tmp_path, one, policies=rules) as made:
        assert (await ask(made, resource("memo://x\x00secret"))).kind is FailureKind.REFUSED
        client = ClientFace(Era.MODERN, "2026-07-28", {}, {"name": "good\x00evil\ud800"})
        assert isinstance(await made.call("one__read", client, path="x"), ToolRefusal)


async def test_arguments_are_rewritten_and_redacted_before_they_are_sent(tmp_path):
    one, _ = two()
    rules = (
        rule("rewrite", "w", rewrite={"path": '"/safe/" + args.path', "mode": {"const": "ro"}}),
        rule("redact", "x", redact=Redaction(patterns=("email",))),
    )
    async with whole(tmp_path, one, policies=rules) as made:
        await made.call("one__write", path="a", text="write to a@b.example now")
        (invocation,) = sent(one)
        assert invocation.params["arguments"] == {"path": "/safe/a", "mode": "ro", "text": "write to [email] now"}


async def test_a_rewrite_does_not_lead_round_another_rule(tmp_path):
    one, _ = two()
    rules = (
        rule("rewrite", "w", rewrite={"path": {"const": "/etc"}}),
        rule("deny", "d", when='args.path == "/etc"'),
    )
    async with whole(tmp_path, one, policies=rules) as made:
        assert "rule 'd' denies" in (await made.call("one__read", path="/srv")).text


async def test_results_errors_progress_and_log_messages_are_redacted(tmp_path):
    async def tells(invocation, talk):
        talk.progress({"progress": 1, "message": "asking a@b.example"})
        talk.notify("notifications/message", {"level": "info", "data": "from a@b.example"})
        if invocation.params["arguments"].get("path"):
            return Failed(FailureKind.BACKEND_ERROR, -32000, "no such user a@b.example", {"who": "a@b.example"})
        return Completed(
            encode({"content": [{"type": "text", "text": "a@b.example"}], "structuredContent": {"who": "a@b.example"}}),
            Era.LEGACY,
        )

    one, _ = two()
    one.play = tells
    rules = (rule("redact", phases=(Phase.RESULT,), redact=Redaction(patterns=("email",))),)
    async with whole(tmp_path, one, policies=rules) as made:
        ear = Ear()
        call = tool_call("one__read")
        call.wants_progress = True
        done = await ask(made, call, ear)
        failed = await made.call("one__read", path="x")
        told = str([done.result, failed, ear.heard])
        assert "a@b.example" not in told
        assert told.count("[email]") == 6
        assert "result.judged" in made.journal.kinds()


async def test_a_result_is_withheld_when_a_rule_says_so_or_cannot_be_decided(tmp_path):
    one, _ = two()
    rules = (
        rule(
            "deny",
            "secret",
            phases=(Phase.RESULT,),
            when='result.text.contains("TOP SECRET")',
            match={"tool": ("one.read",)},
        ),
        rule("deny", "broken", phases=(Phase.RESULT,), when="args.n > 1", match={"tool": ("one.write",)}),
    )
    async with whole(tmp_path, one, policies=rules) as made:
        assert isinstance(await made.call("one__read", path="x"), Completed)
        withheld = await made.call("one__read", path="TOP SECRET")
        assert "rule 'secret' withholds the result" in withheld.text
        assert "cannot be decided for the result" in (await made.call("one__write", path="x")).text


async def test_servers_may_not_ask_what_rules_forbid(tmp_path):
    async def asks(_invocation, talk):
        sampling = await talk.ask(Question("sampling/createMessage", {"messages": [], "maxTokens": 9}))
        elicited = await talk.ask(Question("elicitation/create", {"message": "who?", "requestedSchema": {}}))
        return Completed(
            encode({"content": [], "structuredContent": {"s": sampling.message, "e": elicited.result}}), Era.LEGACY
        )

    one, _ = two()
    one.play = asks
    rules = (rule("deny", match={"kind": ("sampling",), "server": ("one",)}),)
    async with whole(tmp_path, one, policies=rules) as made:
        client = ClientFace(Era.LEGACY, "2025-11-25", {"elicitation": {}, "sampling": {}}, {"name": "c"}, "s1")
        ear = Ear(Answer({"action": "accept", "content": {}}))
        done = decode((await made.call("one__read", client, ear, path="x")).result)["structuredContent"]
        assert [question.method for question in ear.asked] == ["elicitation/create"]
        assert done["e"]["action"] == "accept"
        assert "question.refused" in made.journal.kinds()


async def test_servers_may_not_ask_outside_of_calls_what_rules_forbid(tmp_path):
    one, _ = two()
    rules = (rule("deny", match={"kind": ("elicitation",), "server": ("one",)}),)
    async with whole(tmp_path, one, policies=rules) as made:
        ear = Ear(Answer({"action": "accept", "content": {}}))
        made.gateway.session_opened(asking("s1"), View(Era.LEGACY, None, ADA), ear)
        question = Question("elicitation/create", {"message": "who?", "requestedSchema": {}})
        assert (await made.gateway.asked("one", "s1", question)).result == {"action": "decline"}
        assert (await made.gateway.asked("two", "s1", question)).result["action"] == "accept"


async def test_a_secret_is_not_read_in_parts(tmp_path):
    async def gives(_invocation, _talk):
        return Completed(encode({"contents": [{"uri": "memo://a", "text": "mail a@b.example now"}]}), Era.LEGACY)

    one, _ = two()
    one.play = gives
    rules = (rule("redact", phases=(Phase.RESULT,), redact=Redaction(patterns=("email",))),)
    async with whole(tmp_path, one, policies=rules) as made:
        read = ""
        for offset in range(0, 20, 4):
            call = resource("memo://a")
            call.meta[RANGE] = {"offset": offset, "length": 4}
            outcome = await ask(made, call)
            if isinstance(outcome, Completed):
                read += decode(outcome.result)["contents"][0]["text"]
        assert read == "mail [email] now"
        assert all(RANGE not in invocation.meta for invocation in sent(one))


async def test_delegations_by_other_doors_are_under_the_rules_and_wait_for_the_operator(tmp_path):
    house = House(tmp_path, Agent(work=answers("done")))
    policy = Policy(
        [
            rule("deny", "no-bob", match={"kind": ("delegation",), "principal": (BOB.id,)}),
            rule("ask", "ask", match={"agent": ("worker",)}),
        ]
    )
    generation = SimpleNamespace(rules=Rules(policy=policy), snapshot=SimpleNamespace(digest="0", agents={}))
    house.engine.policing = Policing(house.engine, lambda: generation)
    door = DelegationFront(house.delegations)
    with pytest.raises(ValueError, match="rule 'no-bob' denies"):
        await door.begin("x", BOB)
    for answer, begun in (({"action": "decline"}, False), (YES.result, True)):
        beginning = asyncio.ensure_future(door.begin("tidy up", ADA))
        with anyio.fail_after(5):
            while not (questions := house.engine.approvals.desk.questions()):
                await anyio.lowlevel.checkpoint()
        assert "tidy up" in questions[0].question.params["message"]
        house.engine.approvals.desk.give(questions[0], Answer(answer, by="cli"))
        if begun:
            assert (await beginning).kept.owner == ADA.id
        else:
            with pytest.raises(ValueError, match="was not approved"):
                await beginning
    await house.delegations.stop()


# -- approvals ----------------------------------------------------------------------------------------------------

ASK = {"match": {"tool": ("one.write",)}}


async def test_a_person_among_the_approvers_is_asked_by_elicitation_and_sees_exactly_what_is_sent(tmp_path):
    one, _ = two()
    async with whole(tmp_path, one, policies=(rule("ask", approvers=("local:t",), **ASK),)) as made:
        ear = Ear(YES)
        done = await made.call("one__write", asking("s1"), ear, path="/a", text="b\u202ec\x1b[1m")
        assert isinstance(done, Completed)
        message = ear.asked[0].params["message"]
        assert '{"path": "/a", "text": "b\\u202ec\\u001b[1m"}' in message
        assert "one.write" in message
        assert ear.asked[0].params["requestedSchema"]["properties"]["decision"]["enum"] == [ALLOW, DENY]
        kinds = made.journal.kinds()
        assert kinds.index("approval.asked") < kinds.index("approval.granted") < kinds.index("run.ended")


@pytest.mark.parametrize(
    "answer",
    [
        Answer({"action": "accept", "content": {"decision": DENY}}),
        Answer({"action": "accept"}),
        Answer({"action": "accept", "content": {}}),
        Answer({"action": "accept", "content": {"decision": True}}),
        Answer({"action": "decline"}),
        Answer({"action": "cancel"}),
        Answer(None, -1, "no"),
    ],
)
async def test_everything_but_the_one_option_is_a_denial(tmp_path, answer):
    one, _ = two()
    async with whole(tmp_path, one, policies=(rule("ask", approvers=("local:t",), **ASK),)) as made:
        refused = await made.call("one__write", asking("s1"), Ear(answer), path="/a")
        assert (refused.kind, "not approved" in refused.text) == (FailureKind.REFUSED, True)
        assert sent(one) == []
        assert "approval.denied" in made.journal.kinds()


async def test_who_is_no_approver_is_not_asked_and_neither_is_the_client_of_an_agent(tmp_path):
    one, _ = two()
    rules = (rule("ask", approvers=("local:boss", "group:bosses"), **ASK),)
    async with whole(tmp_path, one, policies=rules) as made:
        ear = Ear(YES)
        refused = await made.call("one__write", asking("s1"), ear, path="/a")
        assert "nobody who may agree can be asked here (approvers: local:boss, group:bosses)" in refused.text
        agent = Principal("agent:x:r1", "agent", run="r1", depth=1, groups=("bosses",), owner="local:boss")
        params = {"name": "one__write", "arguments": {"path": "/a"}}
        refused = await ask(made, Call(CallKind.TOOL, "tools/call", "one__write", params, {}, asking("s2"), agent), ear)
        assert isinstance(refused, ToolRefusal)
        assert ear.asked == []
        assert sent(one) == []


async def waiting(made):
    with anyio.fail_after(5):
        while not (found := made.engine.approvals.desk.questions()):
            await anyio.lowlevel.checkpoint()
    return found[0]


async def test_the_command_line_answers_for_the_operator(tmp_path):
    one, _ = two()
    async with whole(tmp_path, one, policies=(rule("ask", **ASK),)) as made:
        run = made.gateway.start(tool_call("one__write", path="/a"), Ear())
        question = await waiting(made)
        assert question.run == run.id
        made.engine.approvals.desk.give(question, Answer(YES.result, by="cli"))
        assert isinstance(await run.outcome(), Completed)


async def test_an_agreement_once_is_used_up_by_the_call(tmp_path):
    one, _ = two()
    async with whole(tmp_path, one, policies=(rule("ask", approvers=("local:t",), **ASK),)) as made:
        ear = Ear(YES)
        for _ in range(2):
            await made.call("one__write", asking("s1"), ear, path="/a")
        assert len(ear.asked) == 2


async def test_an_agreement_for_a_run_is_bound_to_the_exact_arguments(tmp_path):
    one, _ = two()
    rules = (rule("ask", scope=Scope.RUN, **ASK),)
    async with whole(tmp_path, one, policies=rules) as made:
        agent = Principal("agent:x:r1", "agent", run="r1", depth=1)

        def start(text, who=agent):
            params = {"name": "one__write", "arguments": {"text": text}}
            return made.gateway.start(Call(CallKind.TOOL, "tools/call", "one__write", params, {}, MODERN, who), Ear())

        first = start("a")
        made.engine.approvals.desk.give(await waiting(made), Answer(YES.result, by="cli"))
        assert isinstance(await first.outcome(), Completed)
        assert isinstance(await start("a").outcome(), Completed)
        changed = start("b")
        made.engine.approvals.desk.give(await waiting(made), Answer({"action": "decline"}, by="cli"))
        assert isinstance(await changed.outcome(), ToolRefusal)
        other = start("a", Principal("agent:x:r2", "agent", run="r2", depth=1))
        await waiting(made)
        other.cancel("enough")
        await other.outcome()
        assert "approval.used" in made.journal.kinds()


async def test_nobody_answering_in_time_is_a_denial(tmp_path):
    one, _ = two()
    async with whole(tmp_path, one, policies=(rule("ask", expires=0.05, **ASK),)) as made:
        with anyio.fail_after(5):
            refused = await made.call("one__write", path="/a")
        assert "nobody answered within 0.05 s" in refused.text
        assert sent(one) == []


async def test_what_cannot_be_recorded_is_not_done(tmp_path):
    one, _ = two()
    async with whole(tmp_path, one, policies=(rule("ask", approvers=("local:t",), **ASK),)) as made:
        made.journal.broken = True
        refused = await made.call("one__write", asking("s1"), Ear(YES), path="/a")
        made.journal.broken = False
        assert "could not be recorded" in refused.text
        assert sent(one) == []


async def test_an_agreement_to_rules_that_have_changed_meanwhile_is_worth_nothing(tmp_path):
    one, _ = two()
    async with whole(tmp_path, one, policies=(rule("ask", **ASK),)) as made:
        run = made.gateway.start(tool_call("one__write", path="/a"), Ear())
        question = await waiting(made)
        object.__setattr__(made.gateway.generation.snapshot, "digest", "1")
        made.engine.approvals.desk.give(question, Answer(YES.result, by="cli"))
        assert "configuration changed" in (await run.outcome()).text
        assert sent(one) == []


async def test_reading_subscribing_and_prompts_wait_for_approval_as_well(tmp_path):
    one, _ = two()
    async with whole(tmp_path, one, policies=(rule("ask"),)) as made:
        calls = [
            resource("memo://a"),
            resource("memo://a", CallKind.SUBSCRIPTION, "resources/subscribe", asking("s1")),
            Call(CallKind.PROMPT, "prompts/get", "one__greet", {"name": "one__greet"}, {}, MODERN, ADA),
        ]
        for call in calls:
            run = made.gateway.start(call, Ear())
            made.engine.approvals.desk.give(await waiting(made), Answer({"action": "decline"}, by="cli"))
            assert (await run.outcome()).kind is FailureKind.REFUSED
        assert sent(one) == []
