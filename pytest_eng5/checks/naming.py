"""What an essay is called in a finding."""

from __future__ import annotations

from pytest_eng5.checks.wording import clip
from pytest_eng5.evidence import RunEvidence

__all__ = ["essay_name"]


def essay_name(evidence: RunEvidence, essay_id: str) -> str:
    """The user's own id of an essay in quotes, or the id on the wire if it is not of the run."""
    planned = evidence.essays.get(essay_id)
    return clip(planned.local_id if planned else essay_id)
