"""Run folders as one HTML page and tables."""

from __future__ import annotations

from forgetwell.report.build import ReportFiles, build_report

__all__ = ["ReportFiles", "build_report"]
