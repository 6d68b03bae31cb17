"""``python -m aiosv3.app`` is the ``aiosv3`` command; a worker starts without loading the other verbs."""

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        from aiosv3.app.commands.worker import main
    else:
        from aiosv3.app.cli import main
    main()
