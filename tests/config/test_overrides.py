"""`overrides` of a file become overrides of tools."""

from mcp_orchestrator.model.routing import ArgumentOverride, Override

TEXT = """\
mcpServers: {s: {command: x}}
overrides:
  s.write:
    name: save
    title: T
    description: D
    hide: true
    arguments:
      path: {rename: file, description: Where., default: "${env:PLACE:-here}"}
      encoding: {const: utf-8}
      mode: {hide: true, default: 3}
    labels: [write, write]
    annotations: {readOnlyHint: false, title: X}
    price: 0.005
    timeout: 30s
    maxResultBytes: 64KiB
    idempotent: true
"""


def test_everything_can_be_said(snapshot, loaded):
    made = loaded(TEXT).snapshot.overrides["s.write"]
    assert made == Override(
        "s.write",
        name="save",
        title="T",
        description="D",
        hide=True,
        arguments={
            "path": ArgumentOverride("file", "Where.", default=("here",)),
            "encoding": ArgumentOverride(const=("utf-8",)),
            "mode": ArgumentOverride(hide=True, default=(3,)),
        },
        labels=("write",),
        annotations={"readOnlyHint": False, "title": "X"},
        price=5000,
        timeout=30.0,
        max_result_bytes=65536,
        idempotent=True,
    )
    assert made.where.endswith("orchestrator.yaml:3")


def test_a_tool_is_named_with_its_server(codes):
    assert codes("mcpServers: {s: {command: x}}\noverrides: {write: {hide: true}}\n") == ["C015"]
    assert codes("mcpServers: {s: {command: x}}\noverrides: {t.write: {hide: true}}\n") == ["C051"]
