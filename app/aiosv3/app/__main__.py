"""``python -m aiosv3.app`` is the ``aiosv3`` command; a worker starts without loading the other verbs."""

import gc
import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        gc.disable()  # nothing of what is loaded now is garbage; workers.serve() has it looked for again
        from aiosv3.app.commands.worker import main
    else:
        from aiosv3.app.cli import main
    main()
