"""The pytest hooks of pytest-eng5; nothing but hooks lives here."""

from __future__ import annotations
