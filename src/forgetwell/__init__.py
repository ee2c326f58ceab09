"""forgetwell: LLM unlearning that survives malicious forget requests.

Public names are resolved on first use, so importing the package loads no torch.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "load": "forgetwell.models.lm",
    "read_rows": "forgetwell.data.reading",
    "read_request": "forgetwell.data.reading",
    "write_rows": "forgetwell.data.row_files",
    "attack_request": "forgetwell.requests.attacks",
    "screen_request": "forgetwell.runs.screening",
    "repair_request": "forgetwell.requests.repairs",
    "Evidence": "forgetwell.requests.screening",
    "finetune": "forgetwell.methods.finetune",
    "unlearn": "forgetwell.runs.jobs",
    "tune": "forgetwell.runs.tuning",
    "evaluate": "forgetwell.runs.evaluation",
    "report": "forgetwell.reports.build",
    "TrainConfig": "forgetwell.training.config",
    "Lora": "forgetwell.methods.finetune",
    "Job": "forgetwell.runs.jobs",
    "Search": "forgetwell.runs.tuning",
    "Row": "forgetwell.types",
    "Request": "forgetwell.types",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Return a public name from the module that defines it."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'forgetwell' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
