"""Configuration: one TOML file in the store's folder, and `REMIT_*` variables over it. Few settings, no secrets."""

import getpass
import os
import re
import stat
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from remit.credentials.private_files import read_file
from remit.model.errors import malformed, refused, unavailable
from remit.model.identity import Operator

HOME_VARIABLE, SERVER_VARIABLE, STORE_VARIABLE = "REMIT_HOME", "REMIT_SERVER", "REMIT_STORE"
PASSWORD_VARIABLES = ("PGPASSWORD", "PGSERVICE")
"""What libpq takes a password from, whichever host is asked."""
_SERVICE = re.compile(r"(?:^|[?&\s'])service\s*=")
"""An address names a service, which may have a password; libpq reads the names of its parameters with `%XX`, too."""
DEFAULT_HOME = ".remit"
DEFAULT_URL = "http://127.0.0.1:8181"
"""Where a server is that nobody said anything of."""
FILE = "config.toml"
TABLES = frozenset({"issuers", "webhooks"})
"""The settings that no variable overrides."""
LONGEST_LOCK = 600
"""Whoever waits for another's commit for longer (s) waits for one that hangs."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set, each also as `REMIT_` and its name in capitals.

    `store`: where the store is, `postgresql://user@host/database`; empty for the embedded one. `lock_seconds`: how long to wait for
    another process's commit. `agent`: the agent of code that has entered no task, and of tasks that name none. `origin`: the log's name
    in its checkpoints. `witnesses`: a file in REMIT_HOME that says who cosigns them (C2SP tlog-policy); empty for nobody.
    `url`: where callers reach this server, which tokens for it name. `issuers`: whose tokens it takes (`remit.local.trust`).
    `administration`: a file in REMIT_HOME with policies of administration; empty for those that come with Remit.
    `server`: the address of the server that decides for the guards of this process, `https://host`, `unix:///path` or
    `unix://user@/path`; empty to decide by the store. `webhooks`: who is told of access requests, and may answer them
    (`remit.local.webhooks`).
    """

    store: str = ""
    lock_seconds: float = 5.0
    agent: str = ""
    origin: str = "remit.local/log"
    witnesses: str = ""
    url: str = ""
    issuers: tuple[dict[str, Any], ...] = ()
    administration: str = ""
    server: str = ""
    webhooks: tuple[dict[str, Any], ...] = ()


def home_folder() -> Path:
    """The folder of the embedded store."""
    return Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).absolute()


def read_settings(home: Path) -> Settings:
    """Settings of a store. Raises `RemitError` naming the file or variable at fault: malformed, unavailable where the file cannot be
    read, refused where anybody may write it."""
    values: dict[str, object] = {}
    file = home / FILE
    content = _content(file)
    if content:
        import tomllib

        try:
            values.update(tomllib.loads(content.decode("utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise malformed(f"`{file}` is no TOML ({error}): mend it, or remove it for the defaults") from None
    for field in Settings.__struct_fields__:
        value = os.environ.get(f"REMIT_{field.upper()}")
        if value is not None and field not in TABLES:
            values[field] = value
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(f"`{field}`" for field in Settings.__struct_fields__)
        raise malformed(f"settings of `{file}` or a `REMIT_*` variable cannot be read ({error}): known are {known}") from None
    if not 0 < settings.lock_seconds <= LONGEST_LOCK:
        raise malformed(
            f"the setting `lock_seconds` is {settings.lock_seconds}: give seconds, more than 0 and at most {LONGEST_LOCK}"
        )
    by_folder = not (os.environ.get(STORE_VARIABLE) or chooses_home()) and home == home_folder()
    if settings.store and by_folder and (drawn := _draws(settings.store)):
        # INVARIANT (fail closed): a folder that one works in, which others may have written, never says to whom a password is shown.
        raise malformed(
            f"the store is named by `{file}` alone, a file of the working folder, and is not shown the password of {drawn}: "
            f"where that is for this store, set `{STORE_VARIABLE}` to its address (or `{HOME_VARIABLE}` to an absolute path)"
        )
    return settings


def _draws(store: str) -> str:
    """Whence libpq would take a password for whatever server this address names, empty if it has none for others."""
    # A password of `~/.pgpass` is for the host that it names there.
    found = next((name for name in PASSWORD_VARIABLES if os.environ.get(name)), "")
    if found:
        return f"`{found}`"
    return "a service" if _SERVICE.search(unquote(store)) else ""


def _content(file: Path) -> bytes:
    """What the file of settings says; nothing where there is none."""
    try:
        with file.open("rb") as opened:
            # Whoever writes it says whose tokens are taken.
            if os.fstat(opened.fileno()).st_mode & stat.S_IWOTH:
                raise refused(f"`{file}` can be changed by anybody: run `chmod o-w {file}`")
            return opened.read()
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise unavailable(f"`{file}` cannot be read ({error.strerror}): let the user who runs Remit read it") from None


TOKEN_VARIABLE, TOKEN_FILE_VARIABLE, KEY_FILE_VARIABLE = "REMIT_TOKEN", "REMIT_TOKEN_FILE", "REMIT_KEY_FILE"
MAX_TOKEN_FILE = 16_384
"""Bytes: no server takes headers that are four times as long."""


def token_file() -> str:
    """The file that holds the token for the server, empty for none."""
    return os.environ.get(TOKEN_FILE_VARIABLE, "")


def key_file() -> str:
    """The file that holds the key which the token is bound to, empty for none."""
    return os.environ.get(KEY_FILE_VARIABLE, "")


def shows_token() -> bool:
    """Whether this process has a token to show."""
    return bool(token_file() or os.environ.get(TOKEN_VARIABLE))


def chooses_home() -> bool:
    """Whether the environment chooses the folder of the store: a REMIT_HOME that is the same wherever one works."""
    return Path(os.environ.get(HOME_VARIABLE, "")).is_absolute()


def chooses_server() -> bool:
    """Whether the environment chooses the server, as it chooses the token: by name, or with the folder of the store."""
    return bool(os.environ.get(SERVER_VARIABLE)) or chooses_home()


def server_token() -> str:
    """The token to show to the server: what the file holds now, or the variable.

    Raises `UnicodeError`, and `RemitError`: malformed, not-found, unavailable.
    """
    file, token = token_file(), os.environ.get(TOKEN_VARIABLE, "")
    if file and token:
        raise malformed(f"both `{TOKEN_FILE_VARIABLE}` and `{TOKEN_VARIABLE}` are set: unset one")
    if not file:
        return token
    content = read_file(
        Path(file), "token", f"give the path of the file that holds it (`{TOKEN_FILE_VARIABLE}`)", MAX_TOKEN_FILE + 1
    )
    if len(content) > MAX_TOKEN_FILE:
        raise malformed(f"`{file}` has more than {MAX_TOKEN_FILE} bytes and is no file with a token: give the path of one")
    return content.decode("ascii")


def this_operator() -> Operator:
    """The person at this process, as the operating system knows them."""
    return Operator(getpass.getuser() if os.name != "posix" else _user_name(), "os")


def _user_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"
