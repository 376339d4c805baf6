"""What the checks of deploy/ share: what is wrong is collected, said at the
end, and fails the run."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
WRONG = []
DURATION = re.compile(r"(\d+)(ms|s|m|h)")


def must(holds, what):
    """Notes what is wrong where `holds` is not so."""
    if not holds:
        WRONG.append(what)
    return bool(holds)


def run(*command, text=None):
    """What a command printed; its failure is said and fails the run."""
    done = subprocess.run(
        [str(part) for part in command], input=text, capture_output=True, text=True, cwd=ROOT
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def accepted(standin, text, folder, places):
    """Whether `standin check` takes a configuration. `places` says which
    folders it names, and where they are here."""
    for there, here in places.items():
        text = text.replace(there, str(here))
    file = folder / "standin.yaml"
    file.write_text(text)
    done = subprocess.run([standin, "check", "-c", file], capture_output=True, text=True)
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def seconds(duration):
    """A duration of a configuration."""
    number, unit = DURATION.fullmatch(duration).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def longest_stop(config):
    """The seconds that a process may take from SIGTERM to its end: each time
    under `shutdown`, as if they followed each other, the last goodbyes and the
    last records."""
    times = [value for value in config.get("shutdown", {}).values() if DURATION.fullmatch(str(value))]
    return sum(map(seconds, times)) + 6


def verdict(name):
    """Ends the run."""
    for what in WRONG:
        print(f"{name}: {what}", file=sys.stderr)
    sys.exit(1 if WRONG else 0)
