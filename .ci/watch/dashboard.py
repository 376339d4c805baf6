"""The dashboard's file: what can be said of it without running it, and its
expressions as Grafana would send them."""

import json
import re
from pathlib import Path

FILE = Path("deploy/grafana/standin.json")
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Label values that are no configuration's, so that they may stand in a query.
HARD_CODED = re.compile(r'(instance|job|model|provider|key|from|to)\s*=~?\s*"(?!\$)')


def read():
    return json.loads(FILE.read_text())


def panels(board):
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", [])


def problems(board):
    """What is wrong with it, one line each."""
    found = []
    ids = [panel["id"] for panel in panels(board)]
    found += [f"panel id {id} is there twice" for id in {id for id in ids if ids.count(id) > 1}]
    found += overlaps(board)
    names = {variable["name"] for variable in board["templating"]["list"]}
    if next(iter(board["templating"]["list"]))["type"] != "datasource":
        found.append("the first variable is not the data source")
    if "__inputs" in board or board.get("id") is not None:
        found.append("it is an export for one Grafana and not a dashboard for all")
    for variable in board["templating"]["list"]:
        if variable["type"] == "query" and not (variable["includeAll"] and variable["multi"]):
            found.append(f"variable {variable['name']} knows no All")
    for panel in panels(board):
        if panel["type"] == "row":
            continue
        where = f"panel {panel['id']} ({panel['title']})"
        if not panel.get("description"):
            found.append(f"{where}: no description")
        if not panel["fieldConfig"]["defaults"].get("unit"):
            found.append(f"{where}: no unit")
        if not panel.get("targets"):
            found.append(f"{where}: no query")
    for where, expression, _, datasource in queries(board):
        if not expression:
            found.append(f"{where}: no expression")
        if datasource != DATASOURCE:
            found.append(f"{where}: the data source is no variable")
        if HARD_CODED.search(expression):
            found.append(f"{where}: a label's value is hard-coded in {expression}")
        used = set(re.findall(r"\$\{?(\w+)", expression))
        found += [f"{where}: no variable ${name}" for name in used - names if not name.startswith("__")]
    return found


def overlaps(board):
    taken = {}
    for panel in panels(board):
        place = panel["gridPos"]
        if place["x"] + place["w"] > 24:
            yield f"panel {panel['id']} is wider than the page"
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), panel["id"])
                if other != panel["id"]:
                    yield f"panels {other} and {panel['id']} overlap at {x}, {y}"
                    return


def queries(board):
    """Where, expression, whether it is asked for one moment, data source."""
    for panel in panels(board):
        for target in panel.get("targets", []):
            where = f"panel {panel['id']} ({panel['title']}), query {target['refId']}"
            yield where, target.get("expr", ""), target.get("instant", False), target.get("datasource")
            if panel.get("datasource") != target.get("datasource"):
                yield where, "", False, panel.get("datasource")
    for note in board["annotations"]["list"]:
        if "expr" in note:
            yield f"annotation {note['name']}", note["expr"], False, note["datasource"]


def variables(board):
    """Name, metric (may be a selector), label, what All stands for (or nothing)."""
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            query = variable["query"]["query"]
            selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups()
            yield variable["name"], selector, label, variable.get("allValue")


def filled_in(expression, values, interval):
    """The expression with every variable replaced."""
    for name, value in [*interval.items(), *values.items()]:
        expression = re.sub(rf"\$(?:{name}\b|\{{{name}(?::\w+)?\}})", lambda _: value, expression)
    assert "$" not in expression, expression
    return expression


def chosen(values):
    """Several values of a variable, as they are put into a regular expression
    within a string."""
    escaped = [re.sub(r"([\\^$*+?.()|\[\]{}])", r"\\\\\1", value) for value in values]
    return escaped[0] if len(escaped) == 1 else "(" + "|".join(escaped) + ")"
