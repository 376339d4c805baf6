"""Starts the container's binary in the container's root folder as a container
would: as user 65532, over a root that cannot be written, with nothing of this
machine but a kernel; under the configuration of deploy/kubernetes/base. Wants
mounts and a network of its own (`unshare --mount --net`).

    image.py FOLDER TEMPORARY [WHAT-BUILDAH-SAYS]

Where buildah has made the image, what it says of it is looked at too.
"""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import time

import yaml

from checks import ROOT, WRONG, must, run, verdict
from network import PATIENCE, Provider, asked, loopback

MOST = 20 * 1024 * 1024
USER = 65532

# All that may be in it, besides the libraries.
HAS = {
    "etc/group",
    "etc/nsswitch.conf",
    "etc/passwd",
    "etc/ssl/certs/ca-certificates.crt",
    "standin",
}
LIBRARIES = ("ld-linux", "libc.so", "libgcc_s.so", "libm.so")

KEY = "sk-standin-of-the-check"
CREDENTIAL = "sk-provider-of-the-check"


def contents(root):
    """What is in the folder, and how much of it."""
    files = [path for path in root.rglob("*") if not path.is_dir()]
    size = sum(path.lstat().st_size for path in files)
    must(size <= MOST, f"{size} bytes are more than {MOST}")
    names = {str(path.relative_to(root)) for path in files}
    must(HAS <= names, f"lacks {HAS - names}")
    for name in sorted(names - HAS):
        must(pathlib.PurePath(name).name.startswith(LIBRARIES), f"has {name}")
    for path in root.rglob("*"):
        mode = path.lstat().st_mode
        must(not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH), f"{path}: mode {mode:o}")
    if is_root():
        owner = (root / "var/lib/standin").stat()
        must((owner.st_uid, owner.st_gid) == (USER, USER), f"the ledger's folder is {owner.st_uid}'s")
    if WRONG:
        verdict("container image")
    authorities = (root / "etc/ssl/certs/ca-certificates.crt").read_text()
    must(authorities.count("BEGIN CERTIFICATE") > 50, "knows few authorities")
    return size


def told(path):
    """What the image says about itself."""
    config = json.loads(pathlib.Path(path).read_text())["OCIv1"]["config"]
    want = {
        "User": f"{USER}:{USER}",
        "Entrypoint": ["/standin"],
        "Cmd": ["serve", "-c", "/etc/standin/standin.yaml"],
        "WorkingDir": "/var/lib/standin",
        "StopSignal": "SIGTERM",
        "ExposedPorts": {"8080/tcp": {}, "9090/tcp": {}},
    }
    for name, value in want.items():
        must(config.get(name) == value, f"{name} is {config.get(name)}")


def furnish(root, temporary):
    """What the runtime mounts into a container: configuration, secrets, the
    ledger's volume, and the names of hosts. The rest cannot be written."""
    config = yaml.safe_load((ROOT / "deploy/kubernetes/base/standin.yaml").read_text())
    # By its name, so that the C library has to look it up.
    config["providers"]["openai"]["base_url"] = "http://provider.test:8000/v1"
    config["keys"][0]["sha256"] = hashlib.sha256(KEY.encode()).hexdigest()
    folders = {"etc/standin": temporary / "configuration", "run/secrets/standin": temporary / "secrets"}
    for here in folders.values():
        here.mkdir()
    (temporary / "configuration/standin.yaml").write_text(json.dumps(config))
    for name in config["providers"]:
        file = temporary / "secrets" / name
        file.write_text(CREDENTIAL + "\n")
        file.chmod(0o440)
        if is_root():
            os.chown(file, 0, USER)
    (temporary / "hosts").write_text("127.0.0.1 provider.test\n")

    (root / "run/secrets/standin").mkdir(parents=True)
    (root / "etc/hosts").touch()
    run("mount", "--bind", root, root)
    for there, here in folders.items():
        run("mount", "--bind", "-o", "ro", here, root / there)
    run("mount", "--bind", temporary / "hosts", root / "etc/hosts")
    run("mount", "-t", "tmpfs", "-o", f"mode=0750,uid={USER if is_root() else 0}", "none", root / "var/lib/standin")
    run("mount", "-o", "remount,ro,bind", root)


def is_root():
    """Whether other users can be taken on: not so where only root is mapped."""
    return pathlib.Path("/proc/self/uid_map").read_text().split()[2] != "1"


def inside(root):
    """What starts a command in the root folder."""
    user = [f"--userspec={USER}:{USER}"] if is_root() else []
    return [shutil.which("chroot"), *user, str(root), "/standin"]


def ready(process):
    """Waits until it is."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            return asked(9090, "GET", "/readyz")[0]
        except ConnectionError:
            time.sleep(0.02)
    return None


def process_rights(pid):
    """Who it is, and what it may."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    if is_root():
        must(set(fields["Uid"].split()) == {str(USER)}, f"runs as {fields['Uid']}")
        must(int(fields["CapEff"], 16) == 0, f"has capabilities {fields['CapEff']}")
    else:
        print("container image: only root is mapped here: who it runs as is NOT checked", file=sys.stderr)
    mounts = [line.split() for line in pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    root = [fields for fields in mounts if fields[4] == "/"]
    must(root and "ro" in root[-1][5].split(","), "its root can be written")


def serve(root):
    """From the start to the end."""
    log = open(root.parent / "log", "w+")
    started = subprocess.Popen([*inside(root), "serve", "-c", "/etc/standin/standin.yaml"], stderr=log, env={})
    try:
        if must(ready(started) == 200, "is not ready"):
            process_rights(started.pid)
            body = json.dumps({"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}]})
            status, headers, text = asked(
                8080, "POST", "/v1/chat/completions", body,
                **{"content-type": "application/json", "authorization": f"Bearer {KEY}"},
            )
            must(status == 200 and headers["x-standin-model"] == "openai/m", f"answers {status}: {text}")
            must(Provider.credentials == [f"Bearer {CREDENTIAL}"], f"asked with {Provider.credentials}")
            said = run(*inside(root), "usage", "-c", "/etc/standin/standin.yaml", "--json")
            must(json.loads(said)["total"]["requests"] == 1, f"the ledger has {said}")
        began = time.monotonic()
        started.send_signal(signal.SIGTERM)
        code = started.wait(PATIENCE)
        took = time.monotonic() - began
        must(code == 0, f"ends with {code}")
        must(took < 5, f"takes {took:.1f} s to end with nothing in flight")
    finally:
        started.kill()
        log.seek(0)
        if WRONG:
            print(log.read(), file=sys.stderr)


def main():
    root, temporary = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
    size = contents(root)
    if len(sys.argv) > 3:
        told(sys.argv[3])
    loopback()
    furnish(root, temporary)
    Provider.start()
    serve(root)
    if not WRONG:
        who = f" as user {USER}" if is_root() else ""
        print(f"container image: {size / 1024 / 1024:.1f} MiB; starts, answers and ends{who}")
    verdict("container image")


main()
