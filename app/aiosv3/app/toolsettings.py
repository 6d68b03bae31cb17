"""Settings of tool zones: ``[tools.ZONE]`` and ``[tools.ZONE.servers.NAME]``."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from aiosv3.schemas.headers import Clearance

_NEEDS: Final = {"stdio": "command", "http-mcp": "url", "http": "url", "openapi": "spec", "files": "root"}
_FITS: Final = {
    "command": ("stdio",),
    "args": ("stdio",),
    "env": ("stdio",),
    "folder": ("stdio",),
    "era": ("stdio", "http-mcp"),
    "url": ("http-mcp", "http", "openapi"),
    "headers": ("http-mcp", "http", "openapi"),
    "private": ("http", "openapi"),
    "methods": ("http",),
    "paths": ("http",),
    "spec": ("openapi",),
    "root": ("files",),
    "write": ("files",),
}


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ToolServerSettings(_Group):
    """One tool server. Paths are relative to the project file's folder.

    Values of ``env`` and ``headers`` take secrets as ``${name}``; ``secrets`` lists those that the server may have.
    """

    kind: Literal["stdio", "http-mcp", "http", "openapi", "files"]
    """What it is: an MCP server, an HTTP service, a folder."""
    command: str = ""
    """The program of a stdio server."""
    args: list[str] = []
    """Its arguments."""
    env: dict[str, str] = {}
    """Its environment, beside ``PATH``."""
    folder: Path | None = None
    """Where a stdio server runs."""
    era: Literal["auto", "handshake", "stateless"] = "auto"
    """Of the MCP protocol; ``auto`` asks the server."""
    url: str = ""
    """Of an HTTP server."""
    headers: dict[str, str] = {}
    """Sent with each request."""
    private: list[str] = []
    """Networks that are not public and may be connected to all the same."""
    methods: list[str] = ["GET"]
    """What ``http`` may do."""
    paths: list[str] = ["/**"]
    """Where ``http`` may go below its URL: ``*`` is one segment, ``**`` any rest."""
    spec: str = ""
    """File or URL of an OpenAPI 3 description in JSON."""
    root: Path | None = None
    """The folder of ``files``."""
    write: bool = False
    """Whether files may be written."""
    timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds that a call may take, waiting and further tries included."""
    timeouts: dict[str, Annotated[float, Field(gt=0)]] = {}
    """The same for single tools, by name."""
    retry: bool | None = None
    """None: only what the server declares to be repeatable."""
    concurrency: Annotated[int, Field(ge=1)] = 8
    """Calls in work at once, in one worker."""
    secrets: list[str] = []
    """Names of the secrets that it may have."""

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        url = urlsplit(value)
        if value and (url.scheme not in {"http", "https"} or not url.hostname):
            raise ValueError("this is no absolute http(s) URL: write it as https://host/path")
        if url.username is not None or url.password is not None:
            raise ValueError("a URL must carry no credentials: put a secret into headers")
        return value

    @field_validator("private")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for network in value:
            ip_network(network)
        return value

    @model_validator(mode="after")
    def _complete(self) -> ToolServerSettings:
        needed = _NEEDS[self.kind]
        if not getattr(self, needed):
            raise ValueError(f'{self.kind} needs {needed} = "…"')
        for name in sorted(self.model_fields_set & _FITS.keys()):
            if self.kind not in _FITS[name]:
                raise ValueError(f"{name} means nothing for {self.kind}: take it out")
        return self


class ToolZoneSettings(_Group):
    """A trust zone: its workers see data up to ``clearance`` and hold the secrets of its servers."""

    clearance: Clearance = Clearance.PUBLIC
    """The highest class of data that its tools may see."""
    concurrency: Annotated[int, Field(ge=1)] = 32
    """Requests in work for each partition; each server has a limit of its own besides."""
    max_bytes: Annotated[int, Field(ge=1_000, le=900_000)] = 256 * 1024
    """Longer answers go to the claim store."""
    hard_bytes: Annotated[int, Field(ge=1_000)] = 16 * 1024 * 1024
    """Longer answers are cut off, and their step fails."""
    servers: dict[str, ToolServerSettings] = {}
    """Its tool servers, by name."""

    @field_validator("clearance", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        return Clearance.parse(value) if isinstance(value, str) else value
