"""Which provider takes a call of a logical tool, with which arguments and why; decided purely."""

import pytest
from catalogs import call, offers, tool

from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.logical import Shaping
from mcp_orchestrator.core.plan import Rules, plan
from mcp_orchestrator.core.routing import described, in_full
from mcp_orchestrator.model.call import CallKind, Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.outcome import Failed, FailureKind, ToolRefusal
from mcp_orchestrator.model.routing import (
    ArgumentOverride,
    ArgumentSource,
    LogicalTool,
    Outlook,
    Override,
    Provider,
    Standing,
    Strategy,
)
from mcp_orchestrator.model.snapshot import BackendSpec, NameStyle, ProfileSpec, TransportKind

QUERY = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
NOTHING = Outlook()
SOURCES = tuple(offers(name, tool("find", query={"type": "string"}), tool("other")) for name in ("a", "b", "c"))


def catalog(*providers, overrides=None, profile=None, specs=None, sources=SOURCES, **changes):
    made = LogicalTool("search", "", QUERY, tuple(providers), where="f:1", **changes)
    return Catalog(Era.MODERN, profile, sources, specs, Shaping(overrides, {"search": made}))


def three(**changes):
    return tuple(Provider(f"{name}.find", **changes) for name in ("a", "b", "c"))


def decide(made, outlook=NOTHING, only="", **arguments):
    return plan(call("search", **(arguments or {"query": "x"})), made, Rules(), outlook=outlook, only=only)


def route(decided):
    return [reason.text for reason in in_full(decided).reasons if reason.step == "route"]


def test_reasons_come_in_the_one_order_and_name_tool_and_place():
    decided = decide(catalog(Provider("a.find", where="f:3")))
    assert [reason.step for reason in decided.reasons] == ["identity", "catalog", "route", "schema", "policy", "budget"]
    assert (decided.reasons[2].rule, decided.reasons[2].where) == ("search", "f:3")


def test_providers_are_looked_at_only_as_far_as_somebody_asks():
    decided = decide(catalog(*three()))
    assert decided.target.backend == "a"
    assert len(decided.others.reasons) == 1
    assert [decided.others.next().backend, decided.others.next().backend, decided.others.next()] == ["b", "c", None]


def test_a_condition_that_is_false_or_cannot_be_decided_passes_a_provider_over():
    made = catalog(
        Provider("a.find", when="size(args.query) > 3"), Provider("b.find", when="args.nope == 1"), Provider("c.find")
    )
    decided = decide(made)
    assert decided.target.backend == "c"
    told = route(decided)
    assert told[0] == "a.find does not take it: when is false: size(args.query) > 3"
    assert "b.find does not take it: when cannot be decided: it reads something that is not there" in told[1]


@pytest.mark.parametrize("broken", [False, True])
def test_many_conditions_are_decided_as_one_by_one(broken):
    whens = [
        "args.query == 'a'",
        "args.query == 'b'",
        "args.nope == 1" if broken else "false",
        "false",
        "args.query == 'x'",
    ]
    names = "abcde"
    sources = tuple(offers(name, tool("find", query={"type": "string"})) for name in names)
    providers = [Provider(f"{name}.find", when=when) for name, when in zip(names, whens, strict=True)]
    decided = decide(catalog(*providers, sources=sources))
    assert decided.target.backend == "e"
    assert len(route(decided)) == 5


def test_when_nobody_takes_a_call_the_model_learns_why():
    decided = decide(catalog(Provider("a.find", when="false")))
    assert isinstance(decided.refusal, ToolRefusal)
    assert "a.find does not take it: when is false: false" in decided.refusal.text
    assert decided.others is not None


def test_arguments_that_do_not_fit_the_provider_are_never_sent():
    first = Provider("a.find", arguments={"query": ArgumentSource(const=(7,))})
    decided = decide(catalog(first, Provider("b.find")))
    assert decided.target.backend == "b"
    assert "the arguments mapped for it do not fit its schema: at /query: 7 is not of type" in route(decided)[0]


def test_our_own_schema_is_checked_first():
    decided = decide(catalog(Provider("a.find")), query=7)
    assert isinstance(decided.refusal, ToolRefusal)
    assert "Invalid arguments for tool 'search'" in decided.refusal.text


def test_a_provider_whose_server_does_not_offer_its_tool_now_is_passed_over():
    decided = decide(catalog(Provider("a.gone"), Provider("d.find"), Provider("b.find")))
    assert decided.target.backend == "b"
    nobody = decide(catalog(Provider("a.gone")))
    assert (nobody.refusal.kind, nobody.refusal.retryable) == (FailureKind.UNAVAILABLE, True)


def test_a_server_that_is_down_and_a_provider_that_is_ejected_come_last():
    standings = {"b.find": Standing(failures=5, ejected_until=20.0)}
    outlook = Outlook(10.0, 0.0, standings, {"b.find"}, {"a": "server 'a' is not available; next try in 3.0 s"})
    decided = decide(catalog(*three()), outlook)
    assert decided.target.backend == "c"
    told = route(decided)
    assert told[1] == "a.find comes last: server 'a' is not available; next try in 3.0 s"
    assert told[3] == "b.find comes last: ejected after 5 failures, for 10.0 s more"
    standings["b.find"].ejected_until, standings["b.find"].probing = 5.0, True
    assert "another call is trying it" in route(decide(catalog(*three()), outlook))[3]
    standings["b.find"].probing = False
    assert [one for one in route(decide(catalog(*three()), outlook)) if "b.find" in one] == [
        "b.find can take it (failover)"
    ]


def test_a_provider_that_is_full_takes_no_more_and_when_all_are_nothing_is_sent():
    standings = {f"{name}.find": Standing(busy=2) for name in ("a", "b")}
    made = catalog(Provider("a.find", max_concurrent=2), Provider("b.find", max_concurrent=3))
    assert decide(made, Outlook(standings=standings)).target.backend == "b"
    standings["b.find"].busy = 3
    refused = decide(made, Outlook(standings=standings)).refusal
    assert isinstance(refused, Failed)
    assert (refused.kind, refused.retryable) == (FailureKind.OVERLOADED, True)


def test_what_strategies_went_by_is_told():
    prices = catalog(Provider("a.find", price=20_000), Provider("b.find", price=5_000), strategy=Strategy.CHEAPEST)
    assert route(decide(prices)) == [
        "b.find can take it (cheapest: 0.005 USD a call)",
        "a.find can take it (cheapest: 0.02 USD a call)",
    ]
    standings = {"a.find": Standing(latency=0.25), "b.find": Standing(latency=0.1)}
    fast = catalog(*three()[:2], strategy=Strategy.FASTEST)
    assert route(decide(fast, Outlook(standings=standings)))[0] == "b.find can take it (fastest: 100 ms on average)"


def test_prices_come_from_the_provider_then_its_override_then_the_configuration():
    tools = {"search": LogicalTool("search", "", QUERY, (*three()[:2], Provider("c.find", price=1)))}
    overrides = {"a.find": Override("a.find", price=2), "c.find": Override("c.find", price=9)}
    shaping = Shaping(overrides, tools, {"a.find": 7, "b.find": 3}.get)
    assert [one.price for one in shaping.logical["search"].candidates] == [2, 3, 1]


def test_a_call_that_continues_goes_on_with_its_provider_whatever_its_health():
    outlook = Outlook(10.0, 0.0, {"b.find": Standing(ejected_until=20.0)}, {"b.find"})
    decided = decide(catalog(*three()), outlook, "b.find")
    assert decided.target.backend == "b"
    assert decided.others.next() is None


def test_the_tightest_limit_counts():
    overrides = {"b.find": Override("b.find", timeout=7.0)}
    made = catalog(Provider("a.find", timeout=5.0), *three()[1:], overrides=overrides, timeout=9.0)
    decided = plan(call("search", query="x"), made, Rules(timeouts={"c": 3.0}))
    assert decided.target.timeout == 5.0
    assert [decided.others.next().timeout, decided.others.next().timeout] == [7.0, 3.0]
    asked = call("search", query="x")
    asked.timeout = 1.0
    assert plan(asked, made, Rules()).target.timeout == 1.0


def test_a_provider_is_the_tool_as_overrides_leave_it():
    rules = {"query": ArgumentOverride(rename="q"), "lang": ArgumentOverride(const=("en",))}
    sources = (offers("a", tool("find", query={"type": "string"}, lang={"type": "string"})),)
    override = Override("a.find", hide=True, arguments=rules, max_result_bytes=99, idempotent=True)
    made = catalog(Provider("a.find", rename={"query": "q"}), overrides={"a.find": override}, sources=sources)
    target = decide(made).target
    assert target.arguments == {"query": "x", "lang": "en"}
    assert (target.care.cap, target.care.repeatable) == (99, True)
    assert [offer.public for offer in made.offers(OfferKind.TOOL)] == ["search"]


def test_what_a_servers_definition_leaves_out_is_no_provider_either():
    specs = {"a": BackendSpec("a", TransportKind.STDIO, exclude=("find",))}
    assert decide(catalog(Provider("a.find"), Provider("b.find"), specs=specs)).target.backend == "b"


def test_a_profile_shows_a_logical_tool_by_its_own_name():
    shown = catalog(*three(), profile=ProfileSpec("p", include=("search",)))
    assert [offer.public for offer in shown.offers(OfferKind.TOOL)] == ["search"]
    assert decide(shown).target.backend == "a"
    hidden = catalog(*three(), profile=ProfileSpec("p", exclude=("sea*",)))
    assert decide(hidden).refusal.kind is FailureKind.UNKNOWN_NAME


def test_a_logical_tool_keeps_its_name_where_a_server_has_the_same():
    sources = (offers("a", tool("search")), offers("b", tool("find", query={"type": "string"})))
    style = ProfileSpec("p", names=NameStyle.ORIGINAL)
    made = catalog(Provider("b.find"), sources=sources, profile=style)
    assert [offer.public for offer in made.offers(OfferKind.TOOL)] == ["search", "a__search", "find"]
    assert decide(made).target.backend == "b"


def test_the_gateway_is_a_source_of_the_view_for_the_sake_of_logical_tools_alone():
    made = catalog(Provider("z.find"), sources=())
    assert [source.capabilities for source in made.sources] == [{"tools": {}}]
    assert decide(made).refusal.kind is FailureKind.UNAVAILABLE


def test_a_method_that_nobody_knows_does_not_go_to_a_logical_tool():
    made = catalog(*three())
    asked = call("", kind=CallKind.EXTENSION, method="x/y")
    asked.params["name"] = "search"
    assert plan(asked, made, Rules()).target is None


def test_the_providers_are_described():
    made = catalog(Provider("a.find", when="true", weight=3, price=10, where="f:3"), Provider("z.find"))
    found = described(made.tool("search").logical, made)
    assert [(one["tool"], one["offered"], one["weight"], one["price"]) for one in found["providers"]] == [
        ("a.find", True, 3, 10),
        ("z.find", False, 1, None),
    ]
    assert found["strategy"] == "failover"
