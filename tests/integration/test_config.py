"""The same server as `prefect` in the same shell: every source of settings, compared with `prefect config view --show-sources`
of the real CLI, by its working directory, files and environment; and a deployment that goes where the active profile says."""

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import harness
import pytest
from harness import PROGRAM, PROJECT, unique

SECRET = "hush-hush"
PROFILES = """
active = "prod"

[profiles.prod]
PREFECT_API_URL = "http://prod.example/api"
PREFECT_API_KEY = "hush-hush"
PREFECT_WORKER_QUERY_SECONDS = "15"

[profiles.stage]
PREFECT_API_URL = "http://stage.example/api"
"""
OTHER = '[profiles.other]\nPREFECT_API_URL = "http://other.example/api"\n'
TOML = '[api]\nurl = "http://toml.example/api"\nrequest_timeout = 7.5\n[client.custom_headers]\nX-Token = "hush-hush"\n'
PYPROJECT = '[project]\nname = "x"\nversion = "1"\n\n[tool.prefect]\napi.url = "http://pyproject.example/api"\n'
DOTENV = "# Prefect\nexport PREFECT_API_URL='http://dotenv.example/api' # here\n"
DEFAULT = "http://127.0.0.1:4200/api"
# What this program has another default for, or none: only compared where it is set.
NAMES = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_API_REQUEST_TIMEOUT",
         "PREFECT_API_SSL_CERT_FILE", "PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "PREFECT_WORKER_QUERY_SECONDS",
         "PREFECT_LOGGING_LEVEL")


@dataclass
class Arrangement:
    url: str
    files: dict = field(default_factory=dict)  # below the folder that has "home" and "work" in it
    env: dict = field(default_factory=dict)


HOME_PROFILES = {"home/.prefect/profiles.toml": PROFILES}
ARRANGEMENTS = {
    "nothing": Arrangement(DEFAULT),
    "the active profile": Arrangement("http://prod.example/api", HOME_PROFILES),
    "PREFECT_PROFILE": Arrangement("http://stage.example/api", HOME_PROFILES, {"PREFECT_PROFILE": "stage"}),
    "PREFECT_HOME": Arrangement("http://other.example/api", HOME_PROFILES | {"elsewhere/profiles.toml": 'active = "other"\n' + OTHER},
                                {"PREFECT_HOME": "{folder}/elsewhere"}),
    "PREFECT_PROFILES_PATH": Arrangement("http://other.example/api", HOME_PROFILES | {"mine.toml": 'active = "other"\n' + OTHER},
                                         {"PREFECT_PROFILES_PATH": "{folder}/mine.toml"}),
    "PREFECT_PROFILES_PATH in .env": Arrangement(
        "http://other.example/api",
        HOME_PROFILES | {"mine.toml": 'active = "other"\n' + OTHER, "work/.env": "PREFECT_PROFILES_PATH=../mine.toml\n"}),
    "profiles_path in prefect.toml": Arrangement(
        "http://other.example/api",
        HOME_PROFILES | {"mine.toml": 'active = "other"\n' + OTHER, "work/prefect.toml": 'profiles_path = "../mine.toml"\n'}),
    "pyproject.toml": Arrangement("http://pyproject.example/api", HOME_PROFILES | {"work/pyproject.toml": PYPROJECT}),
    "a pyproject.toml of something else": Arrangement(
        "http://prod.example/api",
        HOME_PROFILES | {"work/pyproject.toml": (PROJECT / "tests/integration/pyproject-sample.toml").read_text()}),
    "prefect.toml": Arrangement("http://toml.example/api",
                                HOME_PROFILES | {"work/pyproject.toml": PYPROJECT, "work/prefect.toml": TOML}),
    ".env": Arrangement("http://dotenv.example/api", HOME_PROFILES | {
        "work/pyproject.toml": PYPROJECT, "work/prefect.toml": TOML, "work/.env": DOTENV}),
    ".env with variables": Arrangement(
        "http://inside.example:4201/api",
        {"work/.env": 'HOST_NAME=inside\nPREFECT_API_URL="http://${HOST_NAME}.example:${PORT:-4201}/api"\nPREFECT_LOGGING_LEVEL=WARNING\n'}),
    "the environment": Arrangement(
        "http://env.example/api",
        HOME_PROFILES | {"work/pyproject.toml": PYPROJECT, "work/prefect.toml": TOML, "work/.env": DOTENV},
        {"PREFECT_API_URL": "http://env.example/api", "PREFECT_API_TLS_INSECURE_SKIP_VERIFY": "true"}),
    "a file above the working directory": Arrangement("http://prod.example/api", HOME_PROFILES | {"prefect.toml": TOML, ".env": DOTENV}),
    "an empty variable": Arrangement(DEFAULT, HOME_PROFILES, {"PREFECT_API_URL": ""}),
    "an empty line in .env": Arrangement(DEFAULT, HOME_PROFILES | {"work/.env": "PREFECT_API_URL=\n"}),
    "a profile of Prefect's own": Arrangement(DEFAULT, {"home/.prefect/profiles.toml": 'active = "ephemeral"\n[profiles.mine]\n'}),
    "no active profile": Arrangement(DEFAULT, {"home/.prefect/profiles.toml": OTHER}),
}


class Shell:
    """A home, a working directory and an environment, for both programs."""

    def __init__(self, folder, arrangement):
        self.folder = folder
        for name in ("home", "work"):
            (folder / name).mkdir()
        for name, text in arrangement.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SSL_CERT_"))}
        self.env = kept | {"HOME": str(folder / "home")}
        self.env |= {key: value.format(folder=folder) for key, value in arrangement.env.items()}

    def run(self, *command, **more):
        return subprocess.run([*map(str, command)], cwd=self.folder / "work", env=self.env | more, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120)

    def prefect(self, *command):
        """What the CLI prints, and what its settings are then: of one process, since to import Prefect takes seconds."""
        done = self.run(prefect_bin() / "python", "-c", CLI, *command)
        assert done.returncode == 0, done
        printed, used = done.stdout.split(MARK)
        return printed, json.loads(used)

    def janitor(self, *command, **more):
        done = self.run(PROGRAM, *command, **more)
        harness.assert_no_sanitizer_report(done.stderr)
        return done

    def settings(self):
        done = self.janitor("config", "--output", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


MARK = "--- used ---\n"
# `config view` tells what is written, which is not always what the client goes by.
CLI = f"""
import json, sys
from prefect.cli import app
sys.argv[0] = "prefect"
try:
    app()
except SystemExit as end:
    assert not end.code, end.code
from prefect.settings import get_current_settings
settings = get_current_settings()
print({MARK!r} + json.dumps([
    settings.api.url, settings.worker.query_seconds, settings.api.request_timeout, settings.client.custom_headers,
    settings.api.key.get_secret_value() if settings.api.key else None]))
"""


def prefect_bin():
    versions = sorted((PROJECT / "scripts/prefect-servers").glob("*.txt"), key=lambda path: [int(n) for n in path.stem.split(".")])
    return PROJECT / f".prefect/venv-{os.environ.get('PREFECT_VERSION', versions[-1].stem)}/bin"


def written(text):
    """`prefect config view`: name -> value and source."""
    return {name: (value, source) for name, value, source in re.findall(r"^(PREFECT_\w+)='(.*)' \(from (.*)\)$", text, re.M)}


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_the_same_server_as_prefect(tmp_path, name):
    shell = Shell(tmp_path, ARRANGEMENTS[name])
    printed, (url, query_seconds, timeout, headers, key) = shell.prefect("config", "view", "--show-sources")
    theirs = written(printed)
    answer = shell.settings()
    ours = {row["name"]: row for row in answer["settings"]}

    assert ours["PREFECT_API_URL"]["value"] == (url or DEFAULT) == ARRANGEMENTS[name].url
    assert float(ours["PREFECT_WORKER_QUERY_SECONDS"]["value"]) == query_seconds
    assert float(ours["PREFECT_API_REQUEST_TIMEOUT"]["value"]) == timeout
    assert (ours["PREFECT_CLIENT_CUSTOM_HEADERS"]["value"] is not None) == bool(headers)
    assert (ours["PREFECT_API_KEY"]["value"] is not None) == bool(key)
    for setting in NAMES:
        value, source = theirs.get(setting, ("", "defaults"))
        if value == "":  # an empty value is none
            source = "defaults"
        if ours[setting]["source"].startswith("profile ") and source != "profile":
            # The profile counts that PREFECT_PROFILES_PATH names; `config view` goes by another rule for it.
            assert "profiles" in name.lower() and setting not in theirs
            continue
        assert ours[setting]["source"].startswith(source), (setting, theirs)
        if value and value != "********":
            assert ours[setting]["value"].lower() == value.lower()


@pytest.mark.parametrize("damage", [
    {"work/prefect.toml": "[api\n"}, {"work/pyproject.toml": "a = = 1\n"}, {"home/.prefect/profiles.toml": "active = prod\n"},
    {"work/prefect.toml": "[api]\nurl = 5\n"}, {"work/prefect.toml": "api = 5\n"}, {"work/pyproject.toml": "tool = 5\n"},
], ids=lambda files: "".join(files))
def test_what_prefect_refuses(tmp_path, damage):
    shell = Shell(tmp_path, Arrangement("", HOME_PROFILES | damage))
    assert shell.run(prefect_bin() / "prefect", "config", "view").returncode != 0
    for command in (["config"], ["doctor"], ["deploy", "--pool", "p"], ["start", "--pool", "p"], ["approve", "x"]):
        done = shell.janitor(*command)
        assert done.returncode == 2 and done.stdout == "", done
        assert re.search(f"{Path(next(iter(damage))).name}:[12]: ", done.stderr) and done.stderr.count("\n") == 1, done


def test_a_profile_that_is_not_there(tmp_path):
    """Prefect takes a server of its own then. Where the address is said elsewhere, nothing is amiss."""
    shell = Shell(tmp_path, Arrangement("", HOME_PROFILES, {"PREFECT_PROFILE": "prd"}))
    done = shell.janitor("deploy", "--pool", "p")
    assert done.returncode == 2 and "there is no profile 'prd' in" in done.stderr and "PREFECT_PROFILE" in done.stderr
    assert shell.janitor("config", PREFECT_API_URL="http://x/api").returncode == 0


def test_profiles_that_this_user_may_not_read():
    """A service that is kept from /home starts all the same where its address is said elsewhere."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shell = Shell(folder, Arrangement("", HOME_PROFILES))
        (folder / "home/.prefect").chmod(0)
        user = 65534 if os.getuid() == 0 else None
        ours = [subprocess.run([PROGRAM, "config"], cwd=folder / "work", env=shell.env | more, user=user, capture_output=True,
                               text=True, timeout=60) for more in ({}, {"PREFECT_API_URL": "http://x/api"})]
        (folder / "home/.prefect").chmod(0o700)
    assert ours[0].returncode == 2 and "profiles.toml cannot be read by this user" in ours[0].stderr, ours[0]
    assert ours[1].returncode == 0 and "PREFECT_API_URL='http://x/api' (from env)" in ours[1].stdout, ours[1]


def test_secrets_are_hidden(tmp_path):
    shell = Shell(tmp_path, ARRANGEMENTS["prefect.toml"])
    for done in (shell.janitor("config"), shell.janitor("config", "-o", "json"), shell.janitor("doctor")):
        assert SECRET not in done.stdout + done.stderr
    lines = shell.janitor("config").stdout.splitlines()
    assert "PREFECT_CLIENT_CUSTOM_HEADERS='********' (from prefect.toml)" in lines
    assert f"PREFECT_API_KEY='********' (from profile 'prod' in {tmp_path}/home/.prefect/profiles.toml)" in lines
    assert "PREFECT_PROFILE='prod'" in lines


def test_the_default_address_is_named_as_default(tmp_path):
    """Port 4200 of this machine may well be somebody's: only what is said where nobody answers is looked at."""
    shell = Shell(tmp_path, Arrangement(""))
    for command in (["deploy", "--pool", "p"], ["pending"], ["show", "x"]):
        done = shell.janitor(*command, http_proxy="http://127.0.0.1:1", no_proxy="")
        assert done.returncode == 1, done
        assert f"{DEFAULT} is the default address" in done.stderr and "PREFECT_API_URL" in done.stderr


def test_a_deployment_goes_to_the_active_profile(tmp_path, server, api):
    profiles = f'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "{server.url}"\n'
    shell = Shell(tmp_path, Arrangement("", {"home/.prefect/profiles.toml": profiles}))
    pool, name = unique("pool"), unique("cleanup")
    done = shell.janitor("deploy", "--pool", pool, "--name", name)
    assert done.returncode == 0, done.stderr
    assert api.deployment(name)["work_pool_name"] == pool

    checks = json.loads(shell.janitor("doctor", "--deployment", name, "-o", "json").stdout)["checks"]
    [address] = [check for check in checks if check["check"] == "address"]
    assert address["status"] == "ok" and f"from profile 'mine' in {tmp_path}/home/.prefect/profiles.toml" in address["text"]
    assert pool in shell.prefect("deployment", "inspect", f"database-cleanup/{name}")[0]
    assert json.loads(shell.janitor("pending", "--pool", pool, "-o", "json").stdout) == []
    run = shell.janitor("run", "--deployment", name, "-o", "json")
    assert run.returncode == 0, run.stderr
    assert api.run(json.loads(run.stdout)["id"])["deployment_id"] == api.deployment(name)["id"]
