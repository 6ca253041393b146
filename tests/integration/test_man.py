"""The man pages, as they are made with the program: groff has nothing to complain of, and they read as they should.
That they hold every option and no other: tests/unit/cli/test_manual.c."""

import subprocess

import pytest
from harness import PROGRAM, run_cli

PAGES = PROGRAM.parent / "man"


def render(page):
    done = subprocess.run(["groff", "-ww", "-man", "-Tutf8", "-rHY=0", "-P-c", "-P-b", "-P-u", "-P-o", PAGES / page],
                          capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


@pytest.mark.parametrize("page, words", [
    ("prefect-janitor.1", ["PREFECT-JANITOR(1)", "-p, --pool NAME", "\n   start, deploy\n", "\n   approve, reject\n",
                          "EXIT STATUS", 'like "0 2 * * *"', "prefect-janitor.conf(5)"]),
    ("prefect-janitor.conf.5", ["PREFECT-JANITOR.CONF(5)", "worker.heartbeat_seconds", "Seconds, from 1 to 3600.", "api.key"]),
])
def test_reads_well(page, words):
    text = render(page)
    for word in words:
        assert word in text, text
    version = run_cli("http://127.0.0.1:9/api", "version").stdout.strip()
    assert version in text and "@" not in text.replace("USER:PASSWORD@", "")
