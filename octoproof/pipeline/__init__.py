"""Proof jobs: a store that loses nothing, Ray workers that prove segments, a service and its page."""
