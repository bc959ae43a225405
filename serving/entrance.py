"""How what strangers send is read, for systems that take nothing from `schemas` but their domain: bounded JSON, texts that can be kept."""

from __future__ import annotations

from schemas.names import spelled, unsuitable_characters
from schemas.safejson import load_json

__all__ = ["load_json", "spelled", "unsuitable_characters"]
