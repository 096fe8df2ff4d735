"""A real PostgreSQL server for tests: started once, a fresh database for each test, killed and started again at will."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from mcp_orchestrator.model.snapshot import Secret
from mcp_orchestrator.storage.postgres import SCHEMA_NAME, Address, PostgresConnection
from mcp_orchestrator.storage.postgres_database import PostgresDatabase

PASSWORD = "a-password-of-tests"
USER = "gateway"


class PostgresServer:
    """One server on a port of the loopback interface. Its data lie outside of the home of whoever runs the tests."""

    def __init__(self, programs):
        self._directory = Path(tempfile.mkdtemp(prefix="mcp-orchestrator-postgres-"))
        # PostgreSQL refuses to run as root: then it runs as nobody, who may not be able to read the programs.
        self._as = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        self._programs = self._readable(programs)
        self._data = self._directory / "data"
        self._data.mkdir(mode=0o700)
        if self._as:
            shutil.chown(self._data, "nobody", "nogroup")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process = None
        secret = self._data.with_name("secret")
        secret.write_text(PASSWORD, encoding="utf-8")
        secret.chmod(0o644)
        self._directory.chmod(0o755)
        words = ["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", f"--username={USER}", f"--pwfile={secret}"]
        self._run("initdb", "--no-sync", f"--pgdata={self._data}", *words)
        self.start()

    def _readable(self, programs):
        done = subprocess.run([programs / "postgres", "--version"], check=False, capture_output=True, **self._as)
        if done.returncode == 0:
            return programs
        copied = self._directory / "programs"
        shutil.copytree(programs.parents[1], copied, symlinks=True)
        return copied / programs.parent.name / programs.name

    def _run(self, program, *words):
        subprocess.run(
            [self._programs / program, *words],
            check=True,
            capture_output=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            **self._as,
        )

    def start(self):
        """Start the server and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": "60",
        }
        command = [self._programs / "postgres", "-D", self._data, "-p", str(self.port)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/", **self._as
            )
        until = time.monotonic() + 30
        ready = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False, stdin=subprocess.DEVNULL).returncode != 0:
            if time.monotonic() > until or self._process.poll() is not None:
                raise RuntimeError((self._directory / "log").read_text(encoding="utf-8"))
            self._process.poll()

    def kill(self):
        """End the server and all its children at once, as a loss of power does."""
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._process.pid)], check=False, capture_output=True, text=True
        ).stdout.split()
        self._process.send_signal(signal.SIGKILL)
        for child in children:
            try:
                os.kill(int(child), signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def close(self):
        """End it and remove everything."""
        if self._process.poll() is None:
            self.kill()
        shutil.rmtree(self._directory)

    def url(self, database="postgres", password=PASSWORD):
        """The address of a database."""
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def database(self, name, password=PASSWORD):
        """A database, as a gateway knows it."""
        address = Address(Secret(self.url(name, password)), f"postgresql://127.0.0.1:{self.port}/{name}")
        return PostgresDatabase(address, self._directory / "machine" / "state.db")

    def ask(self, name, *statements):
        """Carry out statements past everybody, in our schema; returns the rows of the last one."""
        connection = PostgresConnection(self.database(name).address, {})
        try:
            return [connection.execute(statement).fetchall() for statement in statements][-1]
        finally:
            connection.close()

    def empty(self):
        """The name of a database without anything of ours: always the same one, as making one takes a second."""
        self.ask("postgres", f"DROP SCHEMA IF EXISTS {SCHEMA_NAME} CASCADE")
        return "postgres"
