"""The rules of ``aiosv3 check``: what each finds, and what to write instead. ``docs/determinism.md`` shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final


class Severity(Enum):
    """An error makes a replay differ or loses something; a warning may."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Rule:
    """``calls`` and ``reads``: regular expressions of full dotted names that may not be called, or not even read.

    ``pathlib.Path().read_text`` is a method of what ``pathlib.Path`` makes; ``?.read_text`` one of anything.
    """

    id: str
    finds: str
    instead: str
    severity: Severity = Severity.ERROR
    calls: re.Pattern[str] | None = None
    reads: re.Pattern[str] | None = None
    example: str = ""
    """What the table of the documentation shows."""
    harmless_from: Mapping[str, int] = field(default_factory=dict)
    """With so many arguments a function says nothing about its surroundings: a seed, a time."""

    def forbids_call(self, name: str, arguments: int) -> bool:
        """Whether the function of this full name may not be called in an agent."""
        if self.calls is None or self.calls.fullmatch(name) is None:
            return False
        return name not in self.harmless_from or arguments < self.harmless_from[name]

    def forbids_read(self, name: str) -> bool:
        """Whether this full name may not even be read in an agent."""
        return self.reads is not None and self.reads.fullmatch(name) is not None


def _any(*names: str) -> re.Pattern[str]:
    """A pattern of exactly these names."""
    return re.compile("|".join(map(re.escape, names)))


_CLOCKS: Final = _any(
    *(f"time.{name}{unit}" for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time")
      for unit in ("", "_ns")),
    "time.clock_gettime", "time.clock_gettime_ns", "time.localtime", "time.gmtime", "time.ctime", "time.asctime",
    "time.strftime",
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
)  # fmt: skip
_PATH_METHODS: Final = (
    "absolute", "chmod", "cwd", "exists", "expanduser", "glob", "group", "hardlink_to", "home", "is_dir", "is_file",
    "is_symlink", "iterdir", "lstat", "mkdir", "open", "owner", "read_bytes", "read_text", "readlink", "rename",
    "replace", "resolve", "rglob", "rmdir", "samefile", "stat", "symlink_to", "touch", "unlink", "walk", "write_bytes",
    "write_text",
)  # fmt: skip
_OS_FILES: Final = (
    "access", "chdir", "chmod", "getcwd", "link", "listdir", "lstat", "makedirs", "mkdir", "open", "readlink", "remove",
    "removedirs", "rename", "renames", "replace", "rmdir", "scandir", "stat", "symlink", "truncate", "unlink", "utime",
    "walk",
)  # fmt: skip
_NETWORK: Final = (
    "aiohttp", "boto3", "ftplib", "grpc", "http.client", "httpx", "imaplib", "poplib", "psycopg", "redis", "requests",
    "smtplib", "socket", "sqlalchemy.create_engine", "sqlalchemy.ext.asyncio.create_async_engine", "sqlite3",
    "ssl.create_default_context", "urllib.request", "urllib3", "websockets", "xmlrpc.client",
)  # fmt: skip
_HARMLESS: Final = r"(?!.*(?:Error|Exception|Timeout|Limits|URL|Headers|Request|Response|Warning|inet_aton|inet_ntoa)$)"


def _modules(*names: str) -> str:
    """Everything in these modules, but for the types of their errors and settings."""
    return rf"{_HARMLESS}(?:{'|'.join(map(re.escape, names))})(?:\..+)?"


RULES: Final = (
    Rule(
        "clock",
        "reads a clock of the worker, which is another one after a restart",
        "ctx.now()",
        calls=_CLOCKS,
        harmless_from={"time.asctime": 1, "time.ctime": 1, "time.gmtime": 1, "time.localtime": 1, "time.strftime": 2},
        example="`time.time()`, `datetime.now()`, `date.today()`",
    ),
    Rule(
        "sleep",
        "waits, and all tasks of the worker with it, on no log",
        "await asyncio.sleep(…)",
        calls=_any("time.sleep"),
        example="`time.sleep(60)`",
    ),
    Rule(
        "random",
        "throws dice that fall differently in a replay",
        "ctx.random(), or ctx.run(…) for secrets",
        calls=re.compile(r"random\.\w+|random\.Random\(\)\.\w+|secrets\.\w+|os\.urandom|numpy\.random\.\w+"),
        harmless_from={"random.Random": 1, "numpy.random.default_rng": 1},
        example="`random.choice(…)`, `secrets.token_hex()`, `os.urandom(…)`",
    ),
    Rule(
        "uuid",
        "makes an id that is another one in a replay",
        "ctx.uuid()",
        calls=re.compile(r"uuid\.uuid[1467]|uuid\.getnode"),
        example="`uuid.uuid4()`, `uuid.uuid1()`",
    ),
    Rule(
        "hash",
        "gives a number that differs from process to process",
        "hashlib, or a field of the value",
        calls=_any("builtins.hash", "builtins.id"),
        example="`hash(text)`, `id(thing)`",
    ),
    Rule(
        "environment",
        "asks the machine or its environment, which may be another one in a replay",
        "the task's input, or ctx.run(…)",
        calls=re.compile(
            r"os\.(?:getenv|getenvb|getpid|getppid|getlogin|cpu_count|uname)"
            r"|platform\.\w+|getpass\.getuser|locale\.\w+"
        ),
        reads=re.compile(r"os\.environb?|sys\.argv"),
        example="`os.environ[…]`, `os.getenv(…)`, `os.getpid()`",
    ),
    Rule(
        "files",
        "touches files, which may have changed or be missing where the task goes on",
        "ctx.run(…)",
        calls=re.compile(
            r"builtins\.open|(?:io|codecs|gzip|bz2|lzma|zipfile|tarfile)\.(?:open|ZipFile|TarFile)"
            r"|(?:shutil|tempfile|glob)\.\w+|os\.path\.(?:exists|isfile|isdir|getsize|getmtime|realpath|abspath)"
            rf"|os\.(?:{'|'.join(_OS_FILES)})"
            rf"|pathlib\.Path(?:\(\)[\w.]*)?\.(?:{'|'.join(_PATH_METHODS)})"
            r"|\?\.(?:read|write)_(?:text|bytes)"
        ),
        example="`open(…)`, `Path(…).read_text()`, `os.listdir(…)`",
    ),
    Rule(
        "network",
        "goes to the network, again in every replay",
        "ctx.run(…), or a tool: ctx.call(tool, …)",
        calls=re.compile(_modules(*_NETWORK) + r"|asyncio\.(?:open_connection|open_unix_connection|start_server)"),
        example="`requests.get(…)`, `httpx.AsyncClient()`, `socket.create_connection(…)`",
    ),
    Rule(
        "process",
        "runs another process, again in every replay",
        "ctx.run(…), or a tool: ctx.call(tool, …)",
        calls=re.compile(
            _modules("subprocess", "multiprocessing")
            + r"|os\.(?:system|popen|fork|forkpty|kill|exec\w+|spawn\w+|posix_spawn\w*|startfile)"
            r"|asyncio\.(?:create_subprocess_exec|create_subprocess_shell)"
        ),
        example="`subprocess.run(…)`, `os.system(…)`",
    ),
    Rule(
        "input",
        "waits at a terminal, which a worker does not have",
        "await ctx.ask(…)",
        calls=re.compile(r"builtins\.(?:input|breakpoint)|getpass\.getpass|sys\.stdin\..+"),
        example="`input(…)`, `sys.stdin.read()`",
    ),
    Rule(
        "threads",
        "leaves the task for a thread or another loop: what happens there, and when, is on no log",
        "ctx.run(…), which runs a plain function in a thread",
        calls=re.compile(
            r"threading\.(?!get_ident)\w+|_thread\.\w+|concurrent\.futures\.\w*Executor"
            r"|asyncio\.(?:to_thread|run|run_coroutine_threadsafe|new_event_loop)|.+\.run_in_executor"
        ),
        example="`asyncio.to_thread(…)`, `loop.run_in_executor(…)`, `threading.Thread(…)`",
    ),
    Rule(
        "swallow",
        "catches a cancel and does not raise it again: what follows is done for a task that has ended",
        "except Exception, or raise at the end of the handler",
        example="`except:`, `except BaseException:`, `suppress(BaseException)`",
    ),
    Rule(
        "missing-await",
        "starts what nobody waits for: its answer, or its failure, is lost",
        "await it (ctx.send(…) gives work away without waiting)",
        example="`ctx.generate(…)` as a statement of its own",
    ),
    Rule(
        "set-order",
        "follows the order of a set, which differs from process to process",
        "sorted(…)",
        Severity.WARNING,
        example="`for tag in {…}: await ctx.call(…)`, `', '.join(set(…))`, `asyncio.as_completed([coroutine(), …])`",
    ),
    Rule(
        "global-state",
        "is shared by all tasks of a worker, and new after a restart",
        "a local variable, ctx.state, or the task's input",
        Severity.WARNING,
        example="`CACHE[key] = …`, `global count`",
    ),
    Rule(
        "syntax",
        "cannot be read as Python",
        "correct it",
        example="a file that this Python cannot parse",
    ),
    Rule(
        "unused-ignore",
        "hides nothing",
        "take it out",
        Severity.WARNING,
        example="`# aios: ignore[clock]` on a line without a clock",
    ),
)
BY_ID: Final = {rule.id: rule for rule in RULES}
