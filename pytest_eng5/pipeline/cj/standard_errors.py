"""How sure each θ is, as the production service computes it (contract section 8.1).

The errors are relative to one reference item, whose own error is 0: they cannot be compared between batches
with different references, and the 0 is no sign of quality (contract 13.2, P16). The alignment figures of the
harness use other, sum-to-zero errors. An item that was never compared gets 0 here as well; the summary
counts such items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_eng5.pipeline.cj.matching import Pair
from pytest_eng5.pipeline.errors import ServiceError

__all__ = [
    "CAP",
    "StandardErrorSummary",
    "quality_flags",
    "reference_item",
    "standard_errors",
    "summarise_errors",
]

CAP = 2.0
"""Largest standard error that is reported, in logits."""

_WITHOUT_PAIRS = 0.5
_SURE_BEYOND = 10.0
_RCOND = 1e-10


@dataclass(frozen=True, slots=True)
class StandardErrorSummary:
    """Summary over the items of a batch; the field names are the keys of the contract.

    Attributes:
        comparison_count: Comparisons with a winner.
        items_at_cap: Items whose error is 2.0.
        isolated_items: Items without any comparison.
    """

    mean_se: float
    max_se: float
    min_se: float
    item_count: int
    comparison_count: int
    items_at_cap: int
    isolated_items: int
    mean_comparisons_per_item: float
    min_comparisons_per_item: int
    max_comparisons_per_item: int

    def as_dict(self) -> dict[str, Any]:
        """The summary under the contract's keys."""
        return asdict(self)


def reference_item(ids: Sequence[str], anchors: Sequence[bool]) -> int:
    """Index of the item that errors are relative to: the last anchor, else the last id alphabetically.

    Args:
        ids: Essay ids in the order of the batch, at least one.
        anchors: Whether each of them is an anchor of the assignment.
    """
    last_anchor = max((i for i, is_anchor in enumerate(anchors) if is_anchor), default=None)
    return max(range(len(ids)), key=lambda i: ids[i]) if last_anchor is None else last_anchor


def standard_errors(theta: Sequence[float], outcomes: Sequence[Pair], reference: int) -> NDArray[np.float64]:
    """Standard error of each θ relative to a reference item.

    Args:
        theta: θ of each item in logits, length n.
        outcomes: One (winner, loser) per comparison that has a winner.
        reference: Index of the reference item.

    Returns:
        Errors in logits, shape (n,), between 0 and 2; zeros for fewer than two items, 0.5 each without any
        comparison.

    Raises:
        ServiceError: ``VALIDATION_ERROR`` for a reference that is no item.
    """
    n = len(theta)
    if n < 2:
        return np.zeros(n)
    if not 0 <= reference < n:
        raise ServiceError("VALIDATION_ERROR", f"reference item {reference} is none of the {n} items")
    if not outcomes:
        return np.full(n, _WITHOUT_PAIRS)
    others = np.delete(np.arange(n), reference)
    covariance = np.linalg.pinv(_information(theta, outcomes)[np.ix_(others, others)], rcond=_RCOND)
    errors = np.zeros(n)
    errors[others] = np.minimum(np.sqrt(np.maximum(np.diagonal(covariance), 0.0)), CAP)
    return errors


def _information(theta: Sequence[float], outcomes: Sequence[Pair]) -> NDArray[np.float64]:
    """Fisher information of all items, shape (n, n); comparisons that are sure to end so add nothing."""
    winners, losers = np.asarray(outcomes, dtype=np.int64).T
    scores = np.asarray(theta, dtype=np.float64)
    difference = scores[winners] - scores[losers]
    p = 1 / (1 + np.exp(-np.clip(difference, -_SURE_BEYOND, _SURE_BEYOND)))
    v = np.where(np.abs(difference) > _SURE_BEYOND, 0.0, p * (1 - p))
    matrix = np.zeros((len(scores), len(scores)))
    np.add.at(matrix, (winners, winners), v)
    np.add.at(matrix, (losers, losers), v)
    np.add.at(matrix, (winners, losers), -v)
    np.add.at(matrix, (losers, winners), -v)
    return matrix


def summarise_errors(errors: Sequence[float], outcomes: Sequence[Pair]) -> StandardErrorSummary:
    """Summarise the errors of a batch, the reference item's 0 included, as production does.

    Args:
        errors: Standard error of each item, length n; zeros in the summary if empty.
        outcomes: The comparisons with a winner that they come from.
    """
    items = len(errors)
    values = np.asarray(errors, dtype=np.float64) if items else np.zeros(1)
    flat = np.asarray(outcomes, dtype=np.int64).reshape(-1)
    counts = np.bincount(flat, minlength=items) if items else np.zeros(1, dtype=np.int64)
    return StandardErrorSummary(
        mean_se=float(values.mean()),
        max_se=float(values.max()),
        min_se=float(values.min()),
        item_count=items,
        comparison_count=len(outcomes),
        items_at_cap=int(np.count_nonzero(values >= CAP)),
        isolated_items=int(np.count_nonzero(counts == 0)) if items else 0,
        mean_comparisons_per_item=float(counts.mean()),
        min_comparisons_per_item=int(counts.min()),
        max_comparisons_per_item=int(counts.max()),
    )


def quality_flags(summary: StandardErrorSummary) -> dict[str, bool]:
    """Warnings about a batch; they never gate anything.

    An error is called inflated above 0.4 on average or 0.8 at worst, coverage sparse below one comparison
    per item.
    """
    return {
        "bt_se_inflated": summary.mean_se > 0.4 or summary.max_se > 0.8,
        "comparison_coverage_sparse": summary.mean_comparisons_per_item < 1.0,
        "has_isolated_items": summary.isolated_items > 0,
    }
