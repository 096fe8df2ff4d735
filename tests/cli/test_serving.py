import io
import json

from mcp_orchestrator.cli.loading import require
from mcp_orchestrator.cli.printing import Format, Printer
from mcp_orchestrator.cli.serving import Service, _coming_up


def service(configured, chosen):
    err = io.StringIO()
    printer = Printer(chosen, err=err)
    return Service(require(configured(), printer), printer, None), err


def test_what_happens_is_told_as_text_or_as_one_object_a_line(configured):
    one, err = service(configured, Format.TEXT)
    one._tell("listening", "Serving", url="u")
    one._tell("silent", "")
    assert err.getvalue() == "Serving\n"
    one, err = service(configured, Format.JSON)
    one._tell("listening", "Serving", url="u\x9b")
    assert json.loads(err.getvalue()) == {"event": "listening", "url": "u\x9b"}
    assert "\x9b" not in err.getvalue()


def test_a_backend_is_coming_up_until_it_is_known_or_has_failed():
    assert _coming_up({"state": "starting", "tools": 3})
    assert _coming_up({"state": "idle", "tools": None, "last_error": ""})
    assert not _coming_up({"state": "idle", "tools": None, "last_error": "no"})
    assert not _coming_up({"state": "ready", "tools": 0})
