"""Hash chains: one signature or one timestamp over several messages, each with its own way to the root.

A step's digest is H over the DER of its inputs; a message with several parts is one step over them; several messages
form a tree of the shape of RFC 6962. The *result* document names the root and is what is signed: its exact bytes are
kept and sent. The *chain* document leads from one message's parts to the result's first step.

`build` writes both; `verify` reads any dialect (prefixes, white space) and refuses loops, double ids, foreign digest
methods, transforms, and inputs the chain never touched.

Spec: PR-HASHCHAIN; X-Road 7.8's HashChainBuilder and HashChainVerifier.
"""

from __future__ import annotations

from schemas.hashchain.building import Built, build, is_as_built
from schemas.hashchain.documents import ChainResult, parse_result
from schemas.hashchain.steps import (
    DIGESTS,
    DS_NS,
    HASH_CHAIN_NS,
    SHA512_URI,
    SIGNATURE_CHAIN_URI,
    TIMESTAMP_CHAIN_URI,
    Part,
    step_digest,
)
from schemas.hashchain.verifying import verify

__all__ = [
    "DIGESTS",
    "DS_NS",
    "HASH_CHAIN_NS",
    "SHA512_URI",
    "SIGNATURE_CHAIN_URI",
    "TIMESTAMP_CHAIN_URI",
    "Built",
    "ChainResult",
    "Part",
    "build",
    "is_as_built",
    "parse_result",
    "step_digest",
    "verify",
]
