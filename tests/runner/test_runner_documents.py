"""A whole run over documents: what the services hold is what plan and artefact say, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import docx
import httpx
import openpyxl
from reportlab.pdfgen.canvas import Canvas

from pytest_eng5.contracts import text_sha256
from pytest_eng5.evidence import EndReason, load_evidence, read_plan
from pytest_eng5.runner import AnchorAlignHandler, Environment, RunnerSettings, RunSpec, read_inventory
from pytest_eng5.scenario import load_scenario

TEXTS = {
    "a.docx": "The first essay – åäö.\n\nIts second paragraph.\n",
    "b.pdf": "The second essay.\nIts second line.\n",
    "c.txt": "The third essay.\nIts second line.\n",
    "d.md": "# The fourth essay\n\nIts text.\n",
}


def write_inputs(folder: Path) -> None:
    anchors = folder / "anchors"
    anchors.mkdir(parents=True)
    document = docx.Document()
    for paragraph in TEXTS["a.docx"].strip().split("\n\n"):
        document.add_paragraph(paragraph)
    document.save(str(anchors / "a.docx"))
    canvas = Canvas(str(anchors / "b.pdf"))
    for number, line in enumerate(TEXTS["b.pdf"].splitlines()):
        canvas.drawString(72, 700 - 14 * number, line)
    canvas.save()
    (anchors / "c.txt").write_bytes(TEXTS["c.txt"].replace("\n", "\r\n").encode("utf-16"))
    (anchors / "d.md").write_text(TEXTS["d.md"], encoding="utf-8-sig")
    book = openpyxl.Workbook()
    for row in (
        ("ANCHOR-ID", "FILE-NAME", "GRADE"),
        *((n[0], n, g) for n, g in zip(TEXTS, "ABCD", strict=True)),
    ):
        book.active.append(row)
    book.save(folder / "anchors.xlsx")


def test_what_is_uploaded_is_what_is_recorded(
    environment: Environment, finalise: Any, tmp_path: Path
) -> None:
    write_inputs(tmp_path / "inputs")
    path = tmp_path / "documents.eng5.yaml"
    path.write_text("scenario: documents\ninputs: inputs\nvariants: [{id: only}]\n", encoding="utf-8")
    spec = RunSpec(load_scenario(path).variants[0])
    settings = RunnerSettings(spec, environment, finalise)
    inventory = read_inventory(spec.variant.inputs_dir)
    code = AnchorAlignHandler().execute(settings, inventory, spec.paths(tmp_path / "session"))
    root, ending = finalise.calls[-1]
    assert (code, ending.reason) == (0, EndReason.COMPLETED)
    evidence, plan = load_evidence(root), read_plan(root / "plan.json")
    assert evidence.request_data is not None
    stored = {
        essay.essay_id: httpx.get(f"{environment.content_url}/{essay.text_storage_id}").content.decode()
        for essay in evidence.request_data.essays_for_cj
    }
    assert {essay.file_name: stored[essay.essay_id] for essay in plan.essays} == TEXTS
    artefact = json.loads((root / "assessment_run.anchor-align-test.json").read_text(encoding="utf-8"))
    recorded = {essay["file_name"]: essay["checksum"] for essay in artefact["inputs"]["anchors"]}
    assert recorded == {name: text_sha256(text) for name, text in TEXTS.items()}
    assert recorded == {essay.file_name: essay.checksum for essay in plan.essays}
