"""A PostgreSQL cluster of one embedded Prefect server, in that server's folder: see scripts/server.

It listens on the loopback interface only and asks for a password that nobody else can read. The superuser may not
run it, so that where the caller is root, it runs as the user whom Debian's package made for that.
"""

import os
import re
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

USER = "postgres" if os.geteuid() == 0 else None
START_SECONDS = 60
STOP_SECONDS = 20
# Tests want speed: what a crash of the machine destroys is made anew.
SETTINGS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": 200, "fsync": "off",
            "synchronous_commit": "off", "full_page_writes": "off", "timezone": "UTC"}


def binaries():
    """Debian keeps them out of PATH, one folder per version."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not folders:
        sys.exit("server: PostgreSQL is not installed; run: scripts/bootstrap postgres")
    return folders[-1].parent


class Cluster:
    def __init__(self, home):
        self.folder = home / "postgres"
        self.data = self.folder / "data"
        self.password = self.folder / "password"
        self.log = self.folder / "postgres.log"

    def url(self, port):
        return f"postgresql+asyncpg://prefect:{self.password.read_text()}@127.0.0.1:{port}/postgres"

    def running(self):
        """The process id, if that process is still this cluster's: ids are reused, its folder is not."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
            return pid if os.fsencode(self.data) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") else None
        except (FileNotFoundError, ProcessLookupError, IndexError):
            return None

    def start(self, port):
        if not self.data.exists():
            self._create()
        options = [part for name, value in (SETTINGS | {"port": port}).items() for part in ("-c", f"{name}={value}")]
        with open(self.log, "a") as log:
            process = self._spawn("postgres", "-D", self.data, *options, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        ready = [binaries() / "pg_isready", "--quiet", "--host", "127.0.0.1", "--port", str(port)]
        while subprocess.run(ready).returncode != 0:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"server: PostgreSQL did not start; its log: {self.log}")
            time.sleep(0.05)

    def _create(self):
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.password.write_text(secrets.token_hex(16))
        if USER:
            shutil.chown(self.folder, USER, USER)
            shutil.chown(self.password, USER, USER)
        made = self._spawn("initdb", "-D", self.data, "-U", "prefect", "--auth", "scram-sha-256", "--pwfile", self.password,
                           "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions",
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        output, _ = made.communicate()
        if made.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            reads = "; that user must be able to enter the project's folder" if USER else ""
            sys.exit(f"server: initdb failed{reads}:\n{output}")

    def _spawn(self, program, *arguments, **more):
        dropped = {"user": USER, "group": USER, "extra_groups": []} if USER else {}
        # The caller's PGDATA, PGPORT and the like are about another cluster.
        clean = {key: value for key, value in os.environ.items() if not re.match(r"PG[A-Z]", key)}
        return subprocess.Popen([binaries() / program, *arguments], cwd=self.folder, env=clean, **dropped, **more)

    def stop(self):
        """A fast shutdown: whoever is still connected is cut off."""
        pid = self.running()
        if not pid:
            return
        ended = select.poll()
        ended.register(os.pidfd_open(pid), select.POLLIN)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            os.kill(pid, number)
            if ended.poll(STOP_SECONDS * 1000):
                return
