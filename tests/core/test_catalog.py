"""Many servers read as one catalog: named, ordered, filtered, and looked up by table."""

from catalogs import catalog, offers, tool

from mcp_orchestrator.core.catalog import Catalog, lets_through, pin, shows
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.snapshot import BackendSpec, NameStyle, ProfileSpec, TransportKind


def names(made, kind=OfferKind.TOOL):
    return [offer.public for offer in made.offers(kind)]


def test_tools_of_all_servers_are_listed_by_server_in_the_servers_own_order():
    made = catalog(offers("zeta", tool("b"), tool("a")), offers("alpha", tool("z")))
    assert names(made) == ["alpha__z", "zeta__b", "zeta__a"]


def test_a_tool_is_found_by_public_name_by_dotted_name_and_by_its_own_name_where_unique():
    made = catalog(offers("one", tool("read"), tool("both")), offers("two", tool("both")))
    assert made.tool("one__read").offer.name == "read"
    assert made.tool("one.read").offer.name == "read"
    assert made.tool("read").offer.backend == "one"
    assert made.tool("both") is None
    assert {offer.backend for offer in made.rivals(OfferKind.TOOL, "both")} == {"one", "two"}


def test_a_profile_includes_and_excludes_by_glob_over_server_dot_name():
    profile = ProfileSpec("reviewer", include=("files.read_*",), exclude=("*.read_secret",))
    made = catalog(offers("files", tool("read_a"), tool("read_secret"), tool("write")), profile=profile)
    assert names(made) == ["files__read_a"]
    assert shows(None, "anything")
    assert not shows(profile, "git.read_a")


def definition(**filters):
    return BackendSpec("files", TransportKind.STDIO, **filters)


def test_a_definition_leaves_tools_out_by_name_or_glob_and_what_is_excluded_stays_so():
    assert lets_through(None, "any")
    assert lets_through(definition(), "any")
    assert not lets_through(definition(include=()), "any")
    assert lets_through(definition(include=("read_*",)), "read_a")
    assert not lets_through(definition(include=("read_*",)), "write")
    assert not lets_through(definition(include=("*",), exclude=("write",)), "write")


def test_what_a_definition_leaves_out_is_not_listed_and_not_found_by_any_of_its_names():
    listed = offers("files", tool("read"), tool("rm"), prompts=({"name": "rm"},))
    made = Catalog(Era.MODERN, None, [listed], {"files": definition(exclude=("rm",))})
    assert names(made) == ["files__read"]
    assert [made.tool(name) for name in ("files__rm", "files.rm", "rm")] == [None, None, None]
    assert names(made, OfferKind.PROMPT) == ["files__rm"]


def test_a_profile_may_show_original_names_where_they_are_unique():
    profile = ProfileSpec("bare", names=NameStyle.ORIGINAL)
    made = catalog(offers("one", tool("read"), tool("both")), offers("two", tool("both")), profile=profile)
    assert names(made) == ["read", "one__both", "two__both"]


def test_a_server_that_lists_a_name_twice_is_listed_once():
    assert names(catalog(offers("one", tool("a"), tool("a")))) == ["one__a"]


def test_resource_uris_stay_as_they_are_unless_two_servers_share_them():
    one = offers("one", resources=({"uri": "memo://a", "name": "a"}, {"uri": "memo://shared", "name": "s"}))
    two = offers("two", resources=({"uri": "memo://shared", "name": "s"},))
    made = catalog(one, two)
    assert names(made, OfferKind.RESOURCE) == ["memo://a", "mcp://one/memo://shared", "mcp://two/memo://shared"]
    assert made.resource("mcp://two/memo://shared")[:2] == ("two", "memo://shared")


def test_a_resource_is_found_by_template_the_more_literal_first_then_by_its_scheme():
    one = offers("one", templates=({"uriTemplate": "db://{+all}", "name": "a"},))
    two = offers("two", templates=({"uriTemplate": "db://users/{id}", "name": "b"},))
    three = offers("three", resources=({"uri": "log://today", "name": "l"},))
    made = catalog(one, two, three)
    assert made.resource("db://users/7")[0] == "two"
    assert made.resource("db://orders/7")[0] == "one"
    assert made.resource("log://yesterday")[0] == "three"
    assert made.resource("zzz://x") is None


def test_a_tool_with_a_header_annotation_that_is_invalid_is_not_shown_to_modern_clients():
    bad = {"name": "bad", "inputSchema": {"type": "object", "x-mcp-header": "X", "properties": {}}}
    assert names(catalog(offers("one", bad, tool("good")))) == ["one__good"]
    assert names(catalog(offers("one", bad, tool("good")), era=Era.LEGACY)) == ["one__bad", "one__good"]


def test_the_pin_of_a_definition_does_not_depend_on_the_order_of_its_keys():
    assert pin({"a": 1, "b": [1, {"c": 2, "d": 3}]}) == pin({"b": [1, {"d": 3, "c": 2}], "a": 1})
    assert pin({"a": 1}) != pin({"a": 2})


def test_a_close_name_is_suggested():
    assert catalog(offers("git", tool("status"))).close_to(OfferKind.TOOL, "git__statsu") == "git__status"


def test_a_profile_that_shows_nothing_of_a_server_hides_the_server_itself():
    sources = (offers("files", tool("read")), offers("git", tool("status")))
    made = catalog(*sources, profile=ProfileSpec("p", include=("files.*",)))
    assert [source.backend for source in made.shown] == ["files"]
    assert len(catalog(*sources).shown) == 2


def test_an_empty_catalog_lists_nothing():
    assert Catalog(Era.MODERN, None, []).offers(OfferKind.TOOL) == ()


APP = {"name": "chart", "inputSchema": {"type": "object"}, "_meta": {"ui": {"resourceUri": "ui://chart"}}}


def test_an_app_that_no_list_has_is_read_from_the_server_whose_tool_names_it():
    made = catalog(offers("one", APP), offers("two", resources=({"uri": "ui://other", "name": "o"},)))
    assert made.resource("ui://chart") == ("one", "ui://chart", None)
    assert made.address("one", "ui://chart") == "ui://chart"
    assert not made.shares_uris("one")


def test_an_app_of_two_servers_is_read_by_qualified_uris_only_listed_or_not():
    listed = ({"uri": "ui://chart", "name": "c"},)
    made = catalog(offers("one", APP), offers("two", resources=listed))
    assert made.resource("ui://chart") is None
    assert made.resource("mcp://one/ui://chart") == ("one", "ui://chart", None)
    assert made.resource("mcp://two/ui://chart")[:2] == ("two", "ui://chart")
    assert made.address("two", "ui://chart") == "mcp://two/ui://chart"
    assert made.shares_uris("one")
    assert made.shares_uris("two")


def test_the_address_of_a_uri_leads_back_to_its_server():
    template = ({"uriTemplate": "memo://{id}", "name": "m"},)
    made = catalog(
        offers("one", templates=template, resources=({"uri": "x://a", "name": "a"},)),
        offers("two", templates=template, resources=({"uri": "x://b", "name": "b"},)),
        offers("three"),
    )
    for backend in ("one", "two", "three"):
        for uri in ("memo://5", "x://a", "x://b", "mcp://one/x://a"):
            address = made.address(backend, uri)
            assert made.resource(address)[:2] == (backend, uri), (backend, uri, address)
    assert made.address("one", "nobody://knows") is None
