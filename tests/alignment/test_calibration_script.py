"""The calibration study: it runs, and the committed page is one that it wrote."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def study() -> ModuleType:
    spec = importlib.util.spec_from_file_location("calibration", ROOT / "scripts" / "calibration.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def headings(page: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith(("#", "| judge", "| figure"))]


def test_a_small_study_and_the_committed_page(
    study: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "JUDGES", {"fair": study.JUDGES["fair"]})
    monkeypatch.setattr(study, "OTHER_RANKS", {8: study.OTHER_RANKS[8]})
    monkeypatch.setattr(study, "TRUTH", 40)
    monkeypatch.setattr(study, "RESAMPLES", 40)
    study.main(["--replicates", "2", "--out", str(tmp_path / "page.md")])
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    committed = (ROOT / "docs" / "calibration.md").read_text(encoding="utf-8")
    assert headings(page) == headings(committed)
    assert re.search(r"^    python scripts/calibration.py --replicates \d+ --seed \d+$", committed, re.M)
    for name in ("weak", "fair", "sharp", "opinionated"):
        assert len(re.findall(rf"^\| {name} \| (?:66|132|264) \|", committed, re.M)) >= 6


@pytest.mark.parametrize("comparisons", [66, 132, 264])
def test_designs_are_round_robins_in_balanced_orders(study: ModuleType, comparisons: int) -> None:
    outcomes = study.design(comparisons)
    shown = outcomes[..., 0] + outcomes[..., 1].T
    assert shown.sum() == comparisons
    games = shown + shown.T
    assert set(games[np.triu_indices(12, 1)]) == {comparisons // 66}
    assert np.abs(shown - shown.T).max() <= 1


def test_populations_have_the_outcomes_they_were_made_of(study: ModuleType) -> None:
    outcomes = np.random.default_rng(0).poisson(0.4, (12, 12, 2)) * (1 - np.eye(12))[:, :, None]
    assert (study.population(outcomes).outcomes() == outcomes).all()
