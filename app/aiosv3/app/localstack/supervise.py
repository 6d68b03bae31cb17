"""The supervisor as a process of its own: runs the specifications that ``save_specs`` left in a state folder.

python -m aiosv3.app.localstack.supervise --folder .aiosv3
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aiosv3.app.localstack.specs import load_specs
from aiosv3.app.localstack.status import Phase
from aiosv3.app.localstack.supervisor import Supervisor, serve


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 after an orderly stop, 1 where the start failed (reason on stderr and in the state file)."""
    parser = argparse.ArgumentParser(prog="python -m aiosv3.app.localstack.supervise", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the state folder")
    folder = parser.parse_args(argv).folder
    specs, addresses = load_specs(folder)
    status = serve(Supervisor(specs, folder, addresses=addresses))
    if status.phase is Phase.FAILED:
        print(status.error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
