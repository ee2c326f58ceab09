"""Run folders as one HTML page and tables."""

from __future__ import annotations

from forgetwell.reports.build import ReportFiles, report

__all__ = ["ReportFiles", "report"]
