"""A tool of the catalog knows what clients see and what the server wants."""

from catalogs import offers, tool

from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.logical import Shaping
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.routing import ArgumentOverride, Override

REGION = {"type": "string", "x-mcp-header": "Region"}


def prepared(override=None, **schema):
    shaping = Shaping({"s.t": override} if override else {})
    made = Catalog(Era.MODERN, None, [offers("s", tool("t", **schema))], None, shaping)
    return made.tool("s__t")


def test_a_tool_that_nothing_is_said_of_is_as_the_server_offers_it():
    made = prepared(path={"type": "string"})
    assert (made.back, made.care, made.logical, made.asks_headers) == (None, None, None, False)
    assert made.own is made.offer.definition
    assert made.checker.faults({"path": 1})


def test_arguments_are_checked_by_what_clients_see_and_once_more_by_what_the_server_wants():
    rules = {"path": ArgumentOverride(rename="file"), "n": ArgumentOverride(const=("x",))}
    made = prepared(Override("s.t", arguments=rules), path={"type": "string"}, n={"type": "integer"})
    assert made.checker.faults({"file": 1})
    assert not made.checker.faults({"file": "a"})
    assert made.own_checker.faults(made.back({"file": "a"}))


def test_headers_are_made_of_the_servers_own_arguments():
    made = prepared(Override("s.t", arguments={"region": ArgumentOverride(const=("eu",))}), region=REGION)
    assert made.asks_headers
    assert list(made.headers) == [("region",)]
    assert not made.offer.definition["inputSchema"]["properties"]
    assert prepared(path={}).headers == {}


def test_a_cap_is_something_that_a_run_sees_to():
    made = prepared(Override("s.t", max_result_bytes=9))
    assert (made.care.cap, made.care.logical, made.care.provider) == (9, None, "s.t")
