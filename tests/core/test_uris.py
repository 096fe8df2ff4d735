"""URIs stay as they are where unique, and templates recognise their expansions."""

import pytest

from mcp_orchestrator.core.uris import covers, qualify, template_pattern, unqualify


def test_a_qualified_uri_gives_back_server_and_original():
    assert unqualify(qualify("files", "file:///tmp/a")) == ("files", "file:///tmp/a")


@pytest.mark.parametrize("uri", ["file:///a", "mcp://files", "mcp://files/plain", "http://mcp/x"])
def test_other_uris_are_not_taken_for_qualified_ones(uri):
    assert unqualify(uri) is None


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("test://template/{id}/data", "test://template/123/data"),
        ("file:///{+path}", "file:///a/b/c.txt"),
        ("db://{table}{?limit,offset}", "db://users?limit=3&offset=1"),
        ("db://{table}{?limit}", "db://users"),
        ("x://a{/parts*}", "x://a/b/c"),
        ("x://page{#section}", "x://page#top"),
    ],
)
def test_a_template_recognises_its_expansion(template, uri):
    assert template_pattern(template)[0].fullmatch(uri)


@pytest.mark.parametrize(
    ("template", "uri"), [("test://t/{id}", "test://t/a/b"), ("a://{x}", "b://y"), ("a.b://{x}", "aXb://y")]
)
def test_a_template_leaves_other_uris_alone(template, uri):
    assert not template_pattern(template)[0].fullmatch(uri)


def test_the_template_with_more_literal_text_ranks_higher():
    assert template_pattern("a://x/{id}")[1] > template_pattern("a://{+rest}")[1]


@pytest.mark.parametrize("part", ["", "/b", "#top", "?v=2"])
def test_an_update_of_a_part_concerns_whoever_subscribed_to_the_whole(part):
    assert covers("memo://a", "memo://a" + part)
    assert covers("file:///dir/", "file:///dir/x" + part)


@pytest.mark.parametrize("uri", ["memo://ab", "memo://", "other://a"])
def test_an_update_of_another_resource_does_not(uri):
    assert not covers("memo://a", uri)
