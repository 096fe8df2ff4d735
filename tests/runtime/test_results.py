"""Results of runs: bounded for the client, kept whole first, read by whoever made the call."""

import json
from types import SimpleNamespace

import pytest
import structlog

from mcp_orchestrator.core.translate.ranges import RANGE
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era, Principal
from mcp_orchestrator.model.catalog import Offer, OfferKind
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import Completed, Failed
from mcp_orchestrator.model.plan import Care, Plan, Target
from mcp_orchestrator.model.results import Bound, ResultsSpec
from mcp_orchestrator.model.routing import LogicalTool
from mcp_orchestrator.model.snapshot import ProfileSpec
from mcp_orchestrator.runtime.results import Results, owner_of
from mcp_orchestrator.storage.results import MemoryResults

pytestmark = pytest.mark.anyio

ADA = Principal("local:ada")
LARGE = {"content": [{"type": "text", "text": "x" * 9000}]}


class FakeEngine:
    def __init__(self):
        self.log = structlog.get_logger()
        self.events = []
        self.time = 1000.0

    def now(self):
        return self.time

    def record(self, kind, run, data):
        self.events.append((kind, run, dict(data)))


def results_of(inline=None, tools=(), profiles=None, store=None, **more):
    spec = ResultsSpec(inline or Bound(), tuple(tools), **more)
    known = {name: ProfileSpec(name, results=bound) for name, bound in (profiles or {}).items()}
    return Results(SimpleNamespace(results=spec, profiles=known), store or MemoryResults(), FakeEngine())


def run_of(
    result=None, *, era=Era.MODERN, version="2026-07-28", method="tools/call", name="one__big", meta=None, **more
):
    call = Call(CallKind.TOOL, method, name, {}, meta or {}, ClientFace(era, version), ADA, more.get("profile"))
    definition = {"name": "big", **({"outputSchema": more["schema"]} if "schema" in more else {})}
    offer = Offer(OfferKind.TOOL, "one", "big", "one__big", "one.big", definition, "", Era.MODERN)
    target = Target("one", "big", offer, 60.0, care=more.get("care"))
    run = SimpleNamespace(id="run1", call=call, plan=Plan(target, None, ()))
    return run, Completed(json.dumps(result or LARGE).encode(), Era.MODERN)


def test_the_tool_and_the_profile_bound_together_and_the_rest_says_the_general_bound():
    general, tool, profile = Bound(10_000, 50, 500), Bound(bytes=5000), Bound(bytes=8000, items=5)
    results = results_of(general, [("one.b*", tool), ("one.*", Bound(1))], {"tight": profile})
    assert results.bound_for(*_of()) == Bound(5000, 50, 500)
    assert results.bound_for(*_of(profile="tight")) == Bound(5000, 5, 500)
    assert results.bound_for(*_of(profile="other")) == Bound(5000, 50, 500)
    assert results.floor == 1


def _of(**more):
    run, _ = run_of(**more)
    return run.call, run.plan


def test_a_logical_tool_is_bounded_by_its_own_name_and_by_that_of_its_provider():
    care = Care("one.big", LogicalTool("search", "d", {}, ()))
    assert results_of(tools=[("search", Bound(3000))]).bound_for(*_of(care=care)) == Bound(3000)
    assert results_of(tools=[("one.big", Bound(4000))]).bound_for(*_of(care=care)) == Bound(4000)


async def test_the_whole_is_kept_before_less_than_it_is_handed_on():
    store = MemoryResults()
    results = results_of(Bound(4096), store=store, keep=60.0)
    run, outcome = run_of()
    handed = await results.handed_on(run, outcome)
    assert len(handed.result) <= 4096
    kept = await store.find("run1", 1000.0)
    assert (kept.body, kept.owner, kept.method, kept.expires) == (outcome.result, owner_of(ADA), "tools/call", 1060.0)
    ((kind, run_id, said),) = results._engine.events
    assert (kind, run_id) == (EventKind.RESULT_KEPT, "run1")
    assert said == {
        "uri": "result://run1",
        "bytes": len(outcome.result),
        "shown": len(handed.result),
        "sha256": kept.digest,
    }


async def test_what_is_within_the_bound_is_the_same_object_and_nothing_is_kept():
    store = MemoryResults()
    results = results_of(Bound(1 << 20), store=store)
    run, outcome = run_of()
    assert await results.handed_on(run, outcome) is outcome
    assert await store.find("run1", 1000.0) is None


class FullDisk(MemoryResults):
    async def keep(self, kept, space):
        raise OSError(28, "No space left on device")


async def test_what_cannot_be_kept_is_handed_on_whole():
    run, outcome = run_of()
    assert await results_of(Bound(4096), store=FullDisk()).handed_on(run, outcome) is outcome


@pytest.mark.parametrize(
    "how",
    [{"name": "result://run0/content/0", "method": "resources/read"}, {"name": "ui://app", "method": "resources/read"},
     {"meta": {RANGE: {"offset": 0}}, "method": "resources/read"}],
)  # fmt: skip
async def test_reads_of_kept_results_of_apps_and_of_a_range_are_not_cut_again(how):
    run, outcome = run_of({"contents": [{"uri": "a:b", "text": "x" * 9000}]}, **how)
    assert await results_of(Bound(4096)).handed_on(run, outcome) is outcome


async def test_a_client_from_before_links_gets_a_note_in_their_place():
    picture = {"content": [{"type": "image", "data": "QUFB" * 5000, "mimeType": "image/png"}]}
    for version, kind in (("2025-03-26", "text"), ("2025-06-18", "resource_link")):
        run, outcome = run_of(picture, era=Era.LEGACY, version=version)
        handed = await results_of(Bound(4096)).handed_on(run, outcome)
        assert json.loads(handed.result)["content"][0]["type"] == kind


async def test_the_schema_that_clients_know_is_asked_of_the_logical_tool_where_there_is_one():
    rows = {"content": [], "structuredContent": {"rows": list(range(50))}}
    strict = {"type": "object", "properties": {"rows": {"type": "array", "minItems": 50}}}
    results = results_of(Bound(items=5))
    run, outcome = run_of(rows, schema=strict)
    assert "structuredContent" not in json.loads((await results.handed_on(run, outcome)).result)
    care = Care("one.big", LogicalTool("search", "d", {}, (), output_schema={"type": "object"}))
    run, outcome = run_of(rows, schema=strict, care=care)
    handed = json.loads((await results.handed_on(run, outcome)).result)
    assert handed["structuredContent"] == {"rows": [0, 1, 2, 3, 4]}


async def read_by(results, principal, uri="result://run1/content/0/8990..", meta=None):
    return await results.read(principal, None, uri, meta or {})


async def test_only_who_called_may_read_and_everybody_else_is_told_the_same_as_of_nothing():
    results = results_of(Bound(4096))
    await results.handed_on(*run_of())
    found = await read_by(results, ADA)
    assert json.loads(found.result)["contents"][0]["text"] == "x" * 10
    for other in (
        Principal("local:eve"), Principal("local:ada", "token"), Principal("local:ada", run="another run"),
    ):  # fmt: skip
        refused = await read_by(results, other)
        assert isinstance(refused, Failed)
        missing = await read_by(results, ADA, "result://nothing")
        assert (refused.code, refused.kind) == (missing.code, missing.kind)
        assert (
            refused.message.partition(": ")[2].partition(": ")[2]
            == missing.message.partition(": ")[2].partition(": ")[2]
        )


async def test_a_read_is_bounded_too_unless_a_range_of_it_is_wanted():
    results = results_of(Bound(4096))
    await results.handed_on(*run_of())
    assert len((await read_by(results, ADA, "result://run1/content/0")).result) <= 4096
    whole = await read_by(results, ADA, "result://run1/content/0", {RANGE: {"offset": 0}})
    assert json.loads(whole.result)["contents"][0]["text"] == "x" * 9000


async def test_when_the_time_is_over_there_is_nothing_to_read():
    results = results_of(Bound(4096), keep=60.0)
    await results.handed_on(*run_of())
    results._engine.time += 61
    assert isinstance(await read_by(results, ADA), Failed)


async def test_a_store_that_cannot_be_read_is_told_as_that():
    class Broken(MemoryResults):
        async def find(self, run, now):
            raise OSError(5, "Input/output error")

    failed = await read_by(results_of(Bound(4096), store=Broken()), ADA)
    assert "Input/output error" in failed.message
