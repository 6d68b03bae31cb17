"""Settings of memory: ``[memory]`` and ``[memory.teams]``."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from aiosv3.app.poolsettings import http_url


class RemoteEmbedderSettings(BaseModel):
    """An embedder behind ``/embeddings``, as OpenAI defined it: of a cloud, vLLM, Ollama, llama.cpp."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str = ""
    """Ends with the version: ``http://127.0.0.1:8000/v1``."""
    model: str = ""
    """Its name there. Vectors of another model are not compared with those that are on the log."""
    dimensions: Annotated[int, Field(ge=1)] | None = None
    """Asked of the server, where it can shorten vectors."""
    query_prefix: str = ""
    """What the model wants before a text that is looked for."""
    text_prefix: str = ""
    """What it wants before a text that is kept."""
    api_key_env: str = ""
    """The variable of the environment that holds its key; empty: it needs none."""

    _check_url = field_validator("base_url")(http_url)


class WeaviateSettings(BaseModel):
    """A Weaviate server, which all memory workers share; with the extra ``weaviate``. It holds texts and vectors in
    plain, as workers do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = "http://127.0.0.1:8080"
    """With ``https``, gRPC is encrypted as well."""
    grpc_port: Annotated[int, Field(ge=1, le=65_535)] = 50_051
    """Searches and writes go here; of the same host."""
    api_key_env: str = ""
    """The variable of the environment that holds the server's key; empty: it needs none."""
    collection: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$")] = "Aiosv3Memory"
    """Each mesh has its own: this is the alias, and the collections behind it begin with it."""
    timeout: Annotated[float, Field(gt=0)] = 2.0
    """Seconds after which a search is answered from the worker's own newest memories."""
    tail: Annotated[int, Field(ge=1)] = 20_000
    """How many of them a worker keeps, for that."""
    waiting: Annotated[int, Field(ge=1)] = 50_000
    """How many changes a worker holds while the server is away, up to two kilobytes each. Beyond that it reads no
    further on the log until the server is back."""

    _check_url = field_validator("url")(http_url)

    @model_validator(mode="after")
    def _ports(self) -> Self:
        if urlsplit(self.url).port == self.grpc_port:
            raise ValueError(f"url and grpc_port are both port {self.grpc_port}: Weaviate has one port for each")
        return self


class MemorySettings(BaseModel):
    """What agents remember. A worker holds all of it in its view, and builds that from the log when it starts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on: bool = False
    """Whether ``aiosv3 up`` starts memory workers: ``[up] memories`` of them."""
    embedder: Literal["local", "remote", "none"] = "local"
    """What makes vectors: ``local`` is all-MiniLM-L6-v2 in the worker itself (84 MB, fetched once); ``remote`` is
    asked over HTTP; with ``none`` memories are found by their words alone."""
    remote: RemoteEmbedderSettings = RemoteEmbedderSettings()
    view: Literal["embedded", "weaviate"] = "embedded"
    """What finds memories: ``embedded`` is in each worker's own memory; ``weaviate`` is a server for all of them."""
    weaviate: WeaviateSettings = WeaviateSettings()
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 256
    """Requests that a worker has in work at once, for each of its partitions."""
    ready: Annotated[float, Field(gt=0)] = 30.0
    """Seconds that a worker waits for its view before it takes requests all the same: recalls go on waiting then."""
    teams: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")], list[str]] = {}
    """Which agents share the memories of scope ``team:NAME``."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.embedder == "remote" and not (self.remote.base_url and self.remote.model):
            raise ValueError('embedder = "remote" needs [memory.remote] base_url and model')
        return self
