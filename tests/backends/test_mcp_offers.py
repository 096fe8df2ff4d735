"""Lists are walked to their end, within bounds, and what a backend gets wrong is left out with a note."""

import asyncio

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.backends import mcp_offers
from mcp_orchestrator.backends.mcp_handshake import Agreement, RpcError
from mcp_orchestrator.backends.mcp_offers import flaw_of, walk, walk_in_time
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.errors import METHOD_NOT_FOUND, BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import BackendSpec, TransportKind

pytestmark = pytest.mark.anyio
ALL = {"tools": {}, "resources": {}, "prompts": {}}


def tool(name, **more):
    return {"name": name, "inputSchema": {"type": "object"}, **more}


class Lister:
    """Answers list requests from `pages` by method; a page is a result, or an error to raise."""

    def __init__(self, **pages):
        self.pages = {f"{kind}/list".replace("_", "/"): list(answers) for kind, answers in pages.items()}
        self.asked, self.notes = [], []

    async def __call__(self, method, params):
        self.asked.append((method, params))
        await anyio.lowlevel.checkpoint()
        left = self.pages.get(method)
        if left is None:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def walk(self, capabilities=None):
        return await walk(
            self,
            backend="files",
            era=Era.LEGACY,
            version="2025-11-25",
            server_info={"name": "s"},
            capabilities=ALL if capabilities is None else capabilities,
            instructions="Be kind.",
            taken_at=12.5,
            note=self.notes.append,
        )


async def test_all_pages_of_all_kinds_are_taken_in_order():
    lister = Lister(
        tools=[{"tools": [tool("a", x=None)], "nextCursor": "1"}, {"tools": [tool("b")], "nextCursor": None}],
        resources=[{"resources": [{"uri": "a:b", "name": "r"}]}],
        resources_templates=[{"resourceTemplates": [{"uriTemplate": "a:{b}"}]}],
        prompts=[{"prompts": [{"name": "p"}]}],
    )
    offers = await lister.walk()
    assert offers.tools == (tool("a", x=None), tool("b"))
    assert (offers.resources, offers.templates) == (({"uri": "a:b", "name": "r"},), ({"uriTemplate": "a:{b}"},))
    assert offers.prompts == ({"name": "p"},)
    assert (offers.backend, offers.era, offers.version, offers.taken_at) == ("files", Era.LEGACY, "2025-11-25", 12.5)
    assert (offers.instructions, offers.server_info) == ("Be kind.", {"name": "s"})
    assert ("tools/list", {"cursor": "1"}) in lister.asked
    assert lister.notes == []


async def test_a_kind_without_its_capability_is_not_asked_for():
    lister = Lister(prompts=[{"prompts": []}])
    await lister.walk({"prompts": {}, "logging": {}})
    assert lister.asked == [("prompts/list", {})]


async def test_a_method_that_is_not_found_means_nothing_is_offered():
    lister = Lister(tools=[{"tools": [tool("a")]}])
    offers = await lister.walk()
    assert (len(offers.tools), offers.resources, offers.prompts) == (1, (), ())
    assert lister.notes == []


MALFORMED = [None, 7, "a", [], {}, {"name": 7, "inputSchema": {}}, {"name": "", "inputSchema": {}}]
MALFORMED += [{"name": "a"}, {"name": "a", "inputSchema": None}, {"name": "a", "inputSchema": True}]


@pytest.mark.parametrize("entry", MALFORMED)
async def test_a_malformed_entry_is_left_out_with_a_note_and_the_others_stay(entry):
    lister = Lister(tools=[{"tools": [tool("ok"), entry]}])
    offers = await lister.walk({"tools": {}})
    assert offers.tools == (tool("ok"),)
    assert len(lister.notes) == 1
    assert "left out" in lister.notes[0]


async def test_a_name_that_is_listed_twice_counts_once():
    lister = Lister(tools=[{"tools": [tool("a", n=1), tool("a", n=2)]}])
    assert (await lister.walk({"tools": {}})).tools == (tool("a", n=1),)
    assert "'a' left out: listed twice" in lister.notes[0]


@pytest.mark.parametrize("page", [None, [], {}, {"tools": None}, {"tools": {"a": 1}}])
async def test_an_answer_without_a_list_is_noted(page):
    lister = Lister(tools=[page])
    assert (await lister.walk({"tools": {}})).tools == ()
    assert "no list 'tools'" in lister.notes[0]


async def test_pages_in_a_circle_end():
    pages = [{"tools": [tool(f"t{n}")], "nextCursor": "ab"[n % 2]} for n in range(5)]
    lister = Lister(tools=pages)
    assert len((await lister.walk({"tools": {}})).tools) == 3
    assert "circle" in lister.notes[0]


async def test_an_empty_cursor_is_a_cursor_and_no_end():
    lister = Lister(tools=[{"tools": [tool("a")], "nextCursor": ""}, {"tools": [tool("b")]}])
    assert [one["name"] for one in (await lister.walk({"tools": {}})).tools] == ["a", "b"]


async def test_a_server_that_means_the_end_by_an_empty_cursor_is_understood():
    lister = Lister(tools=[{"tools": [tool("a")], "nextCursor": ""}] * 2)
    assert [one["name"] for one in (await lister.walk({"tools": {}})).tools] == ["a"]
    assert lister.notes == []


async def test_pages_without_end_are_cut():
    count = iter(range(10**6))

    async def request(method, params):
        number = next(count)
        return {"tools": [tool(f"t{number}")], "nextCursor": str(number)}

    lister = Lister()
    lister.__class__ = type("Endless", (Lister,), {"__call__": lambda self, m, p: request(m, p)})
    assert len((await lister.walk({"tools": {}})).tools) == mcp_offers.MAX_PAGES
    assert "more than 100 pages" in lister.notes[0]


async def test_too_many_entries_are_cut():
    lister = Lister(tools=[{"tools": [tool(str(n)) for n in range(10_050)]}])
    assert len((await lister.walk({"tools": {}})).tools) == mcp_offers.MAX_ITEMS
    assert len(lister.notes) == 1


async def test_too_many_bytes_are_cut(monkeypatch):
    monkeypatch.setattr(mcp_offers, "MAX_BYTES", 1000)
    monkeypatch.setattr(mcp_offers._Allowance.__init__, "__defaults__", (1000,))
    pages = [{"tools": [tool(str(n), text="x" * 300)], "nextCursor": str(n)} for n in range(9)]
    lister = Lister(tools=pages)
    assert len((await lister.walk({"tools": {}})).tools) == 2
    assert "more than 1000 bytes" in lister.notes[0]


async def test_tools_that_cannot_be_listed_are_an_error_and_nothing_is_left_running():
    lister = Lister(tools=[RpcError(-32603, "broken", {"x": 1})], prompts=[{"prompts": []}])
    with pytest.raises(BackendError, match="cannot list its tools: broken") as caught:
        await lister.walk()
    assert (caught.value.kind, caught.value.code) == (FailureKind.BACKEND_ERROR, -32603)
    assert len(asyncio.all_tasks()) <= 2


async def test_another_list_that_fails_is_noted_and_the_tools_stay():
    lister = Lister(tools=[{"tools": [tool("a")]}], prompts=[RpcError(-32603, "broken")])
    assert len((await lister.walk()).tools) == 1
    assert "prompts/list of files failed: broken" in lister.notes[0]


async def test_a_later_page_that_fails_keeps_the_pages_before():
    lister = Lister(tools=[{"tools": [tool("a")], "nextCursor": "1"}, RpcError(-32602, "bad cursor")])
    assert len((await lister.walk({"tools": {}})).tools) == 1
    assert "bad cursor" in lister.notes[0]


async def test_a_lost_connection_is_told_as_such():
    lister = Lister(tools=[BackendError(FailureKind.DIED, "gone")])
    with pytest.raises(BackendError, match="gone"):
        await lister.walk()


@given(
    st.sampled_from(list(OfferKind)),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda s: st.dictionaries(st.text(), s)),
)
def test_whatever_is_sent_an_entry_is_sound_or_has_a_flaw(kind, entry):
    flaw = flaw_of(kind, entry)
    assert flaw or isinstance(entry, dict)


AGREED = Agreement(Era.LEGACY, "2025-06-18", {"name": "s"}, {"tools": {}}, "Hi.")


async def test_what_the_handshake_settled_goes_into_the_offers():
    lister = Lister(tools=[{"tools": [tool("a")]}])
    spec = BackendSpec("files", TransportKind.STDIO)
    offers = await walk_in_time(spec, AGREED, lister, lister.notes.append)
    assert (offers.backend, offers.era, offers.version) == ("files", Era.LEGACY, "2025-06-18")
    assert (offers.server_info, offers.capabilities, offers.instructions) == ({"name": "s"}, {"tools": {}}, "Hi.")
    assert [found["name"] for found in offers.tools] == ["a"]
    assert offers.taken_at > 0


async def test_a_server_that_never_ends_its_list_is_given_its_start_timeout():
    async def never(_method, _params):
        await anyio.sleep_forever()

    spec = BackendSpec("slow", TransportKind.STDIO, start_timeout=0.01)
    with (
        anyio.fail_after(5),
        pytest.raises(BackendError, match=r"did not list what it offers within 0\.01 s") as caught,
    ):
        await walk_in_time(spec, AGREED, never, lambda _note: None)
    assert caught.value.kind is FailureKind.TIMEOUT
