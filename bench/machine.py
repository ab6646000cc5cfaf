"""The machine and the revision of a measurement, and its use by other processes. Standard library only."""

import os
import platform
import subprocess
from pathlib import Path

from environment import ROOT
from generations import FLAGS, generation


def busy_seconds() -> float | None:
    """Processor time of the whole machine since it started (Linux), otherwise None."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def process_seconds(pid: int) -> float | None:
    """Processor time of one process, all its threads (Linux), else None."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_seconds() -> float:
    """Processor time of the processes that this one started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def disturbance(busy: float | None, own: float | None, own_now: float | None, wall: float) -> float | None:
    """The share of the machine that others used during the last `wall` seconds, since `busy` and `own` were read."""
    busy_now = busy_seconds()
    if busy is None or own is None or busy_now is None or own_now is None:
        return None
    return max(0.0, ((busy_now - busy) - (own_now - own)) / (wall * (os.cpu_count() or 1)))


def describe() -> dict:
    """Processor, cores, memory, system and Python."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts = cpu_facts()
    return {
        **facts,
        "generation": generation(facts),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "usable_cores": usable,
        "memory_gb": memory_gb(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def cpu_facts() -> dict:
    """The processor's name and, where Linux tells, its vendor, family, model, stepping, features and cache."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {"cpu": platform.processor() or "unknown"}
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    present = (fields.get("flags") or fields.get("Features") or "").split()
    flags = [flag for flag in FLAGS if flag in present]
    name = fields.get("model name", "unknown processor")
    family = f"family {fields['cpu family']} model {fields['model']}" if "cpu family" in fields else ""
    numbers = {"family": "cpu family", "model": "model", "stepping": "stepping"}
    return {
        "cpu": ", ".join(part for part in (name, family, " ".join(flags)) if part),
        "vendor": fields.get("vendor_id"),
        **{key: int(fields[field]) if fields.get(field, "").isdigit() else None for key, field in numbers.items()},
        "flags": flags,
        "l3_mb": cache_mb(),
    }


def cache_mb() -> int | None:
    """The third-level cache that the first core sees (Linux), else None."""
    try:
        said = Path("/sys/devices/system/cpu/cpu0/cache/index3/size").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return round(int(said[:-1]) / 1024) if said.endswith("K") else None


def memory_gb() -> float | None:
    """Main memory (Linux), else None."""
    try:
        first = Path("/proc/meminfo").read_text(encoding="ascii").split("\n", 1)[0]
    except OSError:
        return None
    return round(int(first.split()[1]) / 2**20, 1)


def commit() -> dict:
    """The revision of the checkout, and whether the package's files differed from it."""

    def git(*arguments: str) -> str:
        try:
            done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        except FileNotFoundError:  # no git on this machine, or not a checkout: the record says "unknown"
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    changed = git("status", "--porcelain", "--", "minembed", "kernels", "weights")
    return {"id": git("rev-parse", "--verify", "--quiet", "HEAD") or None, "changed": bool(changed)}
