"""Writes the generated parts of docs/ and follows every relative link; `--check` changes nothing and fails instead."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "mcp_orchestrator"
WIDTH = 100
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"(?ms)^```.*?^```$")


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


def broken_links() -> list[str]:
    """Relative links, in Markdown files of the project, whose file or heading does not exist."""
    broken = []
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]):
        for target in LINK.findall(FENCE.sub("", path.read_text())):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = (path.parent / name).resolve() if name else path
            if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file.read_text())):
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    return broken


def main(check: bool) -> int:
    problems = []
    for name, (label, make) in GENERATED.items():
        path = ROOT / name
        old = path.read_text()
        new = filled(old, label, make())
        if new != old and check:
            problems.append(f"{name} is stale: run scripts/docs")
        elif new != old:
            path.write_text(new)
            print(f"wrote {name}")
    problems += [f"leads nowhere: {line}" for line in broken_links()]
    for line in problems:
        print(line, file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
