"""The description of the format fits the model it fills."""

from dataclasses import fields

import pytest

from mcp_orchestrator.config.agent_sections import A2A, AGENT, DELEGATION, KINDS_OF
from mcp_orchestrator.config.sections import BACKEND, HTTP, OBSERVE, PROFILE, ROOT, SERVER_KEYS
from mcp_orchestrator.model.snapshot import A2aSpec, BackendSpec, DelegationSpec, HttpSpec, ObserveSpec, ProfileSpec


def snake(name):
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


@pytest.mark.parametrize(
    ("record", "model"),
    [(BACKEND, BackendSpec), (HTTP, HttpSpec), (OBSERVE, ObserveSpec), (PROFILE, ProfileSpec), (A2A, A2aSpec),
     (DELEGATION, DelegationSpec)],
)  # fmt: skip
def test_every_key_of_a_section_is_a_field_of_its_model(record, model):
    assert {snake(name) for name in record.names()} <= {field.name for field in fields(model)}


@pytest.mark.parametrize(
    ("record", "model"), [(HTTP, HttpSpec), (OBSERVE, ObserveSpec), (A2A, A2aSpec), (DELEGATION, DelegationSpec)]
)
def test_every_field_of_a_listener_and_of_observation_can_be_set(record, model):
    assert {snake(name) for name in record.names()} == {field.name for field in fields(model)}


def test_every_default_is_that_of_the_model():
    for record, model in (
        (HTTP, HttpSpec()),
        (OBSERVE, ObserveSpec()),
        (A2A, A2aSpec()),
        (DELEGATION, DelegationSpec()),
    ):
        for field in record.fields:
            assert field.default is None or field.default == getattr(model, snake(field.name))


def test_every_key_is_described_once():
    for names in (ROOT.names(), [key.name for key in SERVER_KEYS]):
        assert len(names) == len(set(names))
    records = (ROOT, HTTP, BACKEND, OBSERVE, AGENT, DELEGATION, A2A)
    assert all(field.text.endswith(".") for record in records for field in record.fields)
    assert all(len(record.names()) == len(set(record.names())) for record in records)


def test_the_keys_that_depend_on_the_kind_are_keys_of_an_agent():
    assert set(KINDS_OF) <= set(AGENT.names())
