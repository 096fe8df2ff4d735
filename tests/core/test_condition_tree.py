"""The syntax tree of a checked expression is read from the engine's own form of it."""

import pytest
from cel_expr_python import cel

from mcp_orchestrator.core.condition_tree import Form, read

KINDS = cel.Type
ENV = cel.NewEnv(
    variables={
        "tool.name": KINDS.STRING,
        "args": KINDS.Map(KINDS.STRING, KINDS.DYN),
        "run.depth": KINDS.INT,
        "now": KINDS.TIMESTAMP,
    }
)


def tree(text):
    return read(ENV.compile(text).serialize())


def test_a_dotted_variable_is_one_name_of_its_type():
    equal = tree('tool.name == "x"')
    name, constant = equal.parts
    assert (equal.form, equal.name) == (Form.CALL, "_==_")
    assert (name.form, name.name, name.scalar, name.number) == (Form.NAME, "tool.name", True, False)
    assert (constant.form, constant.text) == (Form.CONSTANT, "x")


@pytest.mark.parametrize(
    ("text", "number"), [("run.depth + 1 == 2", True), ('args.a + args.b == "x"', False), ("now > now", True)]
)
def test_numbers_and_times_are_known(text, number):
    assert tree(text).parts[0].number is number


def test_a_loop_has_its_variable_range_step_and_sum():
    loop = tree("args.l.exists(x, x == 1)")
    assert (loop.form, loop.name, loop.sum) == (Form.LOOP, "x", "@result")
    assert (loop.parts[0].form, loop.parts[0].name) == (Form.SELECT, "l")
    assert tree("args.l.map(x, x).size() == 1").parts[0].parts[0].parts[1].form is Form.LIST


def test_the_variables_and_keys_of_a_tree_are_found_wherever_they_stand():
    found = tree('args.l.exists(x, x == tool.name) && {"a": args.m}.a == [args["n"], 1][0]')
    assert found.names() >= {"args", "tool.name"}
    assert found.keys("args") == {"l", "m", "n"}
    assert tree("size(args) == 1").keys("args") is None


@pytest.mark.parametrize("serialized", [b"", b"\x00", b"\x12\x02\xff\xff", b"\x12\x7f", b"no protobuf at all"])
def test_anything_else_is_refused(serialized):
    with pytest.raises(ValueError, match="not a checked expression"):
        read(serialized)
