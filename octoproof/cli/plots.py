"""Pictures of measurements, drawn with matplotlib (the `plot` extra)."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from octoproof.files import write_atomically
from verifier.errors import ParseError


def draw_comparisons(reports: Sequence[Path], out: Path) -> None:
    """One pair of stacked bars a report: the phases of Stwo and ours, in milliseconds. Raises ParseError."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ParseError("plot: matplotlib is missing; install octoproof[plot]") from None
    documents = [_read(path) for path in reports]
    plt.switch_backend("agg")
    figure, axes = plt.subplots(1, len(documents), figsize=(3.2 * len(documents), 4.2), squeeze=False)
    names = list(dict.fromkeys(p["name"] for d in documents for p in d["phases"] if p["name"] != "grind"))
    colours = dict(zip(names, plt.get_cmap("tab10").colors, strict=False))
    for axis, document in zip(axes[0], documents, strict=True):
        for x, side in enumerate(("stwo_ms", "ours_ms")):
            base = 0.0
            for phase in document["phases"]:
                if phase["name"] in colours and phase[side]:
                    label = phase["name"] if x else None
                    axis.bar(x, phase[side], bottom=base, color=colours[phase["name"]], width=0.7, label=label)
                    base += phase[side]
        air = document["air"]
        axis.set_xticks([0, 1], ["Stwo", "Octoproof"])
        title = f"{air['name']} 2^{air['log_size']}, {document['threads']} thread"
        axis.set_title(f"{title}{'s' * (document['threads'] > 1)}\nratio {document['ratio']:.2f}", fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("ms, grinding left out")
    axes[0][-1].legend(fontsize=7, frameon=False, bbox_to_anchor=(1.0, 1.0), loc="upper left")
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format=out.suffix.lstrip(".") or "png", dpi=130)
    plt.close(figure)
    write_atomically(out, buffer.getvalue())


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
        if not {"ratio", "phases", "air", "threads"} <= set(document):
            raise ValueError
    except (ValueError, TypeError):
        raise ParseError(f"{path}: not a result of `octoproof bench compare --json`") from None
    return document  # type: ignore[no-any-return]
