import json

import pytest
from http_kit import spec

from mcp_orchestrator.backends.http_answers import content_type, refusal, rpc_error_in, scrub, wrong_content
from mcp_orchestrator.backends.http_connection import Response
from mcp_orchestrator.model.outcome import FailureKind

SPEC = spec(
    "https://ada:password@docs.example/private-path-0123456789/mcp?key=query-secret",
    headers=[("Authorization", "Bearer header-secret"), ("X", "abc")],
)


def response(status, body=b"", kind="application/json", **headers):
    made = Response()
    made.status = status
    made.headers = {b"content-type": kind.encode()}
    made.headers |= {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    made.chunks = [body] if body else []
    made.size = len(body)
    return made


def test_our_secrets_are_taken_out_of_what_a_server_says():
    text = "Bearer header-secret, header-secret, key=query-secret, ada:password, abc, Bearer"
    assert scrub(SPEC, text) == "<secret>, <secret>, <secret>, <secret>, abc, Bearer"


@pytest.mark.parametrize("status", [300, 301, 307, 400, 401, 403, 404, 405, 418, 429, 500, 502, 503])
def test_no_refusal_shows_a_secret(status):
    body = b'{"error": "header-secret at /private-path-0123456789/mcp?key=query-secret"}'
    headers = {"location": "https://docs.example/private-path-0123456789/v2?key=query-secret"}
    error = refusal(SPEC, "https://docs.example", response(status, body, **headers))
    assert "docs.example" in error.message
    assert f"HTTP {status}" in error.message
    assert error.data["httpStatus"] == status
    for secret in ("header-secret", "query-secret", "password"):
        assert secret not in error.message
    if status < 400:
        assert "private-path" not in error.message
        assert "https://docs.example/.../v2" in error.message


def test_what_a_server_says_is_short_printable_and_on_one_line():
    error = refusal(SPEC, "x", response(400, b"a\r\n\x1b[31mb" + b"c" * 5000, "text/plain; charset=utf-8"))
    assert "a [31mbccc" in error.message
    assert error.message.isprintable()
    assert len(error.message) < 400
    assert "<html>" not in refusal(SPEC, "x", response(400, b"<html>", "text/html")).message


@pytest.mark.parametrize("location", ["", "http://[", "relative/path"])
def test_a_redirect_to_nowhere_is_still_told(location):
    assert "redirects to" in refusal(SPEC, "x", response(302, location=location)).message


def test_a_json_rpc_error_is_found_whatever_its_id():
    for ident in (1, None, "x"):
        body = json.dumps({"jsonrpc": "2.0", "id": ident, "error": {"code": -32601, "message": "m"}}).encode()
        error = rpc_error_in(response(404, body))
        assert (error.code, error.message, error.data) == (-32601, "m", None)


@pytest.mark.parametrize("body", [b"", b"no", b"[]", b'{"error":null}', b'{"detail":"x"}', b" " * 70_000])
def test_what_is_no_json_rpc_error_is_none(body):
    assert rpc_error_in(response(400, body)) is None


def test_media_types_are_compared_without_parameters_and_case():
    assert content_type(response(200, kind="Application/JSON; charset=utf-8")) == "application/json"
    assert content_type(Response()) == ""
    assert wrong_content(SPEC, "x", Response()).kind is FailureKind.BAD_ANSWER
