"""A small folder of inputs, as sessions of the tests compare them."""

from __future__ import annotations

from pathlib import Path

GRADES = ("A", "B", "C+", "D+", "E-", "F+")


def write_inputs(folder: Path, essays: int = 4) -> str:
    """An inputs folder with distinct grades, best essay first; returns its name."""
    inputs = folder / f"essays{essays}"
    if not inputs.exists():
        (inputs / "anchors").mkdir(parents=True)
        rows = ["anchor_id,file_name,grade"]
        for rank in range(1, essays + 1):
            rows.append(f"e{rank},e{rank}.txt,{GRADES[rank - 1]}")
            (inputs / "anchors" / f"e{rank}.txt").write_text(f"Essay of rank {rank}. Räksmörgås.\n")
        (inputs / "anchors.csv").write_text("\n".join(rows) + "\n")
        (inputs / "prompt.md").write_text("Write about the sea.\n")
    return inputs.name
