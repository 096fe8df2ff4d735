"""Results of a call for a person, and the exit code that they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcp_orchestrator.cli.exits import Ended, Exit, of_failure
from mcp_orchestrator.cli.printing import Printer, Style, safe, safe_json, safe_line

_BASE64_GROUP: Final = 4
_GROUP_BYTES: Final = 3
_SIGN_IN: Final = 401


def report(answer: Mapping[str, Any], out: Printer) -> int:
    """Print what `tools.call` answered; returns the exit code.

    A tool's own error counts as its result and is printed as such (exit code 5).

    Raises:
        Ended: there is no result, with the exit code for why.
    """
    outcome, run = answer["outcome"], str(answer.get("run", ""))
    for question in answer.get("declined", ()):
        out.note(
            f"The tool asked something that nobody could answer here; it was declined: {safe_line(question)}",
            Style.WARN,
        )
    if "error" in outcome:
        raise failure(outcome["error"], run)
    result = outcome["result"]
    if "kind" in outcome:  # a refusal of ours in the form that models read: nothing was sent
        fix = "mcp-orchestrator tools show says what it takes" if outcome["kind"] == "invalid" else ""
        raise Ended(
            of_failure(outcome["kind"]), text_of(result), fix=fix, details={"kind": outcome["kind"]} | _kept(run)
        )
    if result.get("resultType") == "input_required":
        raise _question(result, run)
    out.result(result, text_of(result))
    if run and not out.json:
        out.note(f"Run {safe_line(run)}", Style.FAINT)
    if result.get("isError") is True:
        if not out.json:
            out.note("The tool reported an error.", Style.BAD)
        return Exit.TOOL_FAILED
    return Exit.DONE


def failure(error: Mapping[str, Any], run: str) -> Ended:
    """The ending for a call without a result."""
    kind = str(error.get("kind", ""))
    code = Exit.SIGN_IN if needs_sign_in(error) else of_failure(kind)
    details = {key: error[key] for key in ("kind", "code", "data", "retryable") if error.get(key) is not None}
    return Ended(code, str(error.get("message", "")), fix=_fix(code, kind), details=details | _kept(run))


def _kept(run: str) -> dict[str, str]:
    return {"run": run} if run else {}


def needs_sign_in(error: Mapping[str, Any]) -> bool:
    """Whether a failure says that its backend wants somebody to sign in (HTTP 401)."""
    data = error.get("data")
    return isinstance(data, Mapping) and data.get("httpStatus") == _SIGN_IN


def _fix(code: Exit, kind: str) -> str:
    if code is Exit.SIGN_IN:
        return "give the backend credentials: headers: {Authorization: ...} in the configuration"
    if code is Exit.UNREACHABLE:
        return "mcp-orchestrator doctor says what is wrong with the backend"
    return "mcp-orchestrator tools list shows the names" if kind == "unknown_name" else ""


def _question(result: Mapping[str, Any], run: str) -> Ended:
    asked = result.get("inputRequests")
    texts = [_asked(request) for request in asked.values()] if isinstance(asked, Mapping) else []
    message = "the tool asks a person something that this command cannot answer"
    if texts:
        message += f": {'; '.join(texts)}"
    fix = "call it from a client that can answer questions"
    return Ended(Exit.QUESTION, message, fix=fix, details={"inputRequests": asked} | _kept(run))


def _asked(request: Any) -> str:
    params = request.get("params") if isinstance(request, Mapping) else None
    found = params.get("message") if isinstance(params, Mapping) else None
    return str(found or (request.get("method") if isinstance(request, Mapping) else "a question"))


def text_of(result: Mapping[str, Any]) -> str:
    """A tool result as text for a person, harmless to a terminal."""
    content = result.get("content")
    blocks = [_block(block) for block in content] if isinstance(content, list) else []
    if not blocks and "structuredContent" in result:
        return safe_json(result["structuredContent"])
    return "\n".join(blocks)


def _block(block: Any) -> str:
    if not isinstance(block, Mapping):
        return safe_json(block)
    match block.get("type"):
        case "text":
            return safe(str(block.get("text", "")))
        case "image" | "audio" as kind:
            size = len(str(block.get("data", ""))) * _GROUP_BYTES // _BASE64_GROUP
            return f"[{kind} {safe_line(str(block.get('mimeType', '')))}, {size} bytes: see --format json]"
        case "resource_link":
            return f"[link {safe_line(str(block.get('name', '')))}: {safe_line(str(block.get('uri', '')))}]"
        case "resource":
            return _resource(block.get("resource"))
        case _:
            return safe_json(block)


def _resource(resource: Any) -> str:
    if not isinstance(resource, Mapping):
        return safe_json(resource)
    head = f"[resource {safe_line(str(resource.get('uri', '')))}]"
    text = resource.get("text")
    return f"{head}\n{safe(text)}" if isinstance(text, str) else head
