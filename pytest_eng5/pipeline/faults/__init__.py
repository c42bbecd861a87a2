"""Misbehaviour on request: faults that the reference pipeline plants where it publishes.

Everything is decided from the plan and the events of one batch, with seeds, so that a run can be repeated and
no other batch is touched.
"""

from __future__ import annotations

from pytest_eng5.pipeline.faults.batch import BatchFaults
from pytest_eng5.pipeline.faults.book import CJ_EVENTS, PROVIDER_EVENTS, FaultBook
from pytest_eng5.pipeline.faults.messages import Applied, Outgoing
from pytest_eng5.pipeline.faults.routes import fault_routes
from pytest_eng5.pipeline.faults.seam import FaultySeam

__all__ = [
    "CJ_EVENTS",
    "PROVIDER_EVENTS",
    "Applied",
    "BatchFaults",
    "FaultBook",
    "FaultySeam",
    "Outgoing",
    "fault_routes",
]
