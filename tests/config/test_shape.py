import itertools

import pytest

from mcp_orchestrator.config import sections
from mcp_orchestrator.config.shape import Choice, Duration, Field, Later, ListOf, Record, Size, TableOf, Text, Whole
from mcp_orchestrator.config.units import parse_duration, parse_size


def records(shape, path=""):
    """Every record below a shape: `(path, record)`."""
    if isinstance(shape, Record):
        yield path, shape
        for field in shape.fields:
            yield from records(field.shape, f"{path}.{field.name}".lstrip("."))
    elif isinstance(shape, TableOf):
        yield from records(shape.item, f"{path}.{shape.placeholder}")
    elif isinstance(shape, ListOf):
        yield from records(shape.item, f"{path}[]")


FIELDS = [(path, field) for path, record in records(sections.ROOT) for field in record.fields]


def test_a_record_names_its_keys_in_order():
    record = Record([Field("b", Text(), "B."), Field("a", Whole(), "A.")])
    assert record.names() == ["b", "a"]


def test_no_record_of_the_format_has_a_key_twice():
    for path, record in records(sections.ROOT):
        assert len(set(record.names())) == len(record.names()), path


@pytest.mark.parametrize(("path", "field"), FIELDS, ids=lambda part: part if isinstance(part, str) else part.name)
def test_every_key_is_described_and_its_default_and_example_have_its_own_shape(path, field):
    assert field.text.endswith("."), f"{path}.{field.name}"
    for value in (field.default, field.example):
        if value is not None:
            assert fits(field.shape, value), f"{path}.{field.name}: {value!r}"


def fits(shape, value):  # noqa: PLR0911 - a table of shapes
    """Whether a value, as it is written in a file, is within a shape's bounds."""
    match shape:
        case Whole():
            return type(value) is int and shape.least <= value <= shape.most
        case Duration():
            return shape.least <= (parse_duration(value) if isinstance(value, str) else value) <= shape.most
        case Size():
            return shape.least <= (parse_size(value) if isinstance(value, str) else value) <= shape.most
        case Choice():
            return value in shape.words
        case ListOf():
            return all(fits(shape.item, item) for item in value)
        case Text():
            return isinstance(value, str)
        case Record():
            fields = {field.name: field.shape for field in shape.fields}
            return all(name in fields and fits(fields[name], item) for name, item in value.items())
        case _:
            return True


def test_bounds_leave_room():
    for path, field in FIELDS:
        if isinstance(field.shape, Whole | Duration | Size):
            assert field.shape.least < field.shape.most, f"{path}.{field.name}"


def test_shapes_are_values():
    pairs = [(Text("a"), Text("a")), (Choice(("x",)), Choice(("x",))), (Later("table", True), Later("table", True))]
    for one, same in pairs:
        assert one == same
    for one, other in itertools.combinations([Text(), Whole(), Duration(), Size(), Choice(())], 2):
        assert one != other
