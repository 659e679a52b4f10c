"""Octoproof: proofs for decentralised AI markets, and the product that stands on the engine packages."""

from __future__ import annotations

__version__ = "0.1.0"
