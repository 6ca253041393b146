"""Our program at a terminal: what it shows, and what a person types."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from harness import EXIT_SECONDS, PROGRAM, assert_no_sanitizer_report, environment

ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Terminal:
    """One command at a pseudo-terminal of so many columns."""

    def __init__(self, url, *arguments, columns=80, **settings):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        defaults = {"PREFECT_API_URL": url, "TERM": "xterm"}
        clean = {key: value for key, value in environment(**(defaults | settings)).items()
                 if key not in ("COLUMNS",) and (key != "NO_COLOR" or key in settings)}
        self.process = subprocess.Popen([PROGRAM, *map(str, arguments)], env=clean, stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True)
        os.close(slave)
        self.raw = ""

    @property
    def text(self):
        """What was shown until now, without colours."""
        return ESCAPE.sub("", self.raw).replace("\r\n", "\n")

    def _read(self, timeout):
        """False at the end."""
        if not select.select([self.master], [], [], timeout)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the program has gone
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)

    def expect(self, text, timeout=EXIT_SECONDS):
        deadline = time.monotonic() + timeout
        while text not in self.text:
            assert time.monotonic() < deadline, f"'{text}' did not appear:\n{self.text}"
            assert self._read(0.2), f"ended without '{text}':\n{self.text}"

    def type(self, text):
        os.write(self.master, text.encode())

    def wait(self, timeout=EXIT_SECONDS):
        """To its end; returns the exit code."""
        deadline = time.monotonic() + timeout
        while self._read(0.2):
            assert time.monotonic() < deadline, f"does not end:\n{self.text}"
        code = self.process.wait(timeout=timeout)
        assert_no_sanitizer_report(self.raw)
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
