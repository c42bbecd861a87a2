"""The schemas in ``schemas/`` are those of the models, and real files satisfy them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml

from pytest_eng5.contracts import PAYLOADS
from pytest_eng5.evidence import Finding, FindingsFile, Manifest, ManifestEntry

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = ROOT / "schemas"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "generate_schemas", ROOT / "scripts" / "generate_schemas.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.schema.json").read_bytes())


def problems(name: str, document: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(schema(name)).iter_errors(document)]


def test_the_files_in_git_are_those_of_the_models(generator: ModuleType) -> None:
    assert generator.differences(SCHEMAS) == [], "run: python scripts/generate_schemas.py"


def test_every_file_is_a_schema() -> None:
    files = sorted(SCHEMAS.rglob("*.json"))
    assert len(files) == len(PAYLOADS) + 11
    for path in files:
        document = json.loads(path.read_bytes())
        jsonschema.Draft202012Validator.check_schema(document)
        assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema", path.name
        assert document["title"], path.name


def test_there_is_a_schema_for_every_event() -> None:
    names = {path.name.removesuffix(".schema.json") for path in (SCHEMAS / "events").iterdir()}
    assert names == {event.value for event in PAYLOADS}


def test_generating_twice_gives_the_same_bytes(generator: ModuleType, tmp_path: Path) -> None:
    assert generator.main(["--folder", str(tmp_path)]) == 0
    first = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert generator.main(["--folder", str(tmp_path)]) == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == first
    assert generator.main(["--check", "--folder", str(tmp_path)]) == 0


def test_differences_are_named(
    generator: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator.main(["--folder", str(tmp_path)])
    (tmp_path / "plan.schema.json").write_text("{}")
    (tmp_path / "summary.schema.json").unlink()
    (tmp_path / "stray.schema.json").write_text("{}")
    assert generator.main(["--check", "--folder", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "plan.schema.json: differs from the models" in said
    assert "summary.schema.json: missing" in said
    assert "stray.schema.json: belongs to no model" in said
    assert "run: python scripts/generate_schemas.py" in said
    generator.main(["--folder", str(tmp_path)])
    assert generator.differences(tmp_path) == []


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.eng5.y*ml")), ids=lambda path: path.name)
def test_shipped_scenarios_satisfy_the_schema(path: Path) -> None:
    assert problems("scenario", yaml.safe_load(path.read_text())) == []


def test_a_misspelt_key_does_not_satisfy_it() -> None:
    document = yaml.safe_load((ROOT / "scenarios" / "anchor_align.eng5.yaml").read_text())
    document["treshold"] = {}
    assert any("treshold" in problem for problem in problems("scenario", document))


def test_findings_and_manifests_satisfy_theirs() -> None:
    finding = Finding(code="META-MISSING", severity="error", message="m", check="metadata")
    document = FindingsFile(findings=(finding,)).model_dump(mode="json", exclude_none=True)
    assert problems("findings", document) == []
    document["findings"][0]["severity"] = "ERROR"
    assert problems("findings", document)
    entry = ManifestEntry(path="plan.json", sha256="0" * 64, bytes=3)
    manifest = Manifest(files=(entry,)).model_dump(mode="json")
    assert problems("manifest", manifest) == []
    manifest["files"][0]["sha256"] = "xyz"
    assert problems("manifest", manifest)
