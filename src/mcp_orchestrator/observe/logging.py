"""Log lines on standard error: text or JSON, secrets masked, foreign control characters made visible."""

from __future__ import annotations

import datetime as dt
import logging
import os
import re
import select
import stat
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Final, TextIO

import msgspec
import structlog

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
FORMATS: Final = ("text", "json")

NOISY: Final = ("httpx2", "httpcore2", "uvicorn.access")
"""Loggers of libraries kept at WARNING: httpx2 2.16 writes every request's whole URL at INFO, tokens included."""

PIPE_BYTES: Final = 4096
"""What a pipe that says it is writable takes at once (PIPE_BUF on Linux and macOS is 4096 or less)."""

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN_VALUE: Final = re.compile(r"[^\s\"'=]+")
_COLOURS: Final[Mapping[str, str]] = {"debug": "2", "warning": "33", "error": "31", "critical": "1;31"}


def make_logger(level: str, format: str, stream: TextIO) -> Any:  # noqa: A002 - the word of the configuration
    """A structlog logger of its own: nothing global is configured, so each gateway of a process has its own.

    `level` is a key of `LEVELS`, `format` one of `FORMATS`. Lines never go to standard output, which belongs to the
    protocol in stdio mode, and never make the program wait for whoever should read them.

    Raises:
        ValueError: an unknown level or format, or `stream` is standard output.
    """
    if level not in LEVELS or format not in FORMATS:
        raise ValueError(f"log level '{level}' or format '{format}' is unknown ({', '.join(LEVELS)}; text, json)")
    if stream is sys.stdout:
        raise ValueError("logs go to standard error: standard output belongs to the protocol")
    render = _render_json if format == "json" else _text_renderer(_colours_wanted(stream))
    return structlog.wrap_logger(
        LineWriter(stream),
        processors=[structlog.processors.add_log_level, _stamp, structlog.processors.format_exc_info, render],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=False,
    ).bind()


def route_standard_logging(logger: Any) -> Callable[[], None]:
    """Send what libraries log through the standard library (WARNING and above) to `logger`; returns the way back.

    Give uvicorn `log_config=None` for its lines to come along.
    """
    door = _Door(logger)
    root = logging.getLogger()
    root.addHandler(door)
    before = {name: logging.getLogger(name).level for name in NOISY}
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)

    def undo() -> None:
        root.removeHandler(door)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)

    return undo


class _Door(logging.Handler):
    """Passes standard log records on to a structlog logger."""

    def __init__(self, logger: Any) -> None:
        super().__init__(logging.WARNING)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on; one that cannot be formatted is passed on as its template."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):
            text = str(record.msg)
        extra = {"exc_info": record.exc_info} if record.exc_info else {}
        self._logger.log(record.levelno, text, source=record.name, **extra)


class LineWriter:
    """Writes whole lines to a stream, or drops and counts them when nobody reads: a full pipe must not stop us.

    A client that starts us and never reads our standard error fills the pipe after some 64 kB.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._dropped = 0
        self._poll = _poll_of(stream)

    def msg(self, line: str) -> None:
        """Write a line. Never raises for what is wrong with the stream."""
        if self._poll is not None:
            if not _writable(self._poll):
                self._dropped += 1
                return
            line = _cut(line, PIPE_BYTES - 64)
        if self._dropped:
            line = f"({self._dropped} lines of log were dropped: nobody read them)\n{line}"
            self._dropped = 0
        with suppress(OSError, ValueError):  # ValueError: the stream is closed
            self._stream.write(line + "\n")
            self._stream.flush()

    log = debug = info = warn = warning = error = critical = fatal = exception = msg


def _writable(poll: select.poll) -> bool:
    return any(events & select.POLLOUT for _file, events in poll.poll(0))


def _poll_of(stream: TextIO) -> select.poll | None:
    """A poll of the stream when it is a pipe or a socket, which can be full."""
    try:
        file = stream.fileno()
        mode = os.fstat(file).st_mode
    except (OSError, ValueError, AttributeError):
        return None
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return None
    poll = select.poll()
    poll.register(file, select.POLLOUT)
    return poll


def _cut(line: str, limit: int) -> str:
    encoded = line.encode("utf-8", "replace")
    return line if len(encoded) <= limit else encoded[: limit - 4].decode("utf-8", "ignore") + " ..."


def _colours_wanted(stream: TextIO) -> bool:
    """Colours are for a person at a terminal who did not say no (no-color.org)."""
    try:
        terminal = stream.isatty()
    except (ValueError, AttributeError):
        terminal = False
    return terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _stamp(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["time"] = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    return event


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 - a byte


def visible(text: str) -> str:
    """`text` with control characters, line ends and direction marks as escapes: nobody forges lines or colours."""
    return _CONTROLS.sub(_visible, text)


def _text_renderer(colours: bool) -> Callable[[Any, str, MutableMapping[str, Any]], str]:
    def paint(text: str, code: str | None) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colours and code else text

    def render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
        level, text = event.pop("level", "info"), visible(str(event.pop("event", "")))
        trouble = event.pop("exception", None)
        clock = str(event.pop("time", ""))[11:19]
        parts = [paint(clock, "2"), paint(f"{level:<8}", _COLOURS.get(level)), text]
        parts += [f"{paint(visible(key) + '=', '2')}{_value(value)}" for key, value in event.items()]
        line = " ".join(parts)
        if trouble:
            line += "".join(f"\n  {visible(part)}" for part in str(trouble).splitlines())
        return line

    return render


def _value(value: Any) -> str:
    if isinstance(value, str):
        text = visible(value)
        return text if _PLAIN_VALUE.fullmatch(text) else f'"{text}"'
    if isinstance(value, (Mapping, list, tuple)):
        return visible(_encoded(value))
    return visible(str(value))


def _render_json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    head = {key: event.pop(key) for key in ("time", "level", "event") if key in event}
    return _CONTROLS.sub(lambda match: f"\\u{ord(match.group()):04x}", _encoded({**head, **event}))


def _encoded(value: Any) -> str:
    """JSON of anything at all: what the encoder does not know is shown as text, a `Secret` masked."""
    try:
        return msgspec.json.encode(value, enc_hook=_foreign).decode()
    except (TypeError, ValueError, RecursionError):
        return msgspec.json.encode({"unencodable": ascii(value)[:1000]}).decode()


def _foreign(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)
