"""Has a real systemd run deploy/systemd as its README says: start, reload,
hand-over under load, a death, a wrong configuration, stop. Wants a network of its
own (`unshare --net`), and to be root.

    running.py STANDIN TEMPORARY
"""

import json
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import yaml

from checks import ROOT, WRONG, must, verdict
from network import PATIENCE, Provider, asked, loopback

SYSTEMD = ROOT / "deploy/systemd"
CONFIGURATION = "/etc/standin/standin.yaml"
CREDENTIAL = "sk-provider-of-the-check"

# What has to be there before anything else.
TARGET = """[Unit]
Description=What the check needs
Requires=basic.target systemd-journald.service
After=basic.target
"""


class Machine:
    """One that systemd runs."""

    def __init__(self, standin, temporary):
        files = temporary / "files"
        for name, text in {
            "etc/systemd/system/check.target": TARGET,
            "etc/systemd/system/standin.service": (SYSTEMD / "standin.service").read_text(),
            CONFIGURATION[1:]: (SYSTEMD / "standin.yaml").read_text(),
            "etc/standin/credentials/openai": CREDENTIAL,
            "etc/standin/credentials/anthropic": CREDENTIAL,
        }.items():
            file = files / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (files / "usr/bin").mkdir(parents=True)
        shutil.copy(standin, files / "usr/bin/standin")
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child",
             "bash", ROOT / ".ci/deploy/systemd.sh", files, temporary],
        )
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        if not until(lambda: self.process.poll() is not None or is_systemd(children)):
            sys.exit("systemd: does not begin")
        if self.process.poll() is not None:
            print("this machine allows no other: systemd does NOT run the unit", file=sys.stderr)
            sys.exit(0)
        self.inside = ["nsenter", "--target", children.read_text().strip(), "--all", "--wdns=/"]
        must(until(lambda: self.state("check.target", "ActiveState") == ["active"]), "no target is reached")

    def run(self, *command, text=None):
        """Code and output of a command."""
        done = subprocess.run(
            [*self.inside, *command], input=text, capture_output=True, text=True, timeout=PATIENCE * 3,
        )
        return done.returncode, done.stdout + done.stderr

    def systemctl(self, *words):
        """That this succeeds."""
        code, said = self.run("systemctl", *words)
        must(code == 0, f"systemctl {' '.join(words)}: {said}")

    def write(self, path, text):
        """A file of the machine."""
        code, said = self.run("tee", path, text=text)
        must(code == 0, f"{path}: {said}")

    def state(self, unit="standin", *names):
        """Properties of a unit."""
        names = names or ("ActiveState", "MainPID", "StatusText")
        values = dict(
            line.split("=", 1)
            for line in self.run("systemctl", "show", unit, f"--property={','.join(names)}")[1].splitlines()
            if "=" in line
        )
        return [values.get(name) for name in names]

    def pid(self):
        """The service's process, by its number inside."""
        return self.state("standin", "MainPID")[0]

    def becomes(self, *wanted):
        """Waits for a state."""
        must(until(lambda: self.state() == list(wanted)), f"not {wanted}: {self.state()}")

    def end(self):
        """Without goodbye."""
        self.process.kill()
        self.process.wait()


def is_systemd(children):
    """Whether the only one of these processes is."""
    try:
        pids = children.read_text().split()
        names = [pathlib.Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids]
    except OSError:
        # Gone in between.
        return False
    return names == ["systemd"]


def until(holds):
    """Whether it does, before patience ends."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return False


class Load:
    """Clients that ask one after the other, each time over a fresh
    connection."""

    def __init__(self):
        self.answered = 0
        self.failed = []
        self.lock = threading.Lock()
        self.over = threading.Event()

    def __enter__(self):
        self.clients = [threading.Thread(target=self.ask, daemon=True) for _ in range(8)]
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for client in self.clients:
            client.join()

    def ask(self):
        """Until it is over."""
        while not self.over.is_set():
            what = chat()
            with self.lock:
                if what == 200:
                    self.answered += 1
                else:
                    self.failed.append(what)

    def more(self):
        """Waits for further answers."""
        then = self.answered
        must(until(lambda: self.answered > then + 50), f"no more answers: {self.failed[:3]}")


def chat():
    """A request's status, or why it has none."""
    body = json.dumps({"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}]})
    try:
        status, _, text = asked(8080, "POST", "/v1/chat/completions", body, **{"content-type": "application/json"})
    except OSError as error:
        return repr(error)
    return status if status == 200 else f"{status}: {text}"


def configuration(key):
    """The shipped one, with a provider that is here."""
    config = yaml.safe_load((SYSTEMD / "standin.yaml").read_text())
    provider = config["providers"]["openai"]
    provider["base_url"] = "http://127.0.0.1:8000/v1"
    if key is not None:
        for one in config["providers"].values():
            del one["api_key_file"]
        provider["api_key"] = key
    # The journal is shown where something is wrong.
    config["log"]["level"] = "warn"
    return json.dumps(config)


def signals(machine):
    """As it is shipped."""
    machine.write(CONFIGURATION, configuration(None))
    machine.systemctl("start", "standin")
    pid = machine.pid()
    machine.becomes("active", pid, "serving")
    said = chat()
    must(said == 200, said)
    must(Provider.credentials[0] == f"Bearer {CREDENTIAL}", "the credential has not come")
    machine.write(CONFIGURATION, "nonsense")
    machine.systemctl("reload", "standin")
    machine.becomes("active", pid, "serving with the old configuration: the new one was rejected")
    machine.write(CONFIGURATION, configuration(None))
    machine.systemctl("reload", "standin")
    machine.becomes("active", pid, "serving")


def hand_over(machine):
    """With the drop-in."""
    machine.run("mkdir", "/etc/systemd/system/standin.service.d")
    drop_in = (SYSTEMD / "upgrade.conf").read_text()
    machine.write("/etc/systemd/system/standin.service.d/upgrade.conf", drop_in)
    machine.write("/etc/standin/keys", f"OPENAI_API_KEY={CREDENTIAL}\n")
    machine.write(CONFIGURATION, configuration("${OPENAI_API_KEY}"))
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", "standin")
    with Load() as load:
        for wrong in (False, True, False):
            pid = machine.pid()
            machine.write(CONFIGURATION, "nonsense" if wrong else configuration("${OPENAI_API_KEY}"))
            machine.systemctl("reload", "standin")
            if wrong:
                machine.becomes("active", pid, "serving; the upgrade was not done")
            else:
                must(until(lambda: machine.pid() != pid), "no other process")
                machine.becomes("active", machine.pid(), "serving")
            load.more()
    must(not load.failed, f"{len(load.failed)} failed: {load.failed[:3]}")
    return load.answered


def deaths(machine):
    """What begins again, and what does not."""
    pid = machine.pid()
    machine.systemctl("kill", "--signal=KILL", "--kill-who=main", "standin")
    must(until(lambda: machine.pid() not in (pid, "0")), "stays dead")
    machine.becomes("active", machine.pid(), "serving")
    said = chat()
    must(said == 200, said)
    machine.systemctl("stop", "standin")
    must(machine.state("standin", "ActiveState", "Result") == ["inactive", "success"], f"{machine.state()}")
    must(machine.run("pgrep", "-x", "standin")[0] == 1, "a process is left")
    said = machine.run(
        "env", f"OPENAI_API_KEY={CREDENTIAL}", "standin", "usage", "-c", CONFIGURATION, "--json",
    )[1]
    machine.write(CONFIGURATION, "nonsense")
    machine.run("systemctl", "start", "standin")
    ended = machine.state("standin", "ActiveState", "ExecMainStatus", "NRestarts")
    must(ended == ["failed", "2", "0"], f"a wrong configuration: {ended}")
    return json.loads(said)["total"]["requests"]


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    loopback()
    Provider.start()
    machine = Machine(sys.argv[1], pathlib.Path(sys.argv[2]))
    try:
        signals(machine)
        answered = hand_over(machine)
        booked = deaths(machine)
        # One before, one after.
        must(booked == answered + 2, f"{booked} rows of {answered + 2} answers")
        if WRONG:
            print(machine.run("journalctl", "--no-pager", "--lines=60")[1], file=sys.stderr)
    finally:
        machine.end()
    if not WRONG:
        print(f"systemd: starts, reloads, hands over under load ({answered} requests), and is started again")
    verdict("systemd")


main()
