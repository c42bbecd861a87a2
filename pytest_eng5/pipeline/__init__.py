"""The reference pipeline: content service, CJ service and LLM provider service in one child process.

It speaks the contract over real HTTP and real Kafka, so that people without a stack of their own have
something to run against. Started as ``python -m pytest_eng5.pipeline serve``; nothing else of the package
imports from here.
"""
