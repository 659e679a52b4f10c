"""Starknet: calldata, generated Cairo, and the way to a chain."""
