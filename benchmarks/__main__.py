"""All CPU benchmarks in one run.

python -m benchmarks                       # peers need pip install -e '.[bench]'; Mitsuba: DRJIT_LIBLLVM_PATH=libLLVM-19.so
"""

import argparse
import json
from pathlib import Path
from typing import Any

from . import peers, processes, scaling
from .environment import describe


def main() -> None:
    """Measure, print Markdown tables, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, nargs="+", default=[1280, 5120, 20480, 81920], help="of the peers' scenes")
    parser.add_argument("--peers", nargs="*", default=list(peers.PEERS[:2]), choices=peers.PEERS)
    parser.add_argument(
        "--turns", type=int, default=20, help="of six calls each; the first call of a turn is kept apart"
    )
    parser.add_argument(
        "--scaling",
        action="store_true",
        help="also cost against faces, pixels, sigma, overlap, threads; start-up, memory, a step of a fit",
    )
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    facts = describe()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    rows = []
    for name in options.peers:
        for faces in options.faces:
            rows.append(peers.measure(name, faces, 3 if name == "Mitsuba" else options.turns))
    print(peers.table(rows))
    result: dict[str, Any] = {"environment": facts, "peers": rows}
    if options.scaling:
        result["scaling"] = scaling.measure()
        print(scaling.table(result["scaling"]))
        result["processes"] = processes.measure()
        print(processes.table(result["processes"]))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
