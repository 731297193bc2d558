"""Examines a deposit in a process of its own: limited, without network, without the hub's environment.

``python -m radcommons.hub.gate_process PACKAGE REQUEST.json VERDICT.json`` is that process; `examine_apart` starts it.
Whatever happens to it becomes a verdict: a crash, a kill and a timeout too.
"""

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from radcommons.hub.gate_settings import GateRules
from radcommons.records import GateRequest, GateVerdict, KnownDeposit
from radcommons.versions import versions

SOURCE = Path(__file__).parents[2]  # of this package, since the environment is not passed on
WEIGHTS_VARIABLE = "RADCOMMONS_WEIGHTS"  # where extractors find their weights
AFTER_SIGNAL = 5  # seconds of computing time between the signal that names the limit and the kill
LARGEST_VERDICT = 16 * 2**20
OPEN_FILES = 256
MORE_THREADS = 64  # threads and processes, beside those that the user has already
SAID = 300  # characters of the last line on stderr
NO_MEMORY = ("MemoryError", "can't allocate memory", "Cannot allocate memory", "failed to map segment")
AGAIN = "submit it again; if that does not help, ask the operator of the hub"
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
NICENESS = 10  # so that requests come first where the server runs on the same cores
WITH_NETWORK = 2  # exit status if the network must be off and is not


def examine_apart(
    folder: Path,
    *,
    public_keys: Sequence[Path],
    references: Sequence[Path],
    rules: GateRules,
    known: Sequence[KnownDeposit] = (),
) -> GateVerdict:
    """`gate.examine` in a process of its own; never raises because of what is in the package."""
    request = GateRequest(
        public_keys=tuple(str(path.resolve()) for path in public_keys),
        references=tuple(str(path.resolve()) for path in references),
        rules=rules.model_dump(mode="json"),
        known=tuple(known),
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gate-") as place:
        asked, answer, errors = (Path(place) / name for name in ("request.json", "verdict.json", "stderr"))
        asked.write_text(request.to_json(), encoding="utf-8")
        command = [sys.executable, "-s", "-P", "-m", __name__, str(folder.resolve()), str(asked), str(answer)]
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                command,
                cwd=place,
                env=_environment(place, rules.cores),
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )
            try:
                status: int | None = process.wait(rules.seconds)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                _end(process)
        verdict = _read(answer) if status == 0 else None
        if verdict is not None:
            return verdict
        why = _reason(status, rules, errors)
    return GateVerdict.not_examined(
        why,
        AGAIN,
        rules=request.rules,
        versions=versions(),
        seconds=round(time.monotonic() - started, 1),
    )


def main(arguments: Sequence[str]) -> int:
    """The process itself: gives up what it does not need, then examines; returns the exit status."""
    folder, asked, answer = map(Path, arguments)
    request = GateRequest.model_validate_json(asked.read_bytes())
    rules = GateRules.parse(request.rules, source=asked.name)
    network_off = give_up_network()
    if rules.require_no_network and not network_off:
        print("the system does not let the examination give up its network", file=sys.stderr)  # noqa: T201
        return WITH_NETWORK
    limit(rules)

    import torch

    from radcommons.hub.gate import examine

    torch.set_num_threads(rules.cores)
    verdict = examine(
        folder,
        public_keys=[Path(path) for path in request.public_keys],
        references=[Path(path) for path in request.references],
        rules=rules,
        known=request.known,
        network_off=network_off,
    )
    answer.write_text(verdict.to_json(), encoding="utf-8")
    return 0


def give_up_network() -> bool:
    """Leave every network of the machine, this process for good; returns whether that was possible.

    Only one thread may run. A user other than root needs a user namespace of its own for it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # it does not outlive the process that asked
    user, group = os.getuid(), os.getgid()
    off: bool = libc.unshare(CLONE_NEWNET) == 0
    if not off and libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0:
        off = True
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")  # it stays who it is, so that it can read the files
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return off


def limit(rules: GateRules) -> None:
    """A low priority, and limits of the system on this process: exceeding one ends it, or an allocation fails."""
    os.nice(NICENESS)
    memory = int(rules.memory_gib * 2**30)
    threads = sum(1 for _ in Path("/proc").glob("[0-9]*/task/[0-9]*")) + MORE_THREADS
    for kind, most in (
        (resource.RLIMIT_CPU, rules.cpu_seconds),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, LARGEST_VERDICT),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_NPROC, threads),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        more = AFTER_SIGNAL if kind == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY else 0
        resource.setrlimit(kind, (most, most + more))


def _environment(place: str, cores: int) -> dict[str, str]:
    """Only what computing needs: no secret of the hub."""
    kept = {name: os.environ[name] for name in (WEIGHTS_VARIABLE,) if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(cores))
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "HOME": place,
        "TMPDIR": place,
        "PYTHONPATH": str(SOURCE),
        **threads,
        **kept,
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and everything that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(answer: Path) -> GateVerdict | None:
    """The verdict that the process has written; None if there is none."""
    try:
        if answer.is_symlink() or answer.stat().st_size > LARGEST_VERDICT:
            return None
        return GateVerdict.model_validate_json(answer.read_bytes())
    except (OSError, ValueError):
        return None


def _reason(status: int | None, rules: GateRules, errors: Path) -> str:
    """Why there is no verdict, in words."""
    if status is None:
        return f"it was not done after {rules.seconds:g} seconds"
    if status == 0:
        return "its process ended without a verdict"
    if status == -signal.SIGXCPU:
        return f"it needed more than {rules.cpu_seconds} seconds of computing time"
    if status == -signal.SIGXFSZ:
        return "it wrote more than a verdict"
    with errors.open("rb") as file:
        file.seek(max(0, errors.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").strip().splitlines()
    last = lines[-1][:SAID] if lines else ""
    if any(words in last for words in NO_MEMORY):
        return f"it needed more than {rules.memory_gib:g} GiB of memory"
    if status == WITH_NETWORK and last:
        return last
    if status < 0:
        return f"its process was ended by the signal {signal.Signals(-status).name}"
    return f"its process failed: {last}" if last else f"its process ended with status {status}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
