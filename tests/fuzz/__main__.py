"""Fuzz every parser of untrusted text for a bounded time: `python -m tests.fuzz --help`."""

from __future__ import annotations

import argparse
import sys
import traceback

from tests.fuzz.campaign import fuzz_for
from tests.fuzz.targets import TARGETS


def main() -> int:
    """The exit code: 1 when something broke."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Feed every parser of untrusted text with bent real ones."
    )
    parser.add_argument("names", nargs="*", metavar="TARGET", help=f"one of: {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=600, help="for all of them together (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another one tries other texts (default: %(default)s)")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.names if name not in TARGETS]:
        parser.error(f"no target is called {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    targets = [TARGETS[name] for name in chosen.names or TARGETS]
    broken = 0
    for target in targets:
        try:
            tried = fuzz_for(target, chosen.seconds / len(targets), chosen.seed)
        except Exception:  # noqa: BLE001 - that is what it is looking for
            broken += 1
            print(f"{target.name}: broken")
            traceback.print_exc()
        else:
            print(f"{target.name}: {tried} texts", flush=True)
    print(f"{len(targets) - broken} of {len(targets)} targets held")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
