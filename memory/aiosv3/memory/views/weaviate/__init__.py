"""The Weaviate view: memories on a server of its own, shared by all memory workers. Needs the extra ``weaviate``."""

from aiosv3.memory.views.weaviate.generations import Generations
from aiosv3.memory.views.weaviate.server import Address, Server
from aiosv3.memory.views.weaviate.view import WeaviateView

__all__ = ["Address", "Generations", "Server", "WeaviateView"]
