"""The backend's own name stands where the client wrote the public one, and nowhere else."""

import pytest

from mcp_orchestrator.core.own_names import own_params


@pytest.mark.parametrize("key", ["name", "uri", "taskId"])
def test_the_name_is_replaced_where_the_method_has_it(key):
    params = {key: "s__t", "arguments": {"name": "s__t"}}
    assert own_params(params, "s__t", "t") == {key: "t", "arguments": {"name": "s__t"}}
    assert params[key] == "s__t"


def test_a_completion_reference_has_it_inside():
    assert own_params({"ref": {"type": "ref/prompt", "name": "s__p"}}, "s__p", "p")["ref"]["name"] == "p"
    assert own_params({"ref": {"type": "ref/resource", "uri": "mcp://s/a:b"}}, "", "a:b")["ref"]["uri"] == "a:b"


def test_parameters_without_a_name_stay_the_object_they_were():
    params = {"x": 1}
    assert own_params(params, "a", "b") is params
