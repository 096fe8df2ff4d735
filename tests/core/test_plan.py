"""Every call is decided in one place, with reasons."""

from catalogs import LEGACY, call, catalog, offers, tool

from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.plan import Rules, plan
from mcp_orchestrator.model.call import CallKind, Era, Principal
from mcp_orchestrator.model.outcome import Failed, FailureKind, ToolRefusal
from mcp_orchestrator.model.snapshot import BackendSpec, ProfileSpec, TransportKind

TWO = (offers("files", tool("read", path={"type": "string"})), offers("git", tool("status"), tool("read")))


def decide(asked, made=None, rules=None):
    return plan(asked, made or catalog(*TWO), rules or Rules())


def test_a_known_tool_goes_to_its_server_under_its_own_name_with_reasons_in_order():
    decided = decide(call("files__read", path="x"))
    assert (decided.target.backend, decided.target.name) == ("files", "read")
    assert [reason.step for reason in decided.reasons] == ["identity", "catalog", "schema", "policy", "budget"]


def test_bad_arguments_are_refused_before_anything_is_sent():
    decided = decide(call("files__read", path=7))
    assert isinstance(decided.refusal, ToolRefusal)
    assert "at /path: 7 is not of type" in decided.refusal.text


def test_null_stands_for_an_argument_that_is_left_out():
    schema = {"type": "object", "properties": {"path": {"type": "string"}, "deep": {"type": "boolean"}}}
    files = catalog(offers("files", {"name": "read", "inputSchema": {**schema, "required": ["path"]}}))
    assert decide(call("files__read", path="a", deep=None), files).target is not None
    assert isinstance(decide(call("files__read", path=None), files).refusal, ToolRefusal)
    assert isinstance(decide(call("files__read", path="a", deep=1), files).refusal, ToolRefusal)


def test_argument_checks_can_be_switched_off_and_the_reasons_say_so():
    decided = decide(call("files__read", path=7), rules=Rules(validate=False))
    assert decided.target is not None
    assert "observe.validate" in decided.reasons[2].text


def test_an_unknown_tool_is_refused_with_a_suggestion():
    decided = decide(call("files__raed"))
    assert isinstance(decided.refusal, Failed)
    assert decided.refusal.kind is FailureKind.UNKNOWN_NAME
    assert "did you mean 'files__read'?" in decided.refusal.message


def test_an_original_name_that_two_servers_have_is_ambiguous_and_says_the_choices():
    assert "files__read, git__read" in decide(call("read")).refusal.message


def test_a_view_with_one_server_passes_unknown_names_on_to_it():
    one = catalog(offers("only", tool("a")))
    assert decide(call("hidden_tool"), one).target.name == "hidden_tool"
    assert decide(call("only__hidden_tool"), one).target.name == "hidden_tool"


def test_a_server_is_not_the_only_one_while_nothing_is_known_of_another():
    specs = {name: BackendSpec(name, TransportKind.STDIO) for name in ("only", "silent")}
    made = Catalog(Era.MODERN, None, [offers("only", tool("a"))], specs)
    assert decide(call("silent__tool"), made).target is None
    specs["silent"] = BackendSpec("silent", TransportKind.STDIO, disabled=True)
    assert decide(call("hidden"), Catalog(Era.MODERN, None, [offers("only", tool("a"))], specs)).target is not None


def test_a_profile_hides_from_calls_what_it_hides_from_lists():
    made = catalog(offers("only", tool("a"), tool("b")), profile=ProfileSpec("p", exclude=("only.b",)))
    for name in ("only__b", "b", "only.b"):
        decided = decide(call(name), made)
        assert decided.target is None, name


def test_what_a_definition_leaves_out_cannot_be_called_even_where_it_is_the_only_server():
    left_out = {"only": BackendSpec("only", TransportKind.STDIO, exclude=("b", "secret_*"))}
    made = Catalog(Era.MODERN, None, [offers("only", tool("a"), tool("b"))], left_out)
    for name in ("only__b", "b", "only.b", "secret_door"):
        assert decide(call(name), made).target is None, name
    assert decide(call("not_listed"), made).target.name == "not_listed"


def test_a_timeout_of_the_call_can_only_shorten_the_servers():
    asked = call("git__status")
    asked.timeout = 5
    assert decide(asked, rules=Rules(timeouts={"git": 60})).target.timeout == 5
    asked.timeout = 500
    assert decide(asked, rules=Rules(timeouts={"git": 60})).target.timeout == 60


def test_a_missing_resource_has_the_code_of_the_clients_era():
    modern = decide(call("zzz://x", CallKind.RESOURCE, "resources/read", uri="zzz://x"))
    legacy = decide(call("zzz://x", CallKind.RESOURCE, "resources/read", LEGACY, uri="zzz://x"))
    assert (modern.refusal.code, legacy.refusal.code) == (-32602, -32002)


def test_a_completion_goes_to_the_owner_of_the_prompt_or_template_it_refers_to():
    made = catalog(
        offers("a", prompts=({"name": "p"},)), offers("b", templates=({"uriTemplate": "t://{x}", "name": "t"},))
    )
    prompt = {"type": "ref/prompt", "name": "a__p"}
    template = {"type": "ref/resource", "uri": "t://{x}"}
    for reference, name, backend in ((prompt, "a__p", "a"), (template, "t://{x}", "b")):
        asked = call(name, CallKind.COMPLETION, "completion/complete", ref=reference, argument={})
        assert decide(asked, made).target.backend == backend


def test_an_unknown_method_goes_to_the_one_server_that_declares_its_extension():
    made = catalog(
        offers("a", capabilities={"extensions": {"com.example/things": {}}}), offers("b", capabilities={"tools": {}})
    )
    asked = call("", CallKind.EXTENSION, "com.example/things/list")
    assert decide(asked, made).target.backend == "a"
    assert decide(call("", CallKind.EXTENSION, "com.example/things/deep/list"), made).target.backend == "a"
    nobody = decide(call("", CallKind.EXTENSION, "com.example/other"), made)
    assert nobody.refusal.code == -32601


def test_headers_that_a_schema_asks_for_are_made_from_the_arguments():
    regional = tool("go", region={"type": "string", "x-mcp-header": "Region"})
    decided = decide(call("s__go", region="eu"), catalog(offers("s", regional)))
    assert decided.target.headers == {"Mcp-Param-Region": "eu"}


def test_planning_is_deterministic():
    assert decide(call("files__read", path="x")).reasons == decide(call("files__read", path="x")).reasons


def test_the_same_tool_is_planned_for_both_eras():
    decided = plan(call("files__read", client=LEGACY), catalog(*TWO, era=Era.LEGACY), Rules())
    assert decided.target.backend == "files"


def test_what_the_token_of_a_caller_is_not_good_for_is_refused_by_the_name_of_the_scope():
    asked = call("git__status")
    asked.principal = Principal("token:ci", "token", scopes=("tools:files.*", "prompts"))
    decided = decide(asked)
    assert decided.target is None
    assert (decided.refusal.kind, decided.refusal.data) == (FailureKind.REFUSED, {"missingScope": "tools:git.status"})
    assert [reason.step for reason in decided.reasons] == ["identity", "identity"]
    assert "token:ci" in decided.reasons[1].text
    asked.name = asked.params["name"] = "files__read"
    assert decide(asked).target is not None
    asked.principal = Principal("token:ci", "token", scopes=())
    assert decide(asked).refusal.data == {"missingScope": "tools"}
