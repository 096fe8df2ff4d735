"""What is known of a program that is started once for each task: how it is called, and how its output is read.

A profile is a YAML file, described in `docs/reference/cli-profile.md`; those in `cli_rows` come with the gateway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from mcp_orchestrator.backends.selectors import Selector, Where
from mcp_orchestrator.config import yaml_text
from mcp_orchestrator.config.document import Listing, MalformedError, Node, Place, Table, plain
from mcp_orchestrator.model.agent import ToolStatus, TroubleKind

ROWS: Final = Path(__file__).with_name("cli_rows")
MAX_BYTES: Final = 256 * 1024
PLACEHOLDERS: Final = ("prompt", "model", "session", "schema_file", "scratch")
GROUPS: Final = ("input", "output", "cached", "cost", "error", "file", "session", "model")
"""What a named group of a pattern may tell."""

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")

Path_ = Annotated[str, msgspec.Meta(min_length=1)]
Argument = str | tuple[str, ...]


class ProfileError(ValueError):
    """A profile cannot be used; the text names file, line and what is wrong."""


class Tool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Paths of what an event tells of a tool call; `statuses` and `kinds` translate the program's words."""

    id: Path_
    name: Path_ | None = None
    title: Path_ | None = None
    input: Path_ | None = None
    output: Path_ | None = None
    status: Path_ | None = None
    statuses: dict[str, ToolStatus] = {}
    kinds: dict[str, str] = {}
    default: ToolStatus | None = None


class Usage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Paths of what was used. `each` says that an event tells of one step, so that they are added up."""

    input: Path_ | None = None
    output: Path_ | None = None
    cached: Path_ | None = None
    cache_write: Path_ | None = None
    reasoning: Path_ | None = None
    cost: Path_ | None = None
    each: bool = False


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an event is read that fulfils `where`. All values but `done`, `ok` and `piece` are paths.

    `text` is something said (with `piece`, a piece of a message that goes on), `answer` the final words of the turn,
    `done` the end of the turn, which is a success if `ok` holds.
    """

    where: dict[str, Any] = {}
    text: Path_ | None = None
    piece: bool = False
    answer: Path_ | None = None
    thought: Path_ | None = None
    structured: Path_ | None = None
    session: Path_ | None = None
    model: Path_ | None = None
    file: Path_ | None = None
    warning: Path_ | None = None
    error: Path_ | None = None
    tool: Tool | None = None
    usage: Usage | None = None
    done: bool = False
    ok: dict[str, Any] = {}


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a line of text is read that `match` finds something in; it is no part of the answer unless `keep`."""

    match: str
    keep: bool = False


class Modes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """More arguments, for tasks that may only read and for those that may write."""

    read: tuple[str, ...] | None = None
    write: tuple[str, ...] = ()


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One program. `args` follow `command`; a list among them is left out when a placeholder in it has no value."""

    output: Literal["jsonl", "json", "text"]
    title: str = ""
    verified: str | None = None
    install: str = ""
    sign_in: str = ""
    command: tuple[str, ...] = ()
    version: tuple[str, ...] = ()
    args: tuple[Argument, ...] = ()
    resume: tuple[Argument, ...] | None = None
    modes: Modes = Modes()
    env: tuple[str, ...] = ()
    set: dict[str, str] = {}
    prompt: Literal["argument", "stdin"] = "argument"
    events: tuple[Rule, ...] = ()
    lines: tuple[Line, ...] = ()
    exits: dict[str, TroubleKind] = {}
    notes: tuple[str, ...] = ()

    @property
    def tells_its_end(self) -> bool:
        """Whether there is an event that says that the turn is over."""
        return any(rule.done for rule in self.events)


@dataclass(frozen=True, slots=True)
class Known:
    """A profile that was checked: its rules and patterns, ready to be used."""

    profile: Profile
    rules: tuple[tuple[Where, Where, Rule], ...]
    patterns: tuple[tuple[re.Pattern[str], Line], ...]


def shipped() -> tuple[str, ...]:
    """The names of the profiles that come with the gateway."""
    return tuple(sorted(path.stem for path in ROWS.glob("*.yaml")))


def find_profile(name: str, directory: Path) -> Known:
    """A profile by its name, or by the path of a file that counts from `directory`.

    Raises:
        ProfileError: there is none, or it cannot be used.
    """
    if "/" in name or name.endswith((".yaml", ".yml")):
        return read_profile(directory / name)
    if name not in shipped():
        known = ", ".join(shipped())
        raise ProfileError(f"there is no profile {name!r}; there are: {known}, or give the path of a YAML file")
    return read_profile(ROWS / f"{name}.yaml")


def read_profile(path: Path) -> Known:
    """The profile in a file. Raises ProfileError."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ProfileError(f"{path}: not UTF-8") from None
    if len(data) > MAX_BYTES:
        raise ProfileError(f"{path}: larger than {MAX_BYTES >> 10} KiB")
    try:
        root = yaml_text.parse(text, lambda key, again, _first: _twice(path, key, again))
    except MalformedError as error:
        raise ProfileError(f"{path}:{error.place.line}:{error.place.column}: {error.message}") from None
    if not isinstance(root, Table):
        raise ProfileError(f"{path}:1:1: a profile is a mapping of keys to values")
    try:
        profile = msgspec.convert(plain(root), Profile)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        place = _place(root, where.rstrip("`"))
        raise ProfileError(f"{path}:{place.line}:{place.column}: {message}") from None
    return _checked(profile, path, root)


def _twice(path: Path, key: str, again: Place) -> None:
    raise ProfileError(f"{path}:{again.line}:{again.column}: '{key}' is there already")


def _place(root: Node, where: str) -> Place:
    """Where the value stands that a path of msgspec names, as far as that can be followed."""
    node = root
    place = root.start
    for name, index in re.findall(r"\.([\w-]+)|\[(\d+)\]", where):
        if name and isinstance(node, Table) and name in node.entries:
            entry = node.entries[name]
            node, place = entry.value, entry.start
        elif index and isinstance(node, Listing) and int(index) < len(node.items):
            node = node.items[int(index)]
            place = node.start
        else:
            break
    return place


def _checked(profile: Profile, path: Path, root: Table) -> Known:
    """What the types do not say: placeholders, paths and patterns."""
    try:
        _check_template(profile)
        _check_reading(profile)
        rules = tuple(_rule(position, rule) for position, rule in enumerate(profile.events))
        patterns = tuple(_pattern(position, line) for position, line in enumerate(profile.lines))
    except _AtError as error:
        place = _place(root, error.where)
        raise ProfileError(f"{path}:{place.line}:{place.column}: {error}") from None
    return Known(profile, rules, patterns)


class _AtError(ValueError):
    """Something is wrong at a place in a profile."""

    def __init__(self, where: str, text: str) -> None:
        super().__init__(text)
        self.where = where


def _check_template(profile: Profile) -> None:
    for key, arguments in (("args", profile.args), ("resume", profile.resume or ())):
        for position, word in enumerate(arguments):
            unknown = _placeholders(word) - set(PLACEHOLDERS)
            if unknown:
                text = f"no placeholder {{{min(unknown)}}}; there are: {', '.join(PLACEHOLDERS)}"
                raise _AtError(f".{key}[{position}]", text)
        handed = any("prompt" in _placeholders(word) for word in arguments)
        if profile.prompt == "argument" and not handed and (arguments or key == "args"):
            raise _AtError(f".{key}", "no argument holds {prompt}; write it into one, or say prompt: stdin")


def _check_reading(profile: Profile) -> None:
    if profile.output == "text" and profile.events:
        raise _AtError(".events", "events are for output jsonl and json; text is read by lines")
    if profile.output != "text" and profile.lines:
        raise _AtError(".lines", "lines are for output text; JSON is read by events")
    if profile.output != "text" and not profile.events:
        raise _AtError(".output", f"output {profile.output} needs events, which say what it means")


def _rule(position: int, rule: Rule) -> tuple[Where, Where, Rule]:
    try:
        return Where.parse(rule.where), Where.parse(rule.ok), _paths_checked(rule)
    except ValueError as error:
        raise _AtError(f".events[{position}]", str(error)) from None


def _pattern(position: int, line: Line) -> tuple[re.Pattern[str], Line]:
    try:
        pattern = re.compile(line.match)
    except re.error as error:
        raise _AtError(f".lines[{position}]", f"match is no regular expression: {error}") from None
    unknown = set(pattern.groupindex) - set(GROUPS)
    if unknown:
        raise _AtError(f".lines[{position}]", f"no group {min(unknown)!r}; there are: {', '.join(GROUPS)}")
    return pattern, line


def _paths_checked(rule: Rule) -> Rule:
    """The same rule; raises ValueError when a path in it is none."""
    simple = ("text", "answer", "thought", "structured", "session", "model", "file", "warning", "error")
    paths = [getattr(rule, name) for name in simple]
    if rule.tool is not None:
        paths += [getattr(rule.tool, name) for name in ("id", "name", "title", "input", "output", "status")]
    if rule.usage is not None:
        paths += [getattr(rule.usage, n) for n in ("input", "output", "cached", "cache_write", "reasoning", "cost")]
    for path in paths:
        if path is not None:
            Selector.parse(path)
    return rule


def _placeholders(word: Argument) -> set[str]:
    words = (word,) if isinstance(word, str) else word
    return {name for one in words for name in _PLACEHOLDER.findall(one)}


def filled(template: Sequence[Argument], values: Mapping[str, str | None]) -> list[str]:
    """A command line from its template: a list is left out when it holds a placeholder without a value."""

    def put(word: str) -> str:
        return _PLACEHOLDER.sub(lambda found: values.get(found[1]) or "", word)

    made: list[str] = []
    for word in template:
        if isinstance(word, str):
            made.append(put(word))
        elif all(values.get(name) is not None for name in _placeholders(word)):
            made += [put(one) for one in word]
    return made
