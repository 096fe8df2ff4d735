import copy
import dataclasses
import json
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.model.snapshot import BackendSpec, Secret, TransportKind

VALUE = "s3cr3t-value"


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        "{!r:>20}".format,
        lambda secret: f"{secret}",
        lambda secret: "%s" % secret,  # noqa: UP031 - one more way to show it
        lambda secret: json.dumps({"a": secret}, default=str),
        lambda secret: str([secret, {secret: secret}]),
        lambda secret: repr(dataclasses.asdict(BackendSpec("s", TransportKind.HTTP, url=secret))),
    ],
)
def test_however_a_secret_is_shown_it_is_not_seen(show):
    shown = show(Secret(VALUE))
    assert VALUE not in shown
    assert "<secret>" in shown


def test_a_secret_is_not_in_the_traceback_of_what_went_wrong_with_it():
    with pytest.raises(KeyError) as caught:
        {}[Secret(VALUE)]
    assert VALUE not in "".join(traceback.format_exception(caught.value))


def test_the_value_is_there_for_whoever_asks_for_it():
    assert Secret(VALUE).reveal() == VALUE
    assert copy.deepcopy(Secret(VALUE)) == Secret(VALUE)


@given(st.text(), st.text())
def test_secrets_are_equal_when_their_values_are_and_never_equal_to_a_text(one, other):
    assert (Secret(one) == Secret(other)) == (one == other)
    assert Secret(one) != one
    assert len({Secret(one), Secret(one)}) == 1


SPEC = BackendSpec("s", TransportKind.STDIO, command="x", env=(("TOKEN", Secret("a")),), where="a.yaml:3")


@pytest.mark.parametrize(
    "changes",
    [
        {"where": "b.yaml:9"},
        {"env": (("TOKEN", Secret("a")),)},
        {"include": ("read_*",)},
        {"exclude": ("drop",)},
    ],
)
def test_a_server_is_the_same_wherever_it_is_written_and_whatever_of_it_is_shown(changes):
    assert dataclasses.replace(SPEC, **changes) == SPEC


@pytest.mark.parametrize(
    "changes",
    [
        {"env": (("TOKEN", Secret("b")),)},
        {"env": (("TOKEN2", Secret("a")),)},
        {"args": ("-y",)},
        {"timeout": 1.0},
        {"cwd": "."},
        {"transport": TransportKind.SSE},
    ],
)
def test_a_server_is_another_one_when_a_setting_or_a_secret_changed(changes):
    assert dataclasses.replace(SPEC, **changes) != SPEC
