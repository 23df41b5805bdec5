"""Holds what of `sslcli edit` needs torch: editing, and judging edits."""

from __future__ import annotations

from sslcli.tools.edit.editor import load_editor as load_editor
from sslcli.tools.edit.judge import judge as judge
