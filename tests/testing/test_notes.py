import pytest

from mcp_orchestrator.testing.notes import Notebook
from mcp_orchestrator.testing.stdio_server import Request, ToolError


def test_notes_are_numbered_and_found_without_regard_to_case():
    notebook, request = Notebook(), Request(print)
    assert notebook.add({"text": "Buy milk"}, request) == {"number": 1, "count": 1}
    assert notebook.add({"text": "Sleep"}, request) == {"number": 2, "count": 2}
    assert notebook.list({"containing": "MILK"}, request) == {"notes": [{"number": 1, "text": "Buy milk"}]}
    assert len(notebook.list({}, request)["notes"]) == 2


@pytest.mark.parametrize("text", ["", None, 5])
def test_a_note_without_a_text_is_refused(text):
    with pytest.raises(ToolError):
        Notebook().add({"text": text}, Request(print))
