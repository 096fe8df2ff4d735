"""The backend's own name stands where the client wrote the public one, and nowhere else."""

import pytest
from catalogs import MODERN, catalog, offers, tool

from mcp_orchestrator.core.own_names import own_params
from mcp_orchestrator.model.call import Call, CallKind
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.plan import Target


def asked(kind, name, params):
    return Call(kind, "any", name, params, {}, MODERN)


@pytest.mark.parametrize("key", ["name", "uri", "taskId"])
def test_the_name_is_replaced_where_the_method_has_it(key):
    params = {key: "s__t", "arguments": {"name": "s__t"}}
    made = own_params(params, asked(CallKind.TOOL, "s__t", params), Target("s", "t", None, 1.0))
    assert made == {key: "t", "arguments": {"name": "s__t"}}
    assert params[key] == "s__t"


@pytest.mark.parametrize(
    ("reference", "own", "key"),
    [
        ({"type": "ref/prompt", "name": "s__p"}, "p", "name"),
        ({"type": "ref/resource", "uri": "mcp://s/a:b"}, "a:b", "uri"),
    ],
)
def test_a_completion_reference_has_it_inside(reference, own, key):
    params = {"ref": reference}
    made = own_params(params, asked(CallKind.COMPLETION, "", params), Target("s", own, None, 1.0))
    assert made["ref"][key] == own


def test_parameters_without_a_name_stay_the_object_they_were():
    params = {"x": 1}
    assert own_params(params, asked(CallKind.TOOL, "a", params), Target("s", "b", None, 1.0)) is params


def test_an_unknown_method_has_only_the_name_replaced_by_which_it_found_its_way():
    offer = catalog(offers("s", tool("t"))).offers(OfferKind.TOOL)[0]
    target = Target("s", "t", offer, 1.0)
    for written, sent in (("s__t", "t"), ("s.t", "t"), ("other", "other")):
        params = {"name": written}
        assert own_params(params, asked(CallKind.EXTENSION, "", params), target)["name"] == sent
