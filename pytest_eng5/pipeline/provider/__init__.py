"""The LLM provider service: a queue in front of the judge (contract sections 3 and 6)."""
