"""Committed sets of vectors: quantisation, segments, snapshots, search, and queries with proofs."""
