"""Only those hear who asked to."""

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.plugin_api import ListChanged, ResourceUpdated, View
from mcp_orchestrator.runtime.announcements import Announcements

VIEW = View(Era.LEGACY)


def test_a_watcher_hears_each_kind_once_and_nothing_after_it_stopped():
    announcements, heard = Announcements(), []
    stop = announcements.watch(VIEW, None, heard.append)
    announcements.lists_changed(frozenset({OfferKind.PROMPT, OfferKind.TOOL}))
    assert heard == [ListChanged(OfferKind.TOOL), ListChanged(OfferKind.PROMPT)]
    stop()
    stop()
    announcements.lists_changed(frozenset({OfferKind.TOOL}))
    assert len(heard) == 2


def test_what_is_for_one_client_session_reaches_no_other_watcher():
    announcements, one, two, listening = Announcements(), [], [], []
    announcements.watch(VIEW, "1", one.append)
    announcements.watch(VIEW, "2", two.append)
    announcements.watch(View(Era.MODERN), None, listening.append)
    event = ResourceUpdated({"uri": "a://b"})
    announcements.to_session("1", event)
    assert (one, two, listening) == ([event], [], [])


def test_resources_and_templates_share_one_notification():
    announcements, heard = Announcements(), []
    announcements.watch(VIEW, None, heard.append)
    announcements.lists_changed(frozenset({OfferKind.RESOURCE, OfferKind.TEMPLATE}))
    assert heard == [ListChanged(OfferKind.RESOURCE)]
    announcements.lists_changed(frozenset({OfferKind.TEMPLATE}))
    assert heard[1:] == [ListChanged(OfferKind.TEMPLATE)]


def test_client_sessions_are_told_whom_it_concerns():
    announcements, one, two, listening = Announcements(), [], [], []
    announcements.watch(VIEW, "1", one.append)
    announcements.watch(VIEW, "2", two.append)
    announcements.watch(VIEW, None, listening.append)
    event = ResourceUpdated({"uri": "a://b"})
    announcements.to_sessions(lambda view, session: (view, session) == (VIEW, "2"), event)
    assert (one, two, listening) == ([], [event], [])
