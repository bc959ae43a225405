"""What a system that takes nothing from `schemas` and `certs` needs of them: bounded JSON, texts that can be kept, files written whole."""

from __future__ import annotations

from certs.edges.tokenfiles import sync_folder, write_whole
from schemas.jsontext import load_json
from schemas.names import spelled, unsuitable_characters

__all__ = ["load_json", "spelled", "sync_folder", "unsuitable_characters", "write_whole"]
