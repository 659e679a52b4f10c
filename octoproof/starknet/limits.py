"""What one Starknet transaction and one class may be, and how much of it a proof takes.

The limits are those of blockifier for Starknet 0.14.4. A local devnet enforces neither the calldata limit nor the list
of audited libfuncs: the first is checked here, the second by `contracts/builder`.
"""

from __future__ import annotations

from itertools import pairwise

from air.layout import Air
from octoproof.starknet.build import ContractClass
from octoproof.starknet.calldata import WORDS_PER_FELT
from verifier.config import PcsConfig
from verifier.fri import layer_plan
from verifier.sampling import sample_counts

MAX_CALLDATA_FELTS = 5_000
MAX_BYTECODE_FELTS = 81_920
MAX_CLASS_BYTES = 4_089_446
MAX_EXECUTE_GAS = 1_110_000_000
HASH_WORDS, SECURE_WORDS, NONCE_WORDS = 8, 4, 2


def over_limits(contract: ContractClass) -> list[str]:
    """One line for every limit that the class breaks; none if it can be declared."""
    figures = {
        "bytecode felts": (contract.bytecode_felts, MAX_BYTECODE_FELTS),
        "class bytes": (contract.class_bytes, MAX_CLASS_BYTES),
    }
    over = {name: pair for name, pair in figures.items() if pair[0] > pair[1]}
    return [f"{contract.name}: {size:,} {name}, Starknet takes {limit:,}" for name, (size, limit) in over.items()]


def proof_felts(config: PcsConfig, air: Air) -> int:
    """The most felts of calldata that a proof can take (`calldata.proof_to_felts`): when no two of its queries share a
    node of a Merkle tree unless they must."""
    lifting, queries = config.lifting_log(air.log_size), config.n_queries
    trees = [len(tree) for tree in (*air.tree_log_sizes, [air.log_size] * 2 * SECURE_WORDS) if tree]
    roots = len(trees) - (1 if air.tree_log_sizes[0] else 0)  # the contract has that of tree 0
    samples = sum(count for tree in sample_counts(air) for count in tree)
    words = HASH_WORDS * roots + SECURE_WORDS * (samples + len(air.with_fractions)) + NONCE_WORDS
    words += SECURE_WORDS << config.log_last_layer_degree_bound
    for columns in trees:
        words += columns * queries + HASH_WORDS * _witness(lifting, queries)
    for layer in layer_plan(config, lifting - config.log_blowup_factor):
        blocks = min(queries, 1 << layer.domain_log - layer.step)
        words += HASH_WORDS + SECURE_WORDS * blocks * ((1 << layer.step) - 1)
        words += HASH_WORDS * _witness(layer.domain_log - layer.step, blocks)  # siblings are missing above blocks only
    return -(-words // WORDS_PER_FELT)


def _witness(height: int, opened: int) -> int:
    """The most siblings that a decommitment of so many leaves takes."""
    known = [min(opened, 1 << level) for level in range(height + 1)]
    return sum(2 * above - below for above, below in pairwise(known))
