"""What this program looks for, in the catalogs that auditors use."""

from __future__ import annotations

OWASP = ("LLM04:2025", "OWASP LLM04:2025 Data and Model Poisoning")
"""OWASP Top 10 for Large Language Model Applications, 2025."""
ATLAS_MODEL = ("AML.T0018", "MITRE ATLAS AML.T0018 Manipulate AI Model")
"""A model that was trained on poisoned rows."""
ATLAS_DATA = ("AML.T0020", "MITRE ATLAS AML.T0020 Poison Training Data")
"""The rows themselves."""

TAXONOMY = tuple(name for _, name in (OWASP, ATLAS_MODEL, ATLAS_DATA))
