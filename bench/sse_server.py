"""An endpoint that streams chat completions as fast as one process can: prints its port, serves until it is killed.

    python bench/sse_server.py TOKENS SECONDS

Each answer is TOKENS events over SECONDS, after which come its usage and its end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from typing import Final

_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _chunk(*values: object) -> bytes:
    data = b"".join(b"data: %b\n\n" % (v if isinstance(v, bytes) else json.dumps(v).encode()) for v in values)
    return b"%x\r\n%b\r\n" % (len(data), data)


def _delta(text: str, finish: str | None = None) -> dict[str, object]:
    return {"id": "chat-1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


async def main(tokens: int, seconds: float) -> None:
    word = _chunk(_delta(" word"))
    usage = {"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": tokens}}
    end = _chunk(_delta("", "stop"), usage, b"[DONE]") + b"0\r\n\r\n"
    pause = seconds / max(1, tokens)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
                writer.write(_HEAD)
                if pause:
                    loop = asyncio.get_running_loop()
                    began = loop.time()
                    for number in range(tokens):
                        writer.write(word)
                        await asyncio.sleep(max(0.0, began + (number + 1) * pause - loop.time()))
                else:
                    writer.write(word * tokens)
                writer.write(end)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
