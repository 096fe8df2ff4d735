"""The page that explains every key and every code."""

import re
from pathlib import Path

import pytest

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.reference import markdown
from mcp_orchestrator.config.sections import ROOT, SERVER_KEYS
from mcp_orchestrator.config.shape import Record, TableOf

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "configuration.md").read_text()


def paths(record, prefix=""):
    for field in record.fields:
        yield f"{prefix}{field.name}"
        inner = field.shape.item if isinstance(field.shape, TableOf) else field.shape
        if isinstance(inner, Record):
            middle = f".{field.shape.placeholder}" if isinstance(field.shape, TableOf) else ""
            yield from paths(inner, f"{prefix}{field.name}{middle}.")


@pytest.mark.parametrize("path", [*paths(ROOT), *(f"mcpServers.SERVER.{key.name}" for key in SERVER_KEYS)])
def test_every_key_has_its_heading(path):
    assert re.search(rf"(?m)^####? `{re.escape(path)}`$", PAGE)


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_its_heading(code):
    assert f"\n### {code}: {code.explained.title}\n" in PAGE


def test_the_page_is_up_to_date():
    assert markdown() in PAGE, "run scripts/docs"


def test_no_key_or_code_is_explained_twice():
    headings = re.findall(r"(?m)^#+ .*$", PAGE)
    assert len(headings) == len(set(headings))
