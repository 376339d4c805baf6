"""Looks at deploy/systemd: by systemd's own eyes, and whether the unit and its
configuration fit each other.

    service.py STANDIN TEMPORARY
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

from checks import ROOT, WRONG, longest_stop, must, verdict

SYSTEMD = ROOT / "deploy/systemd"

# Tenths of systemd's measure: 0 is no exposure, 100 all there is.
MOST_EXPOSED = 15


def settings(unit):
    """Each name with all its values."""
    found = {}
    for line in unit.splitlines():
        if re.match(r"[A-Za-z]+=", line):
            name, value = line.split("=", 1)
            found.setdefault(name, []).append(value)
    return found


def verified(there):
    """Whether systemd takes a unit with all that is beside it."""
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", there], capture_output=True, text=True)
    # Names that it does not know are only warned of.
    own = [line for line in done.stderr.splitlines() if str(there) in line or "standin.service" in line]
    must(done.returncode == 0 and not own, f"systemd-analyze verify: {done.returncode} {done.stderr}")


def main():
    standin, temporary = sys.argv[1:3]
    text = (SYSTEMD / "standin.service").read_text()
    unit = settings(text)
    program, *rest = unit["ExecStart"][0].split()
    must(rest == ["serve", "-c", "/etc/standin/standin.yaml"], f"ExecStart: {rest}")
    config_text = (SYSTEMD / "standin.yaml").read_text()
    config = yaml.safe_load(config_text)

    must(unit["Type"] == ["notify"], f"Type={unit['Type']}")
    stop = int(unit["TimeoutStopSec"][0])
    must(stop > longest_stop(config), f"{stop} s to end; it may take {longest_stop(config)} s")
    state = f"/var/lib/{unit['StateDirectory'][0]}/"
    must(config["ledger"]["path"].startswith(state), f"the ledger is not in {state}")
    must(int(unit["LimitNOFILE"][0]) >= 65536, "few descriptors")
    must(config["listen"].startswith("127.0.0.1:"), f"listens on {config['listen']} without keys")
    brought = {value.split(":")[0] for value in unit["LoadCredential"]}
    named = set(re.findall(r"\$\{CREDENTIALS_DIRECTORY\}/(\w+)", config_text))
    must(brought == named, f"credentials: {brought} come, {named} are wanted")
    must("api_key:" not in config_text, "a key in the configuration")

    with tempfile.TemporaryDirectory(dir=temporary) as here:
        here = pathlib.Path(here)
        for name in brought:
            (here / name).write_text("a-key\n")
        done = subprocess.run(
            [standin, "check", "-c", SYSTEMD / "standin.yaml"],
            capture_output=True, text=True, env={**os.environ, "CREDENTIALS_DIRECTORY": str(here)},
        )
        must(done.returncode == 0, f"standin check: {done.stdout}{done.stderr}")
        # It looks whether the program is there.
        there = here / "standin.service"
        there.write_text(text.replace(f"ExecStart={program} ", f"ExecStart={standin} "))
        verified(there)
        # And as it is with the drop-in beside it.
        upgrade = (SYSTEMD / "upgrade.conf").read_text()
        more = settings(upgrade)
        must(f"{program} serve --upgrade -c {rest[2]} &" in more["ExecReload"][1], f"ExecReload: {more['ExecReload']}")
        must(more["NotifyAccess"] == ["all"], "another process may not say that it is the main one")
        folder = f"/run/{unit['RuntimeDirectory'][0]}/"
        must(config["shutdown"]["upgrade_socket"].startswith(folder), f"the upgrade socket is not in {folder}")
        (here / "standin.service.d").mkdir()
        (here / "standin.service.d/upgrade.conf").write_text(upgrade)
        verified(there)
    exposed = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", SYSTEMD / "standin.service"],
        capture_output=True, text=True,
    )
    last = (exposed.stdout.strip().splitlines() or [exposed.stderr])[-1]
    must(exposed.returncode == 0, f"systemd-analyze security: {last}")
    if not WRONG:
        print(f"deploy/systemd: the unit is good.{last.removeprefix('→')}")
    verdict("deploy/systemd")


main()
