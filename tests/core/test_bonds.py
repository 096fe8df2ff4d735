"""A state is bound to one call of one principal."""

import dataclasses

import pytest
from catalogs import call

from mcp_orchestrator.core.bonds import Kept, bond, packed, unpacked
from mcp_orchestrator.model.call import Principal


def test_a_retry_has_the_same_bond_as_the_request_it_repeats():
    first, retry = call("s__t", a=1), call("s__t", a=1)
    retry.params |= {"inputResponses": {"q1": {}}, "requestState": "x"}
    assert bond(first) == bond(retry)


def test_another_argument_tool_method_principal_or_profile_has_another_bond():
    ours = call("s__t", a=1)
    others = [call("s__t", a=2), call("s__u", a=1)]
    changes = ({"principal": Principal("bob")}, {"profile": "narrow"}, {"method": "prompts/get"})
    others += [dataclasses.replace(ours, **change) for change in changes]
    assert len({bond(made) for made in [ours, *others]}) == len(others) + 1


def test_what_was_packed_is_unpacked():
    for kept in (Kept(1.5, "files", "S"), Kept(2.0, run="r1", round=3), Kept(0.0, "a", None)):
        assert unpacked(packed(kept)) == kept


def test_what_another_version_packed_is_refused():
    with pytest.raises(ValueError, match="another version"):
        unpacked(b'{"v":2}')
