from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aiosv3.tools.kinds import KINDS, ServerPlace, UnknownServer, open_server


async def test_each_kind_opens_without_connecting(tmp_path: Path) -> None:
    description = json.dumps({"openapi": "3.1.0", "servers": [{"url": "https://x.example"}], "paths": {}}).encode()
    places = {
        "stdio": ServerPlace(command="/no/such/program"),
        "http-mcp": ServerPlace(url="http://127.0.0.1:1/mcp"),
        "http": ServerPlace(url="http://x.example"),
        "openapi": ServerPlace(description=description),
        "files": ServerPlace(folder=tmp_path),
    }
    assert set(places) == set(KINDS)
    for kind, place in places.items():
        await open_server(kind, place).aclose()


@pytest.mark.parametrize(
    ("kind", "place", "words"),
    [
        ("ftp", ServerPlace(), "no kind 'ftp'; there is files, http, http-mcp, openapi, stdio"),
        ("http", ServerPlace(url="ftp://x"), "no http"),
        ("http", ServerPlace(url="http://x", private=("10.0.0.1/8",)), "host bits"),
        ("http", ServerPlace(url="http://x", methods=("TRACE",)), "TRACE"),
        ("openapi", ServerPlace(description=b'{"openapi": "3.0.0"}'), "set url"),
        ("files", ServerPlace(folder=Path("/no/such/folder")), "no folder"),
    ],
)
def test_what_cannot_be_opened_says_why(kind: str, place: ServerPlace, words: str) -> None:
    with pytest.raises(UnknownServer, match=words):
        open_server(kind, place)


def test_without_the_mcp_client_the_other_kinds_work() -> None:
    code = (
        "import sys; sys.modules['mcp'] = None\n"
        "from pathlib import Path\n"
        "from aiosv3.tools.kinds import ServerPlace, UnknownServer, open_server\n"
        "open_server('files', ServerPlace(folder=Path('.')))\n"
        "try: open_server('stdio', ServerPlace(command='x'))\n"
        "except UnknownServer as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "kind 'stdio' needs the MCP client: pip install 'aiosv3[mcp]'"


def test_the_package_loads_no_client_before_it_is_needed() -> None:
    code = "import sys, aiosv3.tools, aiosv3.tools.kinds; print(*sorted({'mcp', 'httpx', 'httpx2'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == []
