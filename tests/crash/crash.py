"""What `kill` and `power-cut` stand on: the programs, and a writer that is killed and checked.

Only the standard library. Every process that is started here is ended here, by its id.
"""

import argparse
import os
import pathlib
import random
import re
import subprocess
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Failed(Exception):
    """Something acknowledged is lost, or something that should hold does not."""


def check(holds, what):
    if not holds:
        raise Failed(what)


def asked(arguments, usual, usage):
    """How many, and the seed: `[NUMBER] [--seed NUMBER]`."""
    parser = argparse.ArgumentParser(usage=usage)
    parser.add_argument("number", type=int, nargs="?", default=usual)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    given = parser.parse_args(arguments)
    return given.number, given.seed


def target():
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()


def build_writer():
    """Builds journal/examples/writer.rs, and returns it."""
    subprocess.run(["cargo", "build", "--quiet", "-p", "journal", "--example", "writer"], cwd=ROOT, check=True)
    program = target() / "debug/examples/writer"
    check(program.exists(), f"{program} was not built")
    return program


class Lines:
    """A process whose lines are read as they come. What it said before it was killed counts, but for a line cut short."""

    def __init__(self, arguments, **options):
        self.process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, **options
        )
        self.lines = []
        self.came = threading.Condition()
        self.ended = False
        self.errors = b""
        self.readers = [threading.Thread(target=self.read), threading.Thread(target=self.read_errors)]
        for reader in self.readers:
            reader.start()

    def read(self):
        for line in self.process.stdout:
            with self.came:
                if line.endswith(b"\n"):
                    self.lines.append(line.decode().rstrip("\n"))
                self.came.notify_all()
        with self.came:
            self.ended = True
            self.came.notify_all()

    def read_errors(self):
        self.errors = self.process.stderr.read()

    def wait_for(self, count, seconds, wanted=lambda line: True):
        """Waits for so many lines of a kind, or the process's end, or the time."""
        with self.came:
            self.came.wait_for(lambda: self.ended or sum(map(wanted, self.lines)) >= count, seconds)

    def end(self):
        """Kills the process, if it still is, and reads to the end."""
        self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()

    def last_number(self, pattern):
        for line in reversed(self.lines):
            if match := re.search(pattern, line):
                return int(match.group(1))
        return None


ACKNOWLEDGED = r"^acknowledged (\d+)$"


class Opened:
    """What a writer found and did when it opened its journal: `opened LAST CUT BEYOND MICROSECONDS`."""

    def __init__(self, line):
        match = re.fullmatch(r"opened (\d+) (\d+) (\d+) (\d+)", line)
        check(match, f"the writer said {line!r}")
        self.last, self.cut, self.beyond, self.micros = map(int, match.groups())


class Writer(Lines):
    """`journal/examples/writer.rs` over a directory, of whose entries `verified` were compared before."""

    def __init__(self, program, directory, verified, *options, **more):
        super().__init__([program, directory, "--verified", str(verified), *options], **more)
        self.verified = verified

    def opened(self, acknowledged):
        """Waits until it has opened the journal, which must hold everything acknowledged before."""
        self.wait_for(1, 120)
        if not self.lines:
            self.end()
            raise Failed(f"the journal was not opened: {self.errors.decode().strip()}")
        opened = Opened(self.lines[0])
        check(opened.last >= acknowledged, f"{opened.last} entries of {acknowledged} that were acknowledged")
        return opened

    def acknowledged(self, before):
        """The last entry that it acknowledged."""
        return self.last_number(ACKNOWLEDGED) or before


def checked(program, directory, acknowledged, verified=0):
    """Opens a journal that nobody writes, compares every entry after `verified`, and has every byte verified."""
    done = subprocess.run(
        [program, directory, "--verified", str(verified), "--check"], capture_output=True, text=True, check=False, timeout=300
    )
    check(done.returncode == 0, f"the journal is not sound: {done.stderr.strip()}")
    first, last = done.stdout.splitlines()
    opened = Opened(first)
    check(last == f"sound {opened.last}", f"the writer said {done.stdout!r}")
    check(opened.last >= acknowledged, f"{opened.last} entries of {acknowledged} that were acknowledged")
    return opened
