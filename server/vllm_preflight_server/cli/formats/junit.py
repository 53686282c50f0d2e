"""JUnit's XML: a test case for each server."""

from __future__ import annotations

from xml.etree import ElementTree

from vllm_preflight.contract.manifest import ManifestResponse, ServerReport
from vllm_preflight_server.cli.formats.results import results


def junit_text(response: ManifestResponse) -> str:
    """A suite whose cases fail where a server would not start."""
    cases = [_case(row) for row in response.servers]
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
    }
    suite = ElementTree.Element("testsuite", {"name": "vllm-preflight", **counts})
    suite.extend(cases)
    root = ElementTree.Element("testsuites", counts)
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _case(row: ServerReport) -> ElementTree.Element:
    name = _printable(row.name)
    case = ElementTree.Element(
        "testcase", {"name": name, "classname": _printable(row.file), "file": _printable(row.file)}
    )
    case.set("line", str(row.decides or row.line))
    notes: list[str] = []
    for item in results(ManifestResponse(servers=[row])):
        text = _printable(item.text)
        if item.level == "error":
            kind = "error" if item.rule == "not-answered" else "failure"
            found = ElementTree.SubElement(case, kind, {"type": item.rule, "message": text})
            found.text = f"{_printable(item.file)}:{item.line}: {text}"
        else:
            notes.append(text)
    if row.verdict is not None and row.verdict.outcome == "not_modelled":
        ElementTree.SubElement(case, "skipped", {"message": _printable(row.verdict.sentence)})
    if notes:
        ElementTree.SubElement(case, "system-out").text = "\n".join(notes)
    return case


def _printable(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(char if char.isprintable() else " " for char in text)
