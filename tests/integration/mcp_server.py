"""Prefect's own MCP server, which scripts/server installs: the real one."""

import contextlib
import os
import runpy
import signal
import subprocess
import sys

import httpx
from harness import PROJECT, SERVER_COMMAND, wait_until

sys.path.append(str(SERVER_COMMAND.parent))  # what the command itself imports
free_port = runpy.run_path(str(SERVER_COMMAND))["free_port"]


def install():
    """Its command; what is installed already costs nothing."""
    run = subprocess.run([PROJECT / "scripts/server", "install-mcp"], stdout=subprocess.PIPE, text=True, check=True)
    return run.stdout.strip()


def settings(api_url, home):
    """Its whole environment: nothing of it leads out of the machine, and it starts no Prefect of its own."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PREFECT_HOME": str(home), "PREFECT_API_URL": api_url,
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false", "PREFECT_DOCS_MCP_URL": "http://127.0.0.1:9/mcp",
            "FASTMCP_SHOW_SERVER_BANNER": "false", "FASTMCP_LOG_LEVEL": "ERROR", "FASTMCP_CHECK_FOR_UPDATES": "off"}


@contextlib.contextmanager
def listening(command, environment, log):
    """The address of one that listens."""
    port = free_port()
    where = {"FASTMCP_TRANSPORT": "http", "FASTMCP_HOST": "127.0.0.1", "FASTMCP_PORT": str(port)}
    with open(log, "a") as out:
        process = subprocess.Popen([command], env=where | environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   start_new_session=True)
    url = f"http://127.0.0.1:{port}/mcp"

    def listens():
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(url, timeout=5)

    try:
        wait_until(listens, 120, "an MCP server that listens")
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
