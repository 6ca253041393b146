"""`prefect-janitor completion`: real shells complete what exists. No server is needed."""

import os
import pty
import re
import select
import subprocess
import time

import pytest
from harness import run_cli

NO_SERVER = "http://127.0.0.1:9/api"
SECONDS = 30


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """The shell's name to the file with its script."""
    folder = tmp_path_factory.mktemp("completion")
    files = {"bash": folder / "prefect-janitor", "zsh": folder / "_prefect-janitor"}
    for shell, file in files.items():
        done = run_cli(NO_SERVER, "completion", shell)
        assert done.returncode == 0 and done.stderr == ""
        file.write_text(done.stdout)
    return files


def options_of(command):
    """As the command's help lists them."""
    help_text = run_cli(NO_SERVER, command, "--help").stdout
    return set(re.findall(r"^  (?:-\w, |    )(--[\w-]+)", help_text, re.MULTILINE)) | {"--help"}


def commands():
    listed = run_cli(NO_SERVER, "help").stdout.split("Commands:\n")[1].split("\n\n")[0]
    return {line.split()[0] for line in listed.splitlines()}


def bash(scripts, *words):
    """What bash offers for the last word."""
    quoted = " ".join(f"'{word}'" for word in words)
    script = (f"source '{scripts['bash']}'; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
              "_prefect_janitor; printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "--norc", "-uc", script], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0 and done.stderr == "", done
    return {line for line in done.stdout.splitlines() if line}


def test_syntax(scripts):
    for shell, file in scripts.items():
        done = subprocess.run([shell, "-n", file], capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == "", done


def test_bash_commands(scripts):
    assert bash(scripts, "prefect-janitor", "") == commands() | {"--help", "--version"}
    assert bash(scripts, "prefect-janitor", "st") == {"start"}
    assert bash(scripts, "prefect-janitor", "help", "dep") == {"deploy"}
    assert bash(scripts, "prefect-janitor", "completion", "") == {"bash", "zsh"}


def test_bash_options(scripts):
    """Each command has its own, all of them, and no other."""
    for command in commands() - {"help", "version"}:
        assert bash(scripts, "prefect-janitor", command, "--") == options_of(command), command
    assert bash(scripts, "prefect-janitor", "deploy", "--conc") == {"--concurrency-limit"}
    assert bash(scripts, "prefect-janitor", "start", "--conc") == set()
    assert bash(scripts, "prefect-janitor", "nonsense", "--") == set()


def test_bash_values(scripts, tmp_path):
    assert bash(scripts, "prefect-janitor", "start", "--log-format", "") == {"text", "json"}
    assert bash(scripts, "prefect-janitor", "start", "--log-format", "=", "j") == {"json"}
    assert bash(scripts, "prefect-janitor", "start", "--log-format", "=") == {"text", "json"}
    assert bash(scripts, "prefect-janitor", "doctor", "--output", "") == {"text", "json"}
    assert bash(scripts, "prefect-janitor", "start", "--pool", "") == set()
    (tmp_path / "janitor one.conf").touch()
    assert bash(scripts, "prefect-janitor", "start", "--config", f"{tmp_path}/jan") == {f"{tmp_path}/janitor one.conf"}


def test_bash_completes_waiting_runs(scripts, tmp_path):
    """By asking the program that is completed."""
    program = tmp_path / "prefect-janitor"
    program.write_text("#!/bin/sh\n[ \"$*\" = 'pending --quiet' ] && printf 'lucid-fox\\nlazy-dog\\n'\n")
    program.chmod(0o755)
    for command in ("show", "approve", "reject"):
        assert bash(scripts, str(program), command, "") == {"lucid-fox", "lazy-dog"}
    assert bash(scripts, str(program), "reject", "lucid-fox", "la") == {"lazy-dog"}
    assert "--yes" in bash(scripts, str(program), "approve", "--")
    assert bash(scripts, str(program), "history", "l") == set()


def test_bash_completes_by_itself(scripts):
    """The function is what bash calls for the program."""
    done = subprocess.run(["bash", "--norc", "-c", f"source '{scripts['bash']}'; complete -p prefect-janitor"],
                          capture_output=True, text=True)
    assert done.stdout.strip() == "complete -F _prefect_janitor prefect-janitor"


class Zsh:
    """An interactive zsh on a terminal of its own."""

    def __init__(self, setup, folder):
        environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(folder), "ZDOTDIR": str(folder)}
        self.terminal, other = pty.openpty()
        self.process = subprocess.Popen(["zsh", "-f", "-i"], env=environment, stdin=other, stdout=other, stderr=other,
                                        start_new_session=True)
        os.close(other)
        self.text = ""
        self.type(f"PS1='ready>'; unsetopt zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; {setup}\n")
        self.wait("\nready>")

    def type(self, keys):
        self.text = ""
        os.write(self.terminal, keys.encode())

    def wait(self, *words):
        """Until all of them were printed since the last keys."""
        deadline = time.monotonic() + SECONDS
        while not all(word in self.text for word in words):
            ready, _, _ = select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"zsh did not print {words}: {self.text!r}"
            self.text += os.read(self.terminal, 65536).decode(errors="replace").replace("\r", "\n")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


@pytest.fixture(params=["sourced", "autoloaded"])
def zsh(request, scripts, tmp_path):
    file = scripts["zsh"]
    shell = Zsh(f"source '{file}'" if request.param == "sourced" else f"fpath=('{file.parent}' $fpath); compinit -u -D", tmp_path)
    yield shell
    shell.close()


def test_zsh(zsh):
    """Unique beginnings are completed in the line, others are listed."""
    for line, words in (("prefect-janitor comp\t", ["completion "]), ("z\t", ["zsh"])):
        zsh.type(line)
        zsh.wait(*words)
    zsh.type("\x15prefect-janitor start --log-format \t")
    zsh.wait("text", "json")
    zsh.type("\x15prefect-janitor start --with-h\t")
    zsh.wait("ealthcheck")
    zsh.type("\x15prefect-janitor deploy --t\t")
    zsh.wait("--tag", "--timezone", "of the schedule, like Europe/Berlin")


@pytest.mark.parametrize("arguments, text", [(["completion"], "bash"), (["completion", "fish"], "fish"),
                                             (["completion", "bash", "zsh"], "zsh")], ids=" ".join)
def test_wrong_usage(arguments, text):
    done = run_cli(NO_SERVER, *arguments)
    assert done.returncode == 2 and text in done.stderr and done.stdout == ""
