"""What a submission's process is kept from.

Everywhere a hook refuses to open files that are not its own, Python's or NumPy's, to start
programs and to use the network. That is a rule within Python, not a wall. On Linux there are walls
too, where users may build them: namespaces with no network, no other process, no file but those.
"""

import contextlib
import ctypes
import os
import signal
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRATCH = "/scratch"  # its folder, within walls
NAMESPACES = 0x20000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x08000000
"""Of mounts, users, processes, networks, shared memory."""
NOSUID_NODEV, READ_ONLY, REMOUNT, BIND, MOVE, RECURSIVE, PRIVATE = (
    2 | 4, 1, 32, 4096, 8192, 16384, 1 << 18)
KEPT = 2 | 4 | 8 | 1024 | 2048  # flags of a mount that may not be lost
PDEATHSIG, SUBREAPER, NO_NEW_PRIVILEGES = 1, 36, 38  # for prctl

REFUSED = ("ctypes.", "socket.", "subprocess.", "pty.", "os.exec", "os.fork", "os.kill",
           "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "signal.pthread_kill",
           "sqlite3.")
READ = ("open", "os.listdir", "os.scandir")
WRITTEN = ("os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir",
           "os.symlink", "os.truncate", "os.utime")


def supervise(walls: bool) -> None:
    """Fork, with `walls` into new namespaces. The child returns. The parent never does: it waits
    for the child, or for the SIGTERM that says to end it, then ends everything that the child
    started."""
    if walls:
        user, group = os.getuid(), os.getgid()
        _call("unshare", NAMESPACES)
        for file, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"),
                           ("gid_map", f"{group} {group} 1")):
            Path("/proc/self", file).write_text(text, encoding="ascii")
    _tell(SUBREAPER, 1)  # orphans fall to this process
    _tell(PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    if (child := os.fork()) == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _tell(PDEATHSIG, signal.SIGKILL)
        return
    try:
        os.closerange(0, 100)  # the pipes are the child's
        os.waitpid(child, 0)
        child = 0  # stands for this group of processes, from now on
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with contextlib.suppress(OSError):  # until there is nobody any more
            while True:
                for pid in _children() or [child]:
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(-1, 0)
        os.kill(0, signal.SIGKILL)  # this process is the last of its group


def _children() -> list[int]:
    with contextlib.suppress(OSError):
        return [*map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_bytes().split())]
    return []


def _call(name: str, *arguments: Any) -> None:
    """A function of the C library. OSError where it fails."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        raise OSError(ctypes.get_errno(), name)


def _tell(what: int, value: int) -> None:
    if sys.platform == "linux":
        _call("prctl", what, value, 0, 0, 0)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    texts = (os.fsencode(text) for text in (source, target, kind))
    _call("mount", *texts, ctypes.c_ulong(flags), options.encode())


def wall_in(np: Any, home: str, walls: bool) -> None:
    """Go into the folder `home`; from now on what is neither in it nor needed by Python and NumPy
    (np) is refused, and with `walls` it is not there."""
    np.linalg.eigh(np.eye(9) @ np.eye(9))  # MKL opens some of its files when they are first used
    numpy = Path(np.__file__).parent
    found: list[str | Path] = [
        sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), numpy,
        numpy.parent / "numpy.libs", os.devnull, "/dev/urandom"]
    needed = dict.fromkeys(os.path.realpath(path) for path in found if os.path.exists(path))
    if walls:
        _build_walls(home, list(needed))
        home = SCRATCH
    os.chdir(home)
    sys.addaudithook(_hook([os.path.join(path, "") for path in needed],
                           os.path.join(os.path.realpath(home), "")))


def _build_walls(home: str, needed: list[str]) -> None:
    """Make a file system in memory the only one, with these paths readable; drop all privileges."""
    _mount("", "/", "", PRIVATE | RECURSIVE)
    _mount("tmpfs", home, "tmpfs", NOSUID_NODEV, "size=64m,mode=755")
    for path in needed:
        place = Path(home + path)
        if place.exists():  # within another
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir() if os.path.isdir(path) else place.touch()
        _mount(path, str(place), "", BIND | RECURSIVE)
        _mount("", str(place), "", REMOUNT | BIND | READ_ONLY | os.statvfs(path).f_flag & KEPT)
        for packages in ("site-packages", "dist-packages"):  # NumPy is mounted into them again
            if (place / packages).is_dir():
                _mount("tmpfs", str(place / packages), "tmpfs", NOSUID_NODEV, "size=1m")
    os.mkdir(home + SCRATCH)
    os.chdir(home)
    _mount(".", "/", "", MOVE)
    os.chroot(".")
    _call("capset", (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
    _tell(NO_NEW_PRIVILEGES, 1)


def limit(seconds: float, memory: int, walls: bool) -> None:
    """Bounds on what the process takes, as far as the system has them. Without walls, an ordinary
    user's starts no other process, and no thread."""
    try:
        import resource
    except ImportError:  # Windows
        return
    bounds = {"CPU": int(seconds) + 1, "AS": memory, "FSIZE": 64_000_000, "NOFILE": 64,
              "NPROC": 32 if walls else 1, "CORE": 0}
    for name, most in bounds.items():
        with contextlib.suppress(AttributeError, OSError, ValueError):
            kind = getattr(resource, f"RLIMIT_{name}")
            hard = resource.getrlimit(kind)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (most, most))


def _hook(needed: list[str], home: str) -> Callable[[str, tuple], None]:
    """What Python calls before anything that reaches beyond the process."""
    real, join, decode = os.path.realpath, os.path.join, os.fsdecode  # as they are now
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def allowed(path: str, reads: bool) -> bool:
        root = max((root for root in needed if path.startswith(root)), key=len, default="")
        others = any(f"{name}-packages{os.sep}" in path[len(root):] for name in ("site", "dist"))
        return path.startswith(home) or bool(reads and root and not others)

    def hook(event: str, args: tuple) -> None:
        if event.startswith(REFUSED):
            raise PermissionError(f"{event} is not allowed while exercises are marked")
        if event in READ or event in WRITTEN:
            reads = event in READ and not (event == "open" and args[2] & writing)
            for path in args[:2 if event in ("os.link", "os.rename", "os.symlink") else 1]:
                if isinstance(path, str | bytes | None) and not allowed(
                        join(real(decode(path or ".")), ""), reads):
                    raise PermissionError("only files of its own may be opened while exercises "
                                          "are marked")

    return hook
