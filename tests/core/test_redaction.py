"""What we gave a server does not come back out of it."""

from mcp_orchestrator.core.redaction import redactor
from mcp_orchestrator.model.snapshot import BackendSpec, Secret, TransportKind


def spec(*words):
    return BackendSpec("s", TransportKind.STDIO, confidential=tuple(map(Secret, words)))


def test_every_confidential_word_is_replaced_the_longest_first():
    redact = redactor(spec("token-1", "Bearer token-1", "a.b*c(d"))
    assert redact("sent Bearer token-1, then token-1; pattern a.b*c(d but not aXbbc") == (
        "sent <secret>, then <secret>; pattern <secret> but not aXbbc"
    )


def test_without_secrets_nothing_is_touched():
    assert redactor(spec())("as it is") == "as it is"
