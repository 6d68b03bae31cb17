"""``python -m aiosv3.app`` is the ``aiosv3`` command."""

from aiosv3.app.cli import main

if __name__ == "__main__":
    main()
