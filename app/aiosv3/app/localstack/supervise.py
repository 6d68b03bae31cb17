"""The supervisor as a process of its own: runs the specifications that ``save_specs`` left in a state folder.

python -m aiosv3.app.localstack.supervise --folder .aiosv3
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import suppress
from pathlib import Path

from aiosv3.app.localstack.specs import load_specs
from aiosv3.app.localstack.status import Phase
from aiosv3.app.localstack.supervisor import Supervisor, serve


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 after an orderly stop, 1 where the start failed (reason on stdout and in the state file)."""
    parser = argparse.ArgumentParser(prog="python -m aiosv3.app.localstack.supervise", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the state folder")
    folder = parser.parse_args(argv).folder
    specs, addresses = load_specs(folder)
    status = serve(Supervisor(specs, folder, addresses=addresses, note=_note))
    if status.phase is Phase.FAILED:
        _note(status.error or "the start failed")
        return 1
    return 0


def _note(line: str) -> None:
    """Into the supervisor's own log. On a full disk there is none, which is no reason to end."""
    with suppress(OSError):
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
