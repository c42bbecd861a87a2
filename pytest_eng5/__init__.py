"""pytest-eng5: can I trust this LLM judge, and the pipeline around it?

The package is a pytest plugin (entry point ``pytest_eng5.plugin``) and a command line tool (``eng5``).
Nothing heavy is imported here: the supervisor of child processes and the collection of scenario files
start from this module.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
