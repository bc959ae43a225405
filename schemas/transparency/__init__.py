"""Transparency logs as C2SP describes them: Merkle trees, tiles, checkpoints, cosignatures and proofs; pure, without keys."""
