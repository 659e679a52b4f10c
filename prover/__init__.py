"""The CPU prover: kernels on 16-lane vectors, the commitment scheme, and `prove`."""

from prover import cache

cache.use()
