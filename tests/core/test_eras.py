"""The client's own era where the backend has it, else the other."""

from mcp_orchestrator.core.eras import EraBook, abilities, answerable
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.snapshot import EraPolicy

BOTH = (Era.MODERN, Era.LEGACY)


def test_nothing_is_known_at_first_and_a_probe_must_tell():
    assert EraBook(EraPolicy.AUTO, BOTH).unknown


def test_the_clients_era_is_tried_while_nobody_knows_better():
    book = EraBook(EraPolicy.AUTO, BOTH)
    book.learn(Era.MODERN, works=True)
    assert book.choose(Era.LEGACY) is Era.LEGACY
    book.learn(Era.LEGACY, works=False)
    assert book.choose(Era.LEGACY) is Era.MODERN


def test_a_fixed_era_is_never_left():
    book = EraBook(EraPolicy.LEGACY, BOTH)
    assert not book.unknown
    assert book.choose(Era.MODERN) is Era.LEGACY
    assert not book.may(Era.MODERN)


def test_a_transport_with_one_era_decides():
    assert EraBook(EraPolicy.AUTO, (Era.LEGACY,)).choose(Era.MODERN) is Era.LEGACY


def test_news_is_told_from_what_was_known():
    book = EraBook(EraPolicy.AUTO, BOTH)
    assert book.learn(Era.MODERN, works=True)
    assert not book.learn(Era.MODERN, works=True)
    book.forget()
    assert book.unknown


def test_what_was_seen_to_work_is_more_than_what_may():
    book = EraBook(EraPolicy.AUTO, (Era.LEGACY, Era.MODERN))
    assert book.seen == frozenset()
    book.learn(Era.MODERN, works=True)
    assert (book.seen, book.may(Era.LEGACY)) == ({Era.MODERN}, True)
    book.learn(Era.LEGACY, works=False)
    assert book.seen == {Era.MODERN}


def test_when_both_have_failed_the_wanted_one_is_tried_again():
    book = EraBook(EraPolicy.AUTO, BOTH)
    book.recall({Era.MODERN: False, Era.LEGACY: False})
    assert book.choose(Era.LEGACY) is Era.LEGACY


def test_a_client_hosts_no_tasks_towards_servers():
    client = ClientFace(Era.LEGACY, "2025-11-25", {"elicitation": {}, "tasks": {"requests": {"elicitation": {}}}})
    assert abilities(client) == {"elicitation": {}}


def test_whoever_is_answered_for_can_be_asked_everything_and_keeps_what_it_declared():
    declared = {
        "elicitation": {"form": {"x": 1}},
        "sampling": {"context": {}},
        "roots": {"listChanged": True},
        "vendor": {},
    }
    client = ClientFace(Era.LEGACY, "2025-11-25", declared)
    assert answerable(client).capabilities == {
        "elicitation": {"form": {"x": 1}, "url": {}},
        "sampling": {"context": {}, "tools": {}},
        "roots": {"listChanged": True},
        "vendor": {},
    }
    assert answerable(ClientFace(Era.MODERN, "2026-07-28")).may_be_asked
    assert client.capabilities is declared
