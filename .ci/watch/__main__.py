"""Runs every expression of the dashboard and of the rules against a Prometheus
that scrapes a Standin to which everything happens."""

import math
import re
import signal
import subprocess
import sys
import time

import dashboard
import rules
from stage import KEYS, Stage
from traffic import Traffic

# How long everything may take to have happened.
PATIENCE = 75

# Every family and its type.
FAMILIES = {
    "gen_ai_server_request_duration_seconds": "histogram",
    "gen_ai_server_time_to_first_token_seconds": "histogram",
    "gen_ai_server_time_per_output_token_seconds": "histogram",
    "gen_ai_client_token_usage": "histogram",
    "standin_requests_total": "counter",
    "standin_attempts_total": "counter",
    "standin_drills_total": "counter",
    "standin_failovers_total": "counter",
    "standin_skips_total": "counter",
    "standin_overhead_seconds": "histogram",
    "standin_tokens_total": "counter",
    "standin_cost_usd_total": "counter",
    "standin_target_state": "gauge",
    "standin_ratelimit_remaining": "gauge",
    "standin_in_flight": "gauge",
    "standin_connections": "gauge",
    "standin_overloaded_total": "counter",
    "standin_tls_handshakes_failed_total": "counter",
    "standin_config_reloads_total": "counter",
    "standin_build_info": "gauge",
    "standin_config_last_reload_accepted": "gauge",
    "standin_ledger_pending": "gauge",
    "standin_ledger_trouble": "gauge",
    "standin_ledger_lost_total": "counter",
    "standin_ledger_damaged_total": "counter",
}

# What must have happened before anything else is judged.
HAPPENS = {
    ("standin_requests_total", "outcome"): "answered client_gone cut drilled failed refused",
    ("standin_requests_total", "endpoint"): "chat/completions completions embeddings responses",
    ("standin_attempts_total", "outcome"): "answered auth bad_answer client_gone connect "
    "context_length cut forbidden moderated not_found rate_limited rejected reset timeout unavailable",
    ("standin_skips_total", "reason"): "cooling credential not_allowed open probing quota unknown",
    ("standin_target_state", "state"): "healthy cooling open probing",
    ("standin_tokens_total", "kind"): "input cached output reasoning",
    ("standin_cost_usd_total", "key"): "search batch",
    ("standin_ratelimit_remaining", "kind"): "requests tokens",
    ("standin_config_reloads_total", "result"): "accepted rejected",
    ("gen_ai_client_token_usage_count", "gen_ai_token_type"): "input output",
    ("gen_ai_server_request_duration_seconds_count", "gen_ai_operation_name"): "chat text_completion embeddings",
}

# What is read of Prometheus; no value of a label has a brace.
SELECTOR = re.compile(r"\b[a-z_:0-9]+\{[^}]*\}")


class Watch:
    def __init__(self, stage):
        self.stage = stage
        self.began = time.time() - 1
        self.board = dashboard.read()

    def data(self, expression, at_once=False):
        """Whether there are numbers, or what is wrong."""
        now = time.time()
        if at_once:
            answer, why = self.stage.ask("query", query=expression, time=now)
        else:
            answer, why = self.stage.ask("query_range", query=expression, start=self.began, end=now, step="1s")
        if why:
            return why
        values = (value for series in answer["result"] for value in series.get("values", [series.get("value")]))
        return None if any(math.isfinite(float(value)) for _, value in values) else "no data"

    def happened(self):
        """What has not happened yet."""
        for (name, label), values in HAPPENS.items():
            for value in values.split():
                # At the end of each second of the run: states come and go.
                why = self.data(f'{name}{{job="standin", {label}="{value}"}} > 0')
                if why:
                    yield f"{name} with {label}={value}: {why}"

    def choices(self):
        """Every way to choose in the dashboard's variables: All, each value."""
        all_of, each_of = {}, {}
        for name, selector, label, all_value in dashboard.variables(self.board):
            selector = dashboard.filled_in(selector, each_of, {})
            values, why = self.stage.ask(f"label/{label}/values", **{"match[]": selector})
            if why or not values:
                yield f"variable ${name}: {why or 'no values'}"
                return
            each_of[name] = dashboard.chosen(values)
            all_of[name] = all_value or each_of[name]
        yield all_of
        yield each_of

    def empty_queries(self):
        """The dashboard's queries without data."""
        interval = {
            "__rate_interval": "4s",
            "__interval": "1s",
            "__range": f"{math.ceil(time.time() - self.began)}s",
        }
        for choice in self.choices():
            if isinstance(choice, str):
                yield choice
                continue
            for where, expression, at_once, _ in dashboard.queries(self.board):
                expression = dashboard.filled_in(expression, choice, interval)
                # An `or` hides a side that has no data: each is looked at.
                for part in [expression, *SELECTOR.findall(expression)]:
                    why = self.data(part, at_once and part == expression)
                    if why:
                        yield f"{where}: {why}: {part}"

    def rules(self):
        answer, why = self.stage.ask("rules")
        assert not why, why
        return [rule for group in answer["groups"] for rule in group["rules"]]

    def empty_rules(self):
        """Rules that Prometheus cannot evaluate, or that look at nothing."""
        for rule in self.rules():
            if rule["health"] != "ok":
                yield f"rule {rule['name']}: {rule['health']} {rule.get('lastError', '')}"
            parts = [rule["query"]] if rule["type"] == "recording" else list(rules.pieces(rule["query"]))
            parts += [rule["name"]] if rule["type"] == "recording" else []
            for part in parts:
                why = self.data(part)
                if why:
                    yield f"rule {rule['name']}: {why}: {part}"
            for selector in SELECTOR.findall(rule["query"]):
                why = self.data(selector)
                if why:
                    yield f"rule {rule['name']}: {why}: {selector}"
            for alert in rule.get("alerts", []):
                for note in alert["annotations"].values():
                    if "error expanding template" in note:
                        yield f"alert {rule['name']}: {note}"

    def families(self, text):
        """What is wrong with `/metrics`."""
        types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
        helps = dict(re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE))
        for name, kind in FAMILIES.items():
            if types.get(name) != kind:
                yield f"/metrics: {name} is {types.get(name, 'missing')}, and should be a {kind}"
            if len(helps.get(name, "")) < 20:
                yield f"/metrics: {name} has no help"
        yield from (f"/metrics: nobody knows {name}" for name in types.keys() - FAMILIES.keys())
        linted = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
        if linted.returncode or linted.stdout or linted.stderr:
            yield f"promtool check metrics: {linted.stdout}{linted.stderr}"
        shown = " ".join(expression for _, expression, _, _ in dashboard.queries(self.board))
        told = "".join(rule["query"] for rule in self.rules())
        names = re.compile(r"\b(?:standin|gen_ai)_\w+(?=[\[{])")
        for name in {*names.findall(shown), *names.findall(told)}:
            if re.sub(r"_(bucket|sum|count)$", "", name) not in FAMILIES:
                yield f"nobody tells {name}"
        yield from (f"the dashboard does not show {name}" for name in FAMILIES if name not in shown)


def settle(watch, patience):
    """Waits until everything has happened and every query has data; what is
    left of it when time is over."""
    end = time.monotonic() + patience
    wrong, is_good = ["nothing was looked at"], True
    looks = [watch.happened, watch.empty_queries, watch.empty_rules]
    while wrong and time.monotonic() < end:
        is_good = not is_good
        watch.stage.reload(is_good)
        wrong = []
        for look in looks:
            wrong = list(look())
            if wrong:
                break
        if wrong:
            time.sleep(0.5)
    watch.stage.reload(True)
    return wrong


def fail(wrong):
    raise SystemExit("\n".join(f"wrong: {line}" for line in wrong))


def main(standin, load_tests, folder):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    wrong = dashboard.problems(dashboard.read())
    if wrong:
        fail(wrong)
    stage = Stage(standin, load_tests, folder)
    traffic = Traffic(stage.listen, KEYS)
    try:
        watch = Watch(stage)
        wrong = list(rules.problems(watch.rules()))
        if wrong:
            fail(wrong)
        traffic.start()
        wrong = settle(watch, PATIENCE) + list(watch.families(stage.metrics())) + traffic.wrong[:5]
        traffic.stop()
        if wrong:
            fail(wrong)
        print(f"{len(list(dashboard.queries(watch.board)))} queries of the dashboard and "
              f"{len(watch.rules())} rules have data after {time.time() - watch.began:.0f} s")
    finally:
        stage.end()


main(*sys.argv[1:])
