"""Results in the formats that build servers and code scanners read: SARIF 2.1.0 and JUnit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from antivenom.core.console import printable
from antivenom.core.files import STAMP, atomic_write
from antivenom.evaluation.canary_report import CanaryReport
from antivenom.evaluation.taxonomy import ATLAS_DATA, ATLAS_MODEL, OWASP
from antivenom.screening.evidence import Evidence

Outcome = Literal["passed", "failed", "open"]
"""`open`: neither passed nor failed is shown."""
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
KINDS: dict[Outcome, tuple[str, str]] = {
    "passed": ("pass", "none"),
    "failed": ("fail", "error"),
    "open": ("open", "none"),
}
"""SARIF's kind and level of each outcome."""


@dataclass(frozen=True)
class Rule:
    """One kind of result."""

    id: str
    """Stable name."""
    what: str
    """What it says, in a sentence."""
    taxonomy: tuple[tuple[str, str], ...]
    """(id, name) in the catalogs of OWASP and MITRE."""


CANARY = Rule("canary", "A planted backdoor of a known kind gets through this pipeline.", (OWASP, ATLAS_MODEL))
PLANTED = Rule("planted-feature", "Rows that share a feature contradict their own label.", (OWASP, ATLAS_DATA))


@dataclass(frozen=True)
class Case:
    """One result."""

    rule: Rule
    """What kind."""
    name: str
    """Which one."""
    outcome: Outcome
    """How it ended."""
    message: str
    """Why, in words."""
    rows: tuple[int, ...] = ()
    """Numbers of rows that show it."""


def cases_of_check(report: CanaryReport) -> list[Case]:
    """One case for each canary; all are open where the control learned nothing."""
    outcomes: dict[str, Outcome] = {"passed": "passed", "backdoor": "failed", "accuracy_lost": "failed"}
    untold = report.verdict == "inconclusive" and all(result.verdict == "passed" for result in report.results)
    if untold:
        outcomes = {}
    cases = [
        Case(CANARY, result.family, outcomes.get(result.verdict, "open"), f"{result.verdict}: {result.reason}")
        for result in report.results
    ]
    if untold:
        cases.append(Case(CANARY, "control", "open", "the control, which nobody poisoned, learned next to nothing"))
    return cases


def cases_of_evidence(evidence: Evidence) -> list[Case]:
    """One failed case for each finding, or one that passed where there is none; leads are no alarm and left out."""
    cases = [
        Case(
            PLANTED,
            finding.what,
            "failed",
            f"{finding.what!r} stands in {finding.rows} rows, {finding.rows_of_output} of them {finding.output!r}; the "
            f"other words of these rows speak against it by {finding.contradiction:.1f} standard deviations",
            finding.affected,
        )
        for finding in evidence.findings
    ]
    return cases or [Case(PLANTED, "rows", "passed", f"nothing in {evidence.rows} rows raises an alarm")]


def sarif(cases: Sequence[Case], source: str) -> dict[str, Any]:
    """The cases as a SARIF 2.1.0 log.

    Args:
        cases: The results.
        source: The file or name of the rows they are about.
    """
    rules = {case.rule.id: case.rule for case in cases}
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "antivenom",
                        "version": _version(),
                        "rules": [_sarif_rule(rule) for rule in rules.values()],
                    }
                },
                "results": [_sarif_result(case, source) for case in cases],
                "properties": {"writer": STAMP},
            }
        ],
    }


def junit(cases: Sequence[Case], source: str) -> str:
    """The cases as JUnit's XML; open ones count as skipped.

    Args:
        cases: The results.
        source: The file or name of the rows they are about.
    """
    counts = {outcome: str(sum(case.outcome == outcome for case in cases)) for outcome in KINDS}
    suite = ElementTree.Element(
        "testsuite",
        {"name": "antivenom", "tests": str(len(cases)), "failures": counts["failed"], "skipped": counts["open"]},
    )
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in (("source", _plain(source)), ("version", _version()), ("writer", STAMP)):
        ElementTree.SubElement(properties, "property", {"name": key, "value": value})
    for case in cases:
        names = {"classname": f"antivenom.{case.rule.id}", "name": _plain(case.name)}
        element = ElementTree.SubElement(suite, "testcase", names)
        if case.outcome == "passed":
            continue
        ids = ", ".join(number for number, _ in case.rule.taxonomy)
        kind = "failure" if case.outcome == "failed" else "skipped"
        child = ElementTree.SubElement(element, kind, {"message": f"{_plain(case.message)} ({ids})"})
        if case.rows:
            child.text = f"rows {', '.join(map(str, case.rows))}"
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def write_reports(cases: Sequence[Case], source: str, *, sarif_path: str | None, junit_path: str | None) -> None:
    """Write the files that are asked for."""
    if sarif_path is not None:
        with atomic_write(Path(sarif_path)) as file:
            file.write(json.dumps(sarif(cases, source), indent=2, ensure_ascii=False) + "\n")
    if junit_path is not None:
        with atomic_write(Path(junit_path)) as file:
            file.write(junit(cases, source))


def _sarif_rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.what},
        "properties": {"tags": ["security", *(number for number, _ in rule.taxonomy)]},
    }


def _sarif_result(case: Case, source: str) -> dict[str, Any]:
    kind, level = KINDS[case.outcome]
    properties = {"name": case.name, "taxonomy": [name for _, name in case.rule.taxonomy]}
    return {
        "ruleId": case.rule.id,
        "kind": kind,
        "level": level,
        "message": {"text": printable(f"{case.name}: {case.message}")},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(source)}}}],
        "properties": {**properties, "rows": list(case.rows)} if case.rows else properties,
    }


def _uri(source: str) -> str:
    """A reference that SARIF allows; only the last part of an absolute path, which says nothing on another machine."""
    from urllib.parse import quote

    path = Path(source)
    return quote(path.name if path.is_absolute() else path.as_posix())


def _plain(text: str) -> str:
    """A text without what XML 1.0 cannot hold."""
    return printable(text).replace("\n", " ")


def _version() -> str:
    try:
        return version("antivenom")
    except PackageNotFoundError:
        return "0"
