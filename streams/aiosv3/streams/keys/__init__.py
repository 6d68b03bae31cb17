"""Data keys: where they are kept, how they are wrapped, and the ring by which a process uses them.

``KeyRing(store, wrapper)``: ``store`` is :class:`FileKeys` (one machine) or :class:`TopicKeys` (a mesh); ``wrapper`` is
:class:`MasterKeys`, or a key management service behind the protocol :class:`Wrapper`. :mod:`aiosv3.streams.keys.ring`
shows the use; :mod:`aiosv3.schemas.sealing` has the cipher and the errors. There is one data key in use for each
:class:`Owner`: tenant, subject (keyed hashes, ``KeyedHashes``) and data class, the same in all topics.
"""

from aiosv3.streams.keys.files import FileKeys
from aiosv3.streams.keys.masters import BadMasterKeys, MasterKeys, Wrapper, new_master_keys
from aiosv3.streams.keys.ring import KeyRing, UnresolvedKey
from aiosv3.streams.keys.store import KeyStore
from aiosv3.streams.keys.table import KeyTable, Owner
from aiosv3.streams.keys.topic import TopicKeys

__all__ = [
    "BadMasterKeys",
    "FileKeys",
    "KeyRing",
    "KeyStore",
    "KeyTable",
    "MasterKeys",
    "Owner",
    "TopicKeys",
    "UnresolvedKey",
    "Wrapper",
    "new_master_keys",
]
