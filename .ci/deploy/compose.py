"""Looks at deploy/compose: against the schema of compose files, and whether
what is mounted exists, fits together and is accepted by the binary.

    compose.py STANDIN TEMPORARY SCHEMA
"""

import json
import pathlib
import sys
import tempfile
import tomllib

import jsonschema
import yaml

from checks import ROOT, WRONG, accepted, longest_stop, must, seconds, verdict

COMPOSE = ROOT / "deploy/compose"

# Whose files may be written: their own volumes, and what goes with the process.
USERS = {"standin": "65532:65532", "prometheus": "65534:65534", "grafana": "472:0"}


def mounts(name, service, named):
    """What lies where in a container."""
    found = {}
    for line in service.get("volumes", []):
        source, target, *mode = line.split(":")
        if source.startswith("."):
            path = (COMPOSE / source).resolve()
            must(path.exists(), f"{name}: there is no {source}")
            must(mode == ["ro"], f"{name}: {source} can be written")
            must(path.is_relative_to(ROOT), f"{name}: {source} is not the project's")
            found[target] = path
        else:
            must(source in named, f"{name}: there is no volume {source}")
            found[target] = None
    return found


def rights(name, service):
    """Who it runs as, and what it may."""
    must(service.get("user") == USERS.get(name), f"{name}: runs as {service.get('user')}")
    must(service.get("read_only") is True, f"{name}: its root can be written")
    must(service.get("cap_drop") == ["ALL"], f"{name}: has capabilities")
    must("no-new-privileges:true" in service.get("security_opt", []), f"{name}: may gain privileges")
    for word in ("privileged", "cap_add", "network_mode", "pid", "ipc", "devices"):
        must(word not in service, f"{name}: {word}")
    for port in service.get("ports", []):
        must(port.startswith("127.0.0.1:"), f"{name}: {port} is open to the world")


def standin_of(service, found, binary, temporary):
    """The proxy's own configuration."""
    file = found.get("/etc/standin/standin.yaml")
    if not must(file and file.is_file(), "standin: has no configuration"):
        return {}
    text = file.read_text()
    config = yaml.safe_load(text)
    with tempfile.TemporaryDirectory(dir=temporary) as here:
        here = pathlib.Path(here)
        for secret in service["secrets"]:
            (here / secret).write_text("a-key\n")
        for name, provider in config["providers"].items():
            must("api_key" not in provider, f"standin: provider {name}: a key in the configuration")
        good, said = accepted(binary, text, here, {"/run/secrets": here})
        must(good, f"standin: {said}")
    ledger = str(pathlib.PurePosixPath(config["ledger"]["path"]).parent)
    must(ledger in found and found[ledger] is None, f"standin: {ledger} is no volume")
    stop = seconds(service["stop_grace_period"])
    must(stop > longest_stop(config), f"standin: {stop} s to end; it may take {longest_stop(config)} s")
    published = [port.rsplit(":", 1)[1] for port in service["ports"]]
    must(published == [config["listen"].rsplit(":", 1)[1]], f"standin: publishes {published}")
    must(config.get("keys") and not config.get("allow_anonymous"), "standin: everybody is let in")
    return config


def watchers(services, config):
    """Prometheus finds the proxy and the rules, Grafana both it and the
    dashboard."""
    admin = config["admin"].rsplit(":", 1)[1]
    found = mounts("prometheus", services["prometheus"], {"metrics"})
    watched = yaml.safe_load(found["/etc/prometheus/prometheus.yml"].read_text())
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in watched["scrape_configs"]}
    must(jobs == {"standin": [f"standin:{admin}"]}, f"prometheus: scrapes {jobs}")
    shipped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    for part in ("global", "rule_files"):
        must(watched[part] == shipped[part], f"prometheus: {part} differs from deploy/prometheus")
    rules = found.get("/etc/prometheus/rules")
    must(rules == ROOT / "deploy/prometheus/rules" and list(rules.glob("*.rules.yml")), "prometheus: no rules")

    found = mounts("grafana", services["grafana"], {"grafana"})
    source = yaml.safe_load(found["/etc/grafana/provisioning/datasources/prometheus.yml"].read_text())["datasources"][0]
    must(source["url"] == "http://prometheus:9090", f"grafana: asks {source['url']}")
    same = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    must({**source, "url": same["url"]} == same, "grafana: its data source differs from deploy/grafana")
    folder = found["/etc/grafana/provisioning/dashboards"]
    for file in folder.glob("*.yml"):
        for provider in yaml.safe_load(file.read_text())["providers"]:
            path = provider["options"]["path"]
            boards = [here for target, here in found.items() if target.startswith(f"{path}/")]
            must(boards and all(json.loads(b.read_text())["panels"] for b in boards), f"grafana: nothing in {path}")


def main():
    binary, temporary, schema = sys.argv[1:4]
    compose = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    # The schema is older than this one member.
    must(compose.pop("name", None) == "standin", "its name is the folder's")
    try:
        jsonschema.validate(compose, json.loads(pathlib.Path(schema).read_text()))
    except jsonschema.ValidationError as error:
        path = ".".join(str(part) for part in error.absolute_path)
        must(False, f"{path}: {error.message}")
        verdict("deploy/compose")
    services = compose["services"]
    must(set(services) == set(USERS), f"services {sorted(services)}")
    ignored = (COMPOSE / ".gitignore").read_text().splitlines()
    for name, secret in compose["secrets"].items():
        must(secret["file"].startswith("./secrets/") and "/secrets/" in ignored, f"secret {name} may be committed")
    for name, service in services.items():
        rights(name, service)
        mounts(name, service, compose["volumes"])
        for secret in service.get("secrets", []):
            must(secret in compose["secrets"], f"{name}: there is no secret {secret}")
        networks = set(service["networks"])
        must("inside" in networks and networks <= set(compose["networks"]), f"{name}: networks {networks}")
    standin = services["standin"]
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    must(standin["image"] == f"standin:{version}", f"standin: image {standin['image']}")
    build = standin["build"]
    file = (COMPOSE / build["context"] / build["dockerfile"]).resolve()
    must(file == ROOT / "deploy/image/Containerfile", f"standin: is built of {file}")
    found = mounts("standin", standin, compose["volumes"])
    if config := standin_of(standin, found, binary, temporary):
        watchers(services, config)
    if not WRONG:
        print("deploy/compose: fits the schema; every file is there, and the configuration is good")
    verdict("deploy/compose")


main()
