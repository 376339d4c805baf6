"""The rules' file: whether every alert says what it must, and the pieces of an
expression that can be asked for on their own."""

import re
from pathlib import Path

FOLDER = Path("deploy/prometheus")
# Between the pieces: what compares and what combines.
BETWEEN = re.compile(
    r"(?:\b(?:and|or|unless)\b(?:\s*\b(?:on|ignoring)\b\s*\([^)]*\))?|[<>=!]=|[<>])(?:\s*bool\b)?"
)


def problems(rules):
    """What is wrong with the alerts as Prometheus has read them."""
    runbook = (FOLDER / "RUNBOOK.md").read_text()
    sections = [line[3:].strip() for line in runbook.splitlines() if line.startswith("## ")]
    tests = "".join(file.read_text() for file in sorted(FOLDER.glob("tests/*.yml")))
    alerts = [rule for rule in rules if rule["type"] == "alerting"]
    for rule in alerts:
        name, notes = rule["name"], rule["annotations"]
        for annotation in ("summary", "description", "runbook"):
            if not notes.get(annotation):
                yield f"alert {name}: no {annotation}"
        if not notes.get("runbook", "").endswith(f"RUNBOOK.md#{name.lower()}"):
            yield f"alert {name}: its runbook line does not name its section"
        if name not in sections:
            yield f"alert {name}: RUNBOOK.md has no section of that name"
        if rule["labels"].get("severity") not in ("critical", "warning", "info"):
            yield f"alert {name}: no severity"
        if f'alertname="{name}", alertstate="firing"' not in tests:
            yield f"alert {name}: no test sees it fire"
    names = {rule["name"] for rule in alerts}
    yield from (f"RUNBOOK.md: no alert {name}" for name in sections if name not in names)
    for rule in rules:
        if rule["type"] == "recording" and not re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", rule["name"]):
            yield f"record {rule['name']}: not level:metric:operations"


def pieces(expression):
    """The expressions between comparisons, `and`, `or` and `unless`; what only
    asks for absence or for another day is asked for as it is now."""
    expression = re.sub(r"absent\(([^()]*)\)", r"\1", expression)
    expression = re.sub(r"\boffset \w+", "", expression)
    found, piece, depth, at = [], "", 0, 0
    while at < len(expression):
        char = expression[at]
        if char in "\"'":
            end = expression.index(char, at + 1) + 1
            piece, at = piece + expression[at:end], end
            continue
        between = BETWEEN.match(expression, at) if depth == 0 else None
        if between and not (piece and piece[-1].isalnum() and between[0][0].isalpha()):
            found.append(piece)
            piece, at = "", between.end()
            continue
        depth += (char in "([{") - (char in ")]}")
        piece, at = piece + char, at + 1
    found.append(piece)
    for piece in found:
        # A factor before a threshold that is itself a query.
        piece = re.sub(r"^\s*[\d.]+\s*\*", "", piece).strip()
        if piece and not re.fullmatch(r"[\d.]+", piece):
            yield piece
