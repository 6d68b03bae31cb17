"""The claim store: written and read with one small object, the same one each time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

from aiosv3.app.doctor.aside import aside
from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.finding import Finding
from aiosv3.streams.claims import open_claims

NAME = "claim store"
_CONTENT = b"aiosv3 doctor was here"


async def check(case: Case) -> Sequence[Finding]:
    """Drivers may block: all of it happens on a thread of its own."""
    url = case.settings.claims_url
    where = _without_secrets(url)

    def round_trip() -> None:
        async def there_and_back() -> None:
            store = open_claims(url)
            await store.get(await store.put(_CONTENT))

        asyncio.run(there_and_back())

    await aside(round_trip)
    if "://" not in url and case.given.kafka.bootstrap:
        message = f"{where} can be written, but it is a folder of this machine"
        action = "set [claims] url to what all workers of the mesh reach (s3://…), unless all of them share this folder"
        return [Finding.warning(NAME, message, action)]
    return [Finding.ok(NAME, f"{where} can be written and read")]


def _without_secrets(url: str) -> str:
    if "://" not in url:
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
