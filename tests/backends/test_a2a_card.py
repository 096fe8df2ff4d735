import pytest

from mcp_orchestrator.backends.a2a_card import Card, Interface, choose, direct, places, read_card, sign_in

NEW = {"url": "http://far.example/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
REST = {"url": "http://far.example/rest", "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0.1"}
GRPC = {"url": "far.example:443", "protocolBinding": "GRPC", "protocolVersion": "1.0"}
OLD = {"url": "http://far.example/old", "protocolVersion": "0.3.0", "name": "old"}


def chosen(card, url="http://far.example", **wanted):
    return choose(read_card(card), url, **wanted)


def test_a_card_is_looked_for_below_the_path_and_at_the_root():
    assert places("https://far.example/team/a/") == [
        "https://far.example/team/a/.well-known/agent-card.json",
        "https://far.example/team/a/.well-known/agent.json",
        "https://far.example/.well-known/agent-card.json",
        "https://far.example/.well-known/agent.json",
    ]
    assert len(places("https://far.example")) == 2
    assert places("https://far.example/x/card.json") == ["https://far.example/x/card.json"]


@pytest.mark.parametrize("value", [None, [], "card", {}, {"supportedInterfaces": "none"}, {"name": 7}])
def test_what_is_no_card_is_none(value):
    assert read_card(value) is None


def test_odd_fields_of_a_card_are_passed_over():
    card = read_card(
        {"name": "x", "version": 2, "capabilities": [], "skills": [{"name": "s"}, 5], "securitySchemes": 1}
    )
    assert card == Card(name="x", skills=("s",))


@pytest.mark.parametrize(
    ("listed", "binding"),
    [([REST, GRPC, NEW], "JSONRPC"), ([GRPC, REST], "HTTP+JSON")],
)
def test_json_rpc_goes_before_http_json_and_grpc_is_not_spoken(listed, binding):
    found = chosen({"supportedInterfaces": listed}).interface
    assert (found.binding, found.version) == (binding, "1.0")


def test_a_card_of_0_3_is_spoken_to_as_such_and_1_0_goes_before_it():
    assert chosen(OLD).interface == Interface("http://far.example/old", "JSONRPC", "0.3")
    assert chosen({**OLD, "supportedInterfaces": [NEW]}).interface.version == "1.0"
    more = {
        **OLD,
        "preferredTransport": "GRPC",
        "additionalInterfaces": [{"url": "http://far.example/j", "transport": "JSONRPC"}],
    }
    assert chosen(more).interface.url == "http://far.example/j"


def test_the_configuration_decides_between_what_is_offered():
    card = {"supportedInterfaces": [NEW, REST], "url": "http://far.example/old", "protocolVersion": "0.3.0"}
    assert chosen(card, binding="http+json").interface.url == "http://far.example/rest"
    assert chosen(card, version="0.3").interface.url == "http://far.example/old"
    assert (
        "no interface of the kind asked for (http+json 0.3)" in chosen(card, binding="http+json", version="0.3").refusal
    )
    assert chosen(card, url="http://far.example/rest").interface.binding == "HTTP+JSON"


def test_a_server_that_calls_itself_localhost_is_spoken_to_where_it_was_found():
    card = {"supportedInterfaces": [{**NEW, "url": "http://0.0.0.0:9/rpc"}]}
    assert chosen(card, url="http://127.0.0.1:9").interface.url == "http://127.0.0.1:9/rpc"
    assert chosen(card, url="http://127.0.0.1:8").interface is None
    assert chosen(card, url="http://far.example:9").interface is None


@pytest.mark.parametrize(
    "url", ["https://far.example/rpc", "http://other.example/", "http://far.example:x/", "http://["]
)
def test_another_scheme_host_or_port_is_refused(url):
    refusal = chosen({"supportedInterfaces": [{**NEW, "url": url}]}).refusal
    assert "another address" in refusal


def test_an_interface_that_is_a_mere_path_is_on_the_same_host():
    assert chosen({"supportedInterfaces": [{**NEW, "url": "/rpc"}]}).interface.url == "http://far.example/rpc"


def test_without_a_card_the_configuration_alone_says_what_is_spoken():
    assert direct("http://x/", "http+json", None) == Interface("http://x/", "HTTP+JSON", "1.0")
    assert direct("http://x/", "jsonrpc", "0.3.0").version == "0.3"


def test_ways_to_sign_in_are_told_in_words():
    schemes = {
        "b": {"httpAuthSecurityScheme": {"scheme": "bearer"}},
        "k": {"type": "apiKey", "in": "header", "name": "X"},
        "z": 1,
    }
    card = read_card({"name": "x", "securitySchemes": schemes})
    assert card.schemes == ("b: httpAuth bearer", "k: apiKey header X")
    assert "b: httpAuth bearer" in sign_in(card.schemes)
    assert sign_in(()) == ""
