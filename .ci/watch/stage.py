"""The processes: scripted providers, Standin before them, and a Prometheus
that scrapes it. All of them end with this one."""

import ctypes
import hashlib
import json
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

KEYS = {"search": "sk-search", "batch": "sk-batch"}
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def start(*command, **more):
    die = lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    return subprocess.Popen(command, text=True, preexec_fn=die, **more)


def until(what, seconds, look, log):
    """Looks again until something is there; else shows the end of the log."""
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within {seconds} s\n{''.join(log.lines[-20:])}")
        time.sleep(0.1)
    return found


def get(url, data=None):
    """The status and the text; nothing where nobody answers."""
    try:
        with urllib.request.urlopen(url, data, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return None, ""


class Lines(threading.Thread):
    """Reads a log, so that nobody waits to write it."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.lines = stream, []
        self.start()

    def run(self):
        self.lines.extend(self.stream)

    def find(self, pattern):
        found = (re.search(pattern, line) for line in list(self.lines))
        return next((match[1] for match in found if match), None)


class Stage:
    def __init__(self, standin, load_tests, folder):
        self.folder = Path(folder)
        self.children = []
        self.start_standin(standin, load_tests)
        self.start_prometheus()

    def start_standin(self, standin, load_tests):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        mock = self.child(load_tests, "mock", "--script", "watch", **pipes)
        places = json.loads(mock.stdout.readline())
        self.file = self.folder / "standin.yaml"
        self.good = self.configuration(places)
        self.file.write_text(self.good)
        process = self.child(standin, "serve", "-c", str(self.file), stderr=subprocess.PIPE)
        log = Lines(process.stderr)
        self.listen = until("standin's port", 30, lambda: log.find(r"listening on ([\d.:]+)"), log)
        self.admin = until("standin's admin port", 30, lambda: log.find(r"admin on ([\d.:]+)"), log)

    def configuration(self, places):
        yaml = "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nlog: { format: text }\nproviders:\n"
        for name, url in places["providers"].items():
            yaml += f'  {name}: {{ base_url: "{url}", api_key: sk-mock-{name} }}\n'
        yaml += places["config"] + "drills: true\nkeys:\n"
        models = {"search": ["*"], "batch": ["south/other"]}
        for name, key in KEYS.items():
            digest = hashlib.sha256(key.encode()).hexdigest()
            yaml += f"  - {{ name: {name}, sha256: {digest}, models: {json.dumps(models[name])} }}\n"
        return yaml + f"ledger: {{ path: {json.dumps(str(self.folder / 'usage.db'))} }}\n"

    def start_prometheus(self):
        """With the shipped configuration, but for the times and the address."""
        source = Path("deploy/prometheus")
        text = (source / "prometheus.yml").read_text()
        for old, new in [
            ("scrape_interval: 15s", "scrape_interval: 1s"),
            ("evaluation_interval: 15s", "evaluation_interval: 1s"),
            ("127.0.0.1:9090", self.admin),
            ("rules/", f"{source.resolve()}/rules/"),
        ]:
            assert text.count(old) == 1, f"{old} is not once in prometheus.yml"
            text = text.replace(old, new)
        file = self.folder / "prometheus.yml"
        file.write_text(text)
        process = self.child(
            "prometheus", f"--config.file={file}", f"--storage.tsdb.path={self.folder}/data",
            "--web.listen-address=127.0.0.1:0", stderr=subprocess.PIPE)
        log = Lines(process.stderr)
        address = r'msg="Listening on" address=([\d.]+:[1-9]\d*)'
        self.prometheus = until("prometheus' port", 30, lambda: log.find(address), log)
        is_ready = lambda: get(f"http://{self.prometheus}/-/ready")[0] == 200
        until("prometheus", 30, is_ready, log)

    def child(self, *command, **more):
        self.children.append(start(*command, **more))
        return self.children[-1]

    def reload(self, is_good):
        self.file.write_text(self.good if is_good else self.good + "nonsense: true\n")
        status, text = get(f"http://{self.admin}/-/reload", b"")
        assert status == (200 if is_good else 422), f"reload: {status} {text}"

    def metrics(self):
        status, text = get(f"http://{self.admin}/metrics")
        assert status == 200, f"/metrics: {status}"
        return text

    def ask(self, path, **parameters):
        """Prometheus' answer, or what it says is wrong."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        _, text = get(f"http://{self.prometheus}/api/v1/{path}?{query}")
        answer = json.loads(text or '{"error": "no answer"}')
        return answer.get("data"), answer.get("error")

    def end(self):
        for child in self.children:
            child.kill()
        for child in self.children:
            child.wait()
