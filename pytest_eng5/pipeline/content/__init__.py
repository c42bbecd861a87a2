"""The content service (contract section 4)."""
