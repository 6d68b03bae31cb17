"""Hot state on Redis. The owner's epoch is compared where the write is done, in one script: nothing comes between.

A Redis that loses its data loses the marks as well: until the next owner writes, an earlier one can. Needs the extra
``redis``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from aiosv3.memory.hot.errors import Fenced, HotUnavailable
from aiosv3.memory.hot.port import Delete, Hot, Keep, Mark, Place, Push, Step

_MARK_S: Final = 7 * 86_400
"""How long a mark outlives the last write at least: longer than any owner that was shut out."""

# KEYS: the mark, the values, the windows (a list each; the hash of values has their names). All have one hash
# tag, so that a cluster keeps them together.
_OWNED: Final = """
local held = redis.call('HMGET', KEYS[1], 'epoch', 'sequence')
local epoch, sequence = tonumber(ARGV[1]), tonumber(ARGV[2])
if held[1] and epoch < tonumber(held[1]) then return {'fenced', held[1]} end
local done = held[2] and sequence <= tonumber(held[2])
redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
if not done then redis.call('HSET', KEYS[1], 'sequence', ARGV[2]) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
"""
_LIVE: Final = """
for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
  if string.sub(field, 1, 1) == 'w' then redis.call('PEXPIRE', KEYS[2] .. ':' .. string.sub(field, 2), ARGV[3]) end
end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
"""
_WRITE: Final = (
    _OWNED
    + _LIVE
    + """
if done then return {'done'} end
local at = 5
while ARGV[at] do
  local kind, name, value, most = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if kind == 'keep' then redis.call('HSET', KEYS[2], 'v' .. name, value)
  elseif kind == 'add' then redis.call('HINCRBY', KEYS[2], 'c' .. name, value)
  elseif kind == 'delete' then
    redis.call('HDEL', KEYS[2], 'v' .. name, 'c' .. name, 'w' .. name)
    redis.call('DEL', KEYS[2] .. ':' .. name)
  else
    redis.call('HSET', KEYS[2], 'w' .. name, '')
    redis.call('RPUSH', KEYS[2] .. ':' .. name, value)
    redis.call('LTRIM', KEYS[2] .. ':' .. name, -tonumber(most), -1)
  end
  at = at + 4
end
"""
    + _LIVE
    + "return {'ok'}"
)
_DROP: Final = (
    _OWNED
    + """
if done then return {'done'} end
for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
  if string.sub(field, 1, 1) == 'w' then redis.call('DEL', KEYS[2] .. ':' .. string.sub(field, 2)) end
end
redis.call('DEL', KEYS[2])
return {'ok'}
"""
)
_READ: Final = """
local told = {}
local flat = redis.call('HGETALL', KEYS[2])
for at = 1, #flat, 2 do
  local field, value = flat[at], flat[at + 1]
  if string.sub(field, 1, 1) == 'w' then value = redis.call('LRANGE', KEYS[2] .. ':' .. string.sub(field, 2), 0, -1) end
  told[#told + 1] = {field, value}
end
return told
"""


class RedisHotState:
    """Implements ``HotState``. ``live``: seconds after its last write that a place is kept.

    ``timeout``: seconds that Redis may take; nothing is tried twice in here. ``prefix``: what all keys begin with.
    """

    def __init__(self, url: str, live: float, timeout: float = 1.0, prefix: str = "aiosv3") -> None:
        self._redis: Redis = Redis.from_url(
            url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
        )
        self._scripts = {script: self._redis.register_script(script) for script in (_WRITE, _DROP, _READ)}
        self._live = str(max(int(live * 1000), 1))
        self._marks = str(max(int(live * 1000), _MARK_S * 1000))
        self._prefix = prefix
        self._closed = False

    async def write(self, place: Place, mark: Mark, steps: Sequence[Step]) -> bool:
        """See ``HotState``."""
        return await self._owned(_WRITE, place, mark, [part for step in steps for part in _told(step)])

    async def read(self, place: Place) -> Hot:
        """See ``HotState``."""
        found = await self._run(_READ, place)
        fields = [(bytes(field).decode(), value) for field, value in found]
        return Hot(
            {field[1:]: value for field, value in fields if field[0] == "v"},
            {field[1:]: list(value) for field, value in fields if field[0] == "w"},
            {field[1:]: int(value) for field, value in fields if field[0] == "c"},
        )

    async def drop(self, place: Place, mark: Mark) -> bool:
        """See ``HotState``."""
        return await self._owned(_DROP, place, mark, [])

    async def close(self) -> None:
        """See ``HotState``."""
        if not self._closed:
            self._closed = True
            await self._redis.aclose()

    async def _owned(self, script: str, place: Place, mark: Mark, told: Sequence[str | bytes]) -> bool:
        answer = await self._run(script, place, str(mark.epoch), str(mark.sequence), self._live, self._marks, *told)
        if answer[0] == b"fenced":
            raise Fenced(int(answer[1]))
        return bool(answer[0] == b"ok")

    async def _run(self, script: str, place: Place, *told: str | bytes) -> Any:
        if self._closed:
            raise HotUnavailable("the store is closed")
        name = hashlib.blake2b(f"{len(place.tenant)}:{place.tenant}{place.name}".encode(), digest_size=16).hexdigest()
        base = f"{self._prefix}:hot:{{{name}}}"
        try:
            return await self._scripts[script](keys=[f"{base}:mark", f"{base}:state"], args=told)
        except (RedisError, OSError, TimeoutError) as error:
            raise HotUnavailable(f"Redis: {type(error).__name__}: {error}") from error


def _told(step: Step) -> tuple[str | bytes, ...]:
    """Four words for the script."""
    if isinstance(step, Keep):
        return "keep", step.name, step.value, ""
    if isinstance(step, Delete):
        return "delete", step.name, "", ""
    if isinstance(step, Push):
        return "push", step.name, step.item, str(step.most)
    return "add", step.name, str(step.amount), ""
