"""Importing does nothing, and cheap commands stay cheap."""

import json
import subprocess
import sys

IMPORT_ALL = """
import importlib, json, sys, threading
seen = []
def watch(event, args):
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        seen.append([event, str(args[0])])
    elif event in ("subprocess.Popen", "os.system", "os.fork", "os.posix_spawn", "socket.connect", "socket.bind",
                   "os.mkdir", "os.remove", "os.rename", "sqlite3.connect", "signal.pthread_kill"):
        seen.append([event, repr(args)[:200]])
import signal
handlers = {s: signal.getsignal(s) for s in signal.valid_signals()}
sys.addaudithook(watch)
for name in sys.argv[1:]:
    importlib.import_module(name)
changed = [str(s) for s, h in handlers.items() if signal.getsignal(s) is not h]
print(json.dumps({"seen": seen, "threads": threading.active_count(), "signals": changed}))
"""
HEAVY = ("mcp", "mcp_types", "uvicorn", "httpx2", "httpx", "starlette", "jsonschema", "fastmcp")


def test_importing_any_module_touches_nothing(modules):
    names = ["mcp_orchestrator." + m.name.removesuffix(".__init__") for m in modules if m.path.stem != "__main__"]
    names = ["mcp_orchestrator" if name == "mcp_orchestrator.__init__" else name for name in names]
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", IMPORT_ALL, *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"seen": [], "threads": 1, "signals": []}


def loaded_by(arguments, cwd):
    """The heavy packages that a command imports, and its exit code."""
    program = (
        "import sys, json\n"
        "from mcp_orchestrator.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code or 0\n"
        f"print('\\n' + json.dumps([code, sorted(set({HEAVY!r}) & set(sys.modules))]), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    return json.loads(done.stderr.splitlines()[-1]), done


def test_help_check_and_plan_import_no_servers_and_no_clients(root, tmp_state):
    config = str(root / "configs" / "quickstart.yaml")
    for arguments in (
        ["--help"],
        ["version"],
        ["schema"],
        ["check", "--config", config],
        ["plan", "--config", config, "--call", "time__get_current_time", "timezone=UTC"],
    ):
        (_code, heavy), done = loaded_by(arguments, root)
        assert heavy == [], (arguments, done.stderr[-500:])


def test_help_costs_less_than_a_quarter_of_a_second_of_processor_time(root):
    program = (
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'mcp_orchestrator', '--help'], stdout=subprocess.DEVNULL, check=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime)\n"
    )
    best = min(
        float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    )
    assert best < 0.25
