"""Write the JSON Schemas of everything that crosses the wire or lies on disk into ``schemas/``.

``--check`` writes nothing, names the files that differ from the models and ends with status 1 if any does.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pytest_eng5.contracts import event_schemas
from pytest_eng5.evidence import (
    AssignmentContext,
    FaultsFile,
    FindingsFile,
    InventorySnapshot,
    Manifest,
    RunPlan,
    artefact_1_0_json_schema,
    artefact_json_schema,
    json_bytes,
)
from pytest_eng5.reports import Summary
from pytest_eng5.reports.comparison_model import Comparison
from pytest_eng5.scenario import scenario_json_schema

FOLDER = Path(__file__).resolve().parent.parent / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

FILES: dict[str, tuple[type[BaseModel], str]] = {
    "assignment": (AssignmentContext, "Assignment of a run, assignment.json"),
    "comparison": (Comparison, "Comparison of variants, comparison_report.json"),
    "faults": (FaultsFile, "Planted faults of a run, faults.json"),
    "findings": (FindingsFile, "Findings of a run, findings.json"),
    "inventory": (InventorySnapshot, "Snapshot of mode plan, inventory.json"),
    "manifest": (Manifest, "Manifest of a run, manifest.json"),
    "plan": (RunPlan, "Plan of a run, plan.json"),
    "summary": (Summary, "Summary of a session, summary.json"),
}


def schemas() -> dict[str, bytes]:
    """Content of every schema file by its path below ``schemas/``, sorted."""
    documents: dict[str, dict[str, Any]] = {
        f"events/{name}.schema.json": schema for name, schema in event_schemas().items()
    }
    for name, (model, title) in FILES.items():
        body = model.model_json_schema(mode="validation")
        documents[f"{name}.schema.json"] = {"$schema": DIALECT, **body, "title": title}
    documents["assessment_run.schema.json"] = artefact_json_schema()
    documents["assessment_run.1.0.schema.json"] = artefact_1_0_json_schema()
    documents["scenario.schema.json"] = scenario_json_schema()
    return {name: json_bytes(documents[name]) for name in sorted(documents)}


def differences(folder: Path) -> list[str]:
    """Files that are missing, differ from the models, or belong to nothing."""
    wanted = schemas()
    present = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.json")}
    problems = [f"{name}: missing" for name in wanted if name not in present]
    problems += [f"{name}: belongs to no model" for name in sorted(present) if name not in wanted]
    problems += [
        f"{name}: differs from the models"
        for name, content in wanted.items()
        if name in present and present[name].read_bytes() != content
    ]
    return problems


def write(folder: Path) -> None:
    """Write all schemas and remove those that belong to nothing any more."""
    wanted = schemas()
    for path in folder.rglob("*.json"):
        if path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
    for name, content in wanted.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def main(arguments: list[str] | None = None) -> int:
    """Write the schemas, or compare them with the models."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail on any difference")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="default: schemas/ of this repository")
    options = parser.parse_args(arguments)
    if not options.check:
        write(options.folder)
        return 0
    problems = differences(options.folder)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print("run: python scripts/generate_schemas.py", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
