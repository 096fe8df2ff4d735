"""Writes the generated parts of docs/; with `--check` changes nothing, and fails when one of them is stale.

Either way it follows every relative link, looks for every file that a document names, and reads every code block in
the language that the block says it is in.
"""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "mcp_orchestrator"
WIDTH = 100
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"(?ms)^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<code>.*?)^(?P=indent)```$")
SPAN = re.compile(r"`([^`\n]+)`")
OURS = re.compile(r"(?:src|tests|scripts|docs|configs|benchmarks|\.ci)/[\w./-]*")


def purpose(path: Path) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]


def tree() -> str:
    """Every module with its line of purpose, as an indented list."""
    lines = ["```text"]

    def walk(directory: Path, depth: int) -> None:
        packages = sorted(path for path in directory.iterdir() if (path / "__init__.py").exists())
        files = sorted(path for path in directory.glob("*.py") if path.stem not in {"__init__", "__main__"})
        indent, width = "  " * depth, 26 - 2 * depth
        lines.extend(f"{indent}{path.stem:<{width}} {purpose(path)}" for path in files)
        for path in packages:
            lines.append(f"{indent}{path.name + '/':<{width}} {purpose(path / '__init__.py')}")
            walk(path, depth + 1)

    walk(PACKAGE, 0)
    return "\n".join([*lines, "```"])


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command and subcommand with its full name."""
    from mcp_orchestrator.cli.main import commands as root  # noqa: PLC0415 - links and tree need no program

    outer = click.Context(root, info_name="mcp-orchestrator", terminal_width=WIDTH, max_content_width=WIDTH)
    pending = [(name, root.get_command(outer, name), outer) for name in root.list_commands(outer)]
    while pending:
        name, command, parent = pending.pop(0)
        if command is None:
            raise SystemExit(f"the command {name} does not exist")
        context = click.Context(command, info_name=name.split()[-1], parent=parent)
        yield name, command, context
        if isinstance(command, click.Group):
            inner = [(f"{name} {sub}", command.get_command(context, sub), context) for sub in command.commands]
            pending = [*inner, *pending]


def command_line() -> str:
    """The help of every command under a heading of its own."""
    parts = []
    for name, command, context in commands():
        level = "##" if " " not in name else "###"
        parts.append(f"{level} `{name}`\n\n```text\n{command.get_help(context).strip()}\n```")
    return "\n\n".join(parts)


def configuration() -> str:
    """Every key and every problem code of the configuration."""
    from mcp_orchestrator.config.reference import markdown  # noqa: PLC0415 - links and tree need no program

    return markdown()


def decisions() -> str:
    """The index of decisions, from the first heading of each page."""
    pages = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    titles = {page.name: page.read_text().split("\n", 1)[0].removeprefix("# ").strip() for page in pages}
    return "\n".join(f"- [{title}]({name})" for name, title in titles.items())


GENERATED = {
    "docs/decisions/README.md": ("index", decisions),
    "docs/concepts/house.md": ("tree", tree),
    "docs/reference/cli.md": ("command line", command_line),
    "docs/reference/configuration.md": ("configuration", configuration),
}


def filled(text: str, label: str, content: str) -> str:
    """The document with what stands between its two markers replaced."""
    pattern = re.compile(rf"(?s)(<!-- generated: {label} -->\n).*?(\n<!-- end -->)")
    if not pattern.search(text):
        raise SystemExit(f"the markers of {label!r} are missing")
    return pattern.sub(lambda found: f"{found[1]}\n{content}\n{found[2]}", text)


def anchors(text: str) -> set[str]:
    """The anchors that a document's headings make."""
    headings = re.findall(r"(?m)^#+ (.+)$", FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(path: Path, prose: str) -> Iterator[str]:
    """Relative links whose file or heading does not exist, and files of the project that are named and not there."""
    for target in LINK.findall(prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file.read_text())):
            yield f"the link {target} leads nowhere"
    for span in SPAN.findall(prose):
        if OURS.fullmatch(span) and not (ROOT / span).exists():
            yield f"`{span}` does not exist"


def shell(code: str) -> None:
    """Have bash read a script without running it; raises ValueError with what it says."""
    done = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip())


def session(code: str) -> None:
    """A terminal session: each line is `$ ` and a command, or what it printed."""
    commands = [line[2:] for line in code.splitlines() if line.startswith("$ ")]
    if not commands:
        raise ValueError("no line starts with `$ `")
    shell("\n".join(commands))


READERS: dict[str, Callable[[str], object]] = {
    "console": session,
    "json": json.loads,
    "python": ast.parse,
    "sh": shell,
    "text": str,
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
    "yml": yaml.safe_load,  # other files than configurations
}


def broken_blocks(text: str) -> Iterator[str]:
    """Code blocks without a language that we know, or that cannot be read in it; and a fence that is never closed."""
    if "```" in FENCE.sub("", text):
        yield "a code fence is not closed, or is closed at another depth"
    for block in FENCE.finditer(text):
        line = text.count("\n", 0, block.start()) + 1
        language = block["language"]
        if language not in READERS:
            yield f"line {line}: a code block in {language or 'no language'}; write one of {', '.join(READERS)}"
            continue
        code = re.sub(f"(?m)^{block['indent']}", "", block["code"])
        try:
            READERS[language](code)
        except (ValueError, SyntaxError, yaml.YAMLError) as error:
            yield f"line {line}: no {language}: {error}"


def stale(check: bool) -> Iterator[str]:
    """Generated documents that are not fresh; without `check` they are written instead."""
    for name, (label, make) in GENERATED.items():
        path = ROOT / name
        old = path.read_text()
        new = filled(old, label, make())
        if new != old and check:
            yield f"{name}: stale: run scripts/docs"
        elif new != old:
            path.write_text(new)
            print(f"wrote {name}")


def main(check: bool) -> int:
    problems = list(stale(check))
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]):
        text = path.read_text()
        found = [*broken_links(path, FENCE.sub("", text)), *broken_blocks(text)]
        problems += [f"{path.relative_to(ROOT)}: {problem}" for problem in found]
    for line in problems:
        print(line, file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
