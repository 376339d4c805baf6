"""Renders deploy/kubernetes and looks at what comes out: against the schemas of
Kubernetes, against the configuration that the pods are given, and against what
deploy/README.md promises.

    manifests.py STANDIN TEMPORARY [--renew]
"""

import pathlib
import re
import sys
import tempfile
import tomllib

import jsonschema
import kubernetes_validate
import yaml

from checks import ROOT, WRONG, accepted, longest_stop, must, run, verdict

KUBERNETES = ROOT / "deploy/kubernetes"
RULES = KUBERNETES / "components/alerts/rules.yaml"

# The first that has both native sidecars and preStop's `sleep` without a switch.
OLDEST = "1.30"

WORKLOADS = ("DaemonSet", "Deployment", "Job", "StatefulSet")

TEXT = {"type": "string"}
SELECTOR = {
    "type": "object",
    "required": ["matchLabels"],
    "additionalProperties": False,
    "properties": {"matchLabels": {"type": "object", "additionalProperties": TEXT}},
}


def monitor(endpoints):
    """The members of a monitor that we use; more are refused, so that whoever
    adds one looks it up and adds it here."""
    endpoint = {
        "type": "object",
        "required": ["port", "path"],
        "additionalProperties": False,
        "properties": {
            "port": TEXT,
            "path": {"const": "/metrics"},
            "interval": {"type": "string", "pattern": "^[0-9]+s$"},
            "scrapeTimeout": {"type": "string", "pattern": "^[0-9]+s$"},
            "relabelings": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"targetLabel": TEXT, "replacement": TEXT},
                },
            },
        },
    }
    return {
        "type": "object",
        "required": ["selector", endpoints],
        "additionalProperties": False,
        "properties": {
            "jobLabel": TEXT,
            "selector": SELECTOR,
            endpoints: {"type": "array", "minItems": 1, "items": endpoint},
        },
    }


# Of the Prometheus operator; Kubernetes' own schemas do not have them.
CUSTOM = {
    "PodMonitor": monitor("podMetricsEndpoints"),
    "ServiceMonitor": monitor("endpoints"),
    "PrometheusRule": {
        "type": "object",
        "required": ["groups"],
        "additionalProperties": False,
        "properties": {"groups": {"type": "array", "minItems": 1}},
    },
}


def rules():
    """The rules of deploy/prometheus, as the operator takes them."""
    text = (ROOT / "deploy/prometheus/rules/standin.rules.yml").read_text()
    head = (
        "# Made of deploy/prometheus/rules by `.ci/deploy.sh --renew`: change them there.\n"
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n"
        "metadata:\n  name: standin\nspec:\n"
    )
    return head + "".join(f"  {line}".rstrip() + "\n" for line in text.splitlines())


def render(folder):
    """The objects of a kustomization."""
    text = run("kubectl", "kustomize", folder)
    return [thing for thing in yaml.safe_load_all(text) if thing]


def called(thing):
    return f"{thing['kind']} {thing['metadata']['name']}"


def fits(thing, where):
    """An object against its schema."""
    kind = thing["kind"]
    try:
        if kind in CUSTOM:
            must(thing["apiVersion"] == "monitoring.coreos.com/v1", f"{where}: {called(thing)}: apiVersion")
            jsonschema.validate(thing["spec"], CUSTOM[kind])
            return
        for version in (OLDEST, kubernetes_validate.latest_version()):
            kubernetes_validate.validate(thing, version, strict=True)
    except jsonschema.ValidationError as error:
        path = ".".join(str(part) for part in error.path)
        must(False, f"{where}: {called(thing)}: {path}: {error.message}")
    except kubernetes_validate.SchemaNotFoundError as error:
        must(False, f"{where}: {called(thing)}: {error.message}")


def chosen(selector, labels):
    return bool(selector) and all(labels.get(name) == value for name, value in selector.items())


class Pod:
    """A workload's pods, among the objects that they are rendered with."""

    def __init__(self, workload, things, where):
        self.workload = workload
        self.things = things
        self.template = workload["spec"]["template"]
        self.spec = self.template["spec"]
        self.where = f"{where}: {called(workload)}"
        self.sidecars = [c for c in self.spec.get("initContainers", []) if c.get("restartPolicy") == "Always"]

    def must(self, holds, what):
        return must(holds, f"{self.where}: {what}")

    def containers(self):
        return self.spec["containers"] + self.spec.get("initContainers", [])

    def standin(self):
        """The container that is ours."""
        ours = [c for c in self.containers() if c["image"].rsplit(":", 1)[0].endswith("standin")]
        self.must(len(ours) == 1, f"{len(ours)} containers of Standin")
        return ours[0] if ours else None

    def rights(self):
        """What the profile `restricted` asks, and a root that cannot be written."""
        around = self.spec.get("securityContext", {})
        self.must(self.spec.get("automountServiceAccountToken") is False, "has a service account's token")
        for name in ("hostNetwork", "hostPID", "hostIPC"):
            self.must(not self.spec.get(name), name)
        for container in self.containers():
            own = container.get("securityContext", {})
            both = {**around, **own}
            is_so = {
                "privilege can be gained": own.get("allowPrivilegeEscalation") is False,
                "privileged": not own.get("privileged"),
                "the root can be written": own.get("readOnlyRootFilesystem") is True,
                "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
                "no seccomp profile": both.get("seccompProfile") == {"type": "RuntimeDefault"},
                "runs as root": both.get("runAsNonRoot") is True and both.get("runAsUser", 0) > 0,
                "no requests": {"cpu", "memory"} <= set(container.get("resources", {}).get("requests", {})),
                "no limit on memory": "memory" in container.get("resources", {}).get("limits", {}),
            }
            for what, holds in is_so.items():
                self.must(holds, f"{container['name']}: {what}")

    def volume(self, name):
        """The kind of a volume, and what stands under it."""
        for volume in self.spec.get("volumes", []):
            if volume["name"] == name:
                return next((kind, what) for kind, what in volume.items() if kind != "name")
        for claim in self.workload["spec"].get("volumeClaimTemplates", []):
            if claim["metadata"]["name"] == name:
                return "claim", claim
        return None, None

    def mounts(self):
        """Whether each volume that is mounted exists, and each that exists is
        mounted."""
        used = set()
        for container in self.containers():
            for mount in container.get("volumeMounts", []):
                used.add(mount["name"])
                kind, what = self.volume(mount["name"])
                self.must(kind, f"{container['name']}: no volume {mount['name']}")
                if kind == "configMap":
                    self.must(self.config_map(what["name"]), f"no ConfigMap {what['name']}")
                    self.must("subPath" not in mount, f"{mount['name']}: a subPath never changes")
        for volume in self.spec.get("volumes", []):
            self.must(volume["name"] in used, f"nobody mounts {volume['name']}")

    def config_map(self, name):
        for thing in self.things:
            if thing["kind"] == "ConfigMap" and thing["metadata"]["name"] == name:
                return thing["data"]
        return None

    def at(self, container, path):
        """What is mounted where a path lies: the mount, its kind and source."""
        mounts = container.get("volumeMounts", [])
        inside = [m for m in mounts if path == m["mountPath"] or path.startswith(m["mountPath"] + "/")]
        if not inside:
            return None, None, None
        mount = max(inside, key=lambda m: len(m["mountPath"]))
        return (mount, *self.volume(mount["name"]))

    def configuration(self, container, standin, temporary):
        """The configuration that the container is given, as the binary takes
        it with every file in place."""
        args = container.get("args", [])
        says = "command" not in container and args[:2] == ["serve", "-c"] and len(args) == 3
        if not self.must(says, f"args: {args}"):
            return None
        mount, kind, source = self.at(container, args[2])
        files = self.config_map(source["name"]) if kind == "configMap" else None
        if not self.must(files, f"{args[2]} is in no ConfigMap"):
            return None
        text = files[args[2].removeprefix(mount["mountPath"] + "/")]
        config = yaml.safe_load(text)
        places = {}
        with tempfile.TemporaryDirectory(dir=temporary) as here:
            here = pathlib.Path(here)
            for name, provider in config["providers"].items():
                self.must("api_key" not in provider, f"provider {name}: a key in the ConfigMap")
                file = provider.get("api_key_file")
                if file is None:
                    continue
                mount, kind, source = self.at(container, file)
                if self.must(kind == "secret", f"{file} is in no Secret"):
                    self.must(mount.get("readOnly"), f"{mount['name']} can be written")
                    group = self.spec.get("securityContext", {}).get("fsGroup")
                    mode = source.get("defaultMode", 0o644)
                    self.must(mode & 0o004 or group and mode & 0o040, f"{mount['name']}: mode {mode:o}")
                    places[mount["mountPath"]] = folder = here / mount["name"]
                    folder.mkdir(exist_ok=True)
                    (folder / file.rsplit("/", 1)[1]).write_text("a-key\n")
            ledger = config.get("ledger", {}).get("path")
            mount, kind, source = self.at(container, ledger) if ledger else (None, None, None)
            self.must(kind in ("claim", "emptyDir"), f"the ledger is on {kind}")
            self.must(mount and not mount.get("readOnly"), "the ledger cannot be written")
            good, said = accepted(standin, text, here, places)
            self.must(good, f"standin check: {said}")
        return config

    def ports(self, container, config):
        """Probes ask the admin port, beyond loopback; a sidecar's proxy is on
        loopback only."""
        has = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        host, port = config["admin"].rsplit(":", 1)
        admin = [name for name, number in has.items() if number == int(port)]
        self.must(admin and host == "0.0.0.0", f"admin {config['admin']} among {has}")
        paths = {"startupProbe": "/healthz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
        for probe, path in paths.items():
            asked = container.get(probe, {}).get("httpGet", {})
            self.must((asked.get("port"), asked.get("path")) == ((admin or [None])[0], path), f"{probe}: {asked}")
        host, port = config["listen"].rsplit(":", 1)
        if container in self.sidecars:
            self.must(host == "127.0.0.1", f"the sidecar listens on {host}")
            self.must(len(has) == 1, f"ports of the sidecar: {has}")
            urls = [e.get("value", "") for c in self.spec["containers"] for e in c.get("env", [])]
            self.must(f"http://127.0.0.1:{port}/v1" in urls, "no container has the sidecar's URL")
        else:
            self.must(has.get("http") == int(port) and host == "0.0.0.0", f"listen {config['listen']}")
            self.must(config.get("keys") and not config.get("allow_anonymous"), "everybody is let in")

    def end(self, container, config):
        """Time enough to finish what is in flight."""
        before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        self.must(before >= 5 or container in self.sidecars, "SIGTERM comes while connections do")
        needs = before + longest_stop(config)
        grace = self.spec.get("terminationGracePeriodSeconds", 30)
        self.must(grace > needs, f"a grace period of {grace} s; the end may take {needs} s")
        self.must(config.get("threads", 0) > 0, "a thread for each core of the node")


def services(things, where):
    """Selectors choose pods, and ports that are named exist there."""
    pods = [t["spec"]["template"] for t in things if t["kind"] in WORKLOADS]

    def behind(selector):
        return [pod for pod in pods if chosen(selector, pod["metadata"].get("labels", {}))]

    def port_names(pod):
        containers = pod["spec"]["containers"] + pod["spec"].get("initContainers", [])
        return {port["name"] for c in containers for port in c.get("ports", [])}

    for thing in things:
        spec, what = thing.get("spec", {}), f"{where}: {called(thing)}"
        if thing["kind"] == "Service":
            found, names = behind(spec.get("selector")), [p["targetPort"] for p in spec["ports"]]
        elif thing["kind"] == "NetworkPolicy":
            found = behind(spec["podSelector"].get("matchLabels"))
            names = [port["port"] for rule in spec["ingress"] for port in rule["ports"]]
        elif thing["kind"] == "PodDisruptionBudget":
            found, names = behind(spec["selector"]["matchLabels"]), []
        elif thing["kind"] == "PodMonitor":
            found = behind(spec["selector"]["matchLabels"])
            names = [endpoint["port"] for endpoint in spec["podMetricsEndpoints"]]
            jobs = [r.get("replacement") for e in spec["podMetricsEndpoints"] for r in e.get("relabelings", [])]
            must(jobs == ["standin"], f"{what}: the job is called {jobs}")
        elif thing["kind"] == "ServiceMonitor":
            wanted = spec["selector"]["matchLabels"]
            found = [s for s in things if s["kind"] == "Service" and chosen(wanted, s["metadata"].get("labels", {}))]
            must(len(found) == 1, f"{what}: {len(found)} services are chosen")
            for service in found:
                job = service["metadata"]["labels"].get(spec["jobLabel"])
                must(job == "standin", f"{what}: the job is called {job}")
                have = {port["name"] for port in service["spec"]["ports"]}
                must({e["port"] for e in spec["endpoints"]} <= have, f"{what}: ports {have}")
            continue
        elif thing["kind"] == "HorizontalPodAutoscaler":
            wanted = spec["scaleTargetRef"]
            found = [t for t in things if (t["kind"], t["metadata"]["name"]) == (wanted["kind"], wanted["name"])]
            if must(found, f"{what}: there is no {wanted['kind']} {wanted['name']}"):
                must("replicas" not in found[0]["spec"], f"{what}: two say how many replicas")
            continue
        else:
            continue
        if must(found, f"{what}: chooses no pod"):
            for name in names:
                must(all(name in port_names(pod) for pod in found), f"{what}: no port {name}")


def look(folder, where, standin, temporary, kinds):
    """Everything about one kustomization."""
    things = render(folder)
    for thing in things:
        fits(thing, where)
    if WRONG:
        # What is not in form cannot be looked into.
        return things
    have = {thing["kind"] for thing in things}
    must(kinds <= have, f"{where}: no {kinds - have}")
    services(things, where)
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    for workload in (t for t in things if t["kind"] in WORKLOADS):
        pod = Pod(workload, things, where)
        pod.rights()
        pod.mounts()
        if container := pod.standin():
            pod.must(container["image"] == f"standin:{version}", f"image {container['image']}")
            if config := pod.configuration(container, standin, temporary):
                pod.ports(container, config)
                pod.end(container, config)
    return things


OTHERS = """
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: chosen, labels: { standin-sidecar: "true" } }
spec:
  selector: { matchLabels: { app: chosen } }
  template:
    metadata: { labels: { app: chosen } }
    spec:
      initContainers: [{ name: migrate, image: migrate }]
      containers: [{ name: chosen, image: chosen }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: other }
spec:
  selector: { matchLabels: { app: other } }
  template:
    metadata: { labels: { app: other } }
    spec: { containers: [{ name: other, image: other }] }
"""


def rendered(temporary, kustomization, **files):
    """A kustomization of a user's own, in whose text PATH is the project."""
    with tempfile.TemporaryDirectory(dir=temporary) as folder:
        folder = pathlib.Path(folder).resolve()
        for name, text in files.items():
            (folder / f"{name}.yaml").write_text(text)
        # kustomize takes no absolute path.
        up = "../" * (len(folder.parts) - 1)
        text = kustomization.replace("PATH", f"{up}{ROOT.relative_to('/')}")
        (folder / "kustomization.yaml").write_text(text)
        return render(folder)


def as_told(temporary):
    """What deploy/README.md tells users to write works: an overlay over the
    gateway, and the component beside workloads. The sidecar goes into what asks
    for it, before its other init containers, and nowhere else."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "deploy/README.md").read_text(), re.DOTALL)
    blocks = [block for block in blocks if "resources: [" in block]
    if not must(len(blocks) == 2, f"deploy/README.md: {len(blocks)} kustomizations"):
        return
    own = rendered(temporary, blocks[0], standin="of: their own\n")
    texts = [t["data"]["standin.yaml"] for t in own if t["kind"] == "ConfigMap"]
    must(texts == ["of: their own\n"], f"deploy/README.md: the gateway is given {texts}")
    images = {c["image"] for t in own if t["kind"] == "StatefulSet" for c in t["spec"]["template"]["spec"]["containers"]}
    must(images and all(i.startswith("registry.example.com/") for i in images), f"deploy/README.md: images {images}")

    things = rendered(temporary, blocks[1], deployment=OTHERS)
    pods = {t["metadata"]["name"]: t["spec"]["template"]["spec"] for t in things if t["kind"] in WORKLOADS}
    names = [container["name"] for container in pods["chosen"]["initContainers"]]
    must(names == ["standin", "migrate"], f"component sidecar: init containers {names}")
    must("initContainers" not in pods["other"], "component sidecar: is put where nobody asks for it")


def main():
    standin, temporary = sys.argv[1:3]
    if "--renew" in sys.argv:
        RULES.write_text(rules())
    must(RULES.read_text() == rules(), f"{RULES.relative_to(ROOT)}: not deploy/prometheus/rules: --renew")
    core = {"ConfigMap", "Service", "ServiceAccount", "StatefulSet"}
    more = {
        "HorizontalPodAutoscaler", "Namespace", "NetworkPolicy", "PodDisruptionBudget",
        "PrometheusRule", "ServiceMonitor",
    }
    look(KUBERNETES / "base", "base", standin, temporary, core)
    gateway = look(KUBERNETES / "overlays/gateway", "gateway", standin, temporary, core | more)
    for thing in gateway:
        if thing["kind"] != "Namespace":
            must(thing["metadata"].get("namespace") == "standin", f"gateway: {called(thing)} is elsewhere")
    sidecar = look(
        KUBERNETES / "overlays/sidecar", "sidecar", standin, temporary,
        {"ConfigMap", "Deployment", "PodMonitor", "PrometheusRule"},
    )
    pods = [Pod(t, sidecar, "sidecar") for t in sidecar if t["kind"] == "Deployment"]
    must(all(pod.sidecars for pod in pods), "sidecar: no native sidecar")
    as_told(temporary)
    if not WRONG:
        print("deploy/kubernetes: base, gateway and sidecar fit Kubernetes "
              f"{OLDEST} and {kubernetes_validate.latest_version()}; {', '.join(sorted(CUSTOM))} by schemas of our own")
    verdict("deploy/kubernetes")


main()
