"""Makes octoproof/data/words.npz: the most frequent words of GloVe 6B 100d, for `octoproof demo` and the tests.

    python tools/make_words.py glove_6b_100d_65536.npz

The input has `words` and `vectors` (float16), most frequent first. The output is the same for the same input.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

COUNT = 16_384
TARGET = Path(__file__).resolve().parent.parent / "octoproof" / "data" / "words.npz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    source = np.load(parser.parse_args().source, allow_pickle=False)
    words = source["words"][:COUNT]
    width = max(map(len, words))
    np.savez_compressed(TARGET, vectors=source["vectors"][:COUNT].astype(np.float16), words=words.astype(f"<U{width}"))


if __name__ == "__main__":
    main()
