"""The systemd unit: what systemd itself says of it."""

import re
import shutil
import subprocess

import pytest
from harness import PROJECT

UNIT = PROJECT / "conf" / "prefect-janitor.service"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs Debian's package systemd")
def test_it_may_do_little():
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", UNIT], capture_output=True, text=True)
    assert done.returncode == 0, done
    assert float(re.search(r"Overall exposure level for \S+ ([0-9.]+)", done.stdout)[1]) < 2


def test_a_wrong_password_is_not_tried_for_ever_and_a_secret_can_be_read():
    lines = UNIT.read_text().splitlines()
    assert "RestartPreventExitStatus=2" in lines
    assert "LoadCredential=auth-string:/etc/prefect-janitor.secret" in lines
    assert "Environment=PREFECT_API_AUTH_STRING_FILE=%d/auth-string" in lines
    assert any(line.startswith("ExecStart=") and "--config /etc/prefect-janitor.conf" in line for line in lines)
