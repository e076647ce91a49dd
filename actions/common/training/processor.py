"""The processor that a container runs on, as far as its arithmetic depends on it; used by the trainer and the report.

TensorFlow and oneDNN choose their instructions by features, and their order of additions by these and by cache sizes,
for which the model's name stands: the same training on another kind of processor has other last bits.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CPUINFO = Path("/proc/cpuinfo")
NAMES = ("model name", "CPU part")  # of x86, of Arm
FEATURES = (
    *("sse4_2", "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)


def kind(cpuinfo: str) -> str:
    """Name the first processor of this text of Linux, and those of its features that matter."""
    lines = (line.partition(":") for line in cpuinfo.partition("\n\n")[0].splitlines())
    facts = {name.strip(): value.strip() for name, _, value in lines}
    name = next((facts[each] for each in NAMES if each in facts), "unknown")
    present = set((facts.get("flags") or facts.get("Features") or "").split())
    return f"{name}: {' '.join(feature for feature in FEATURES if feature in present)}"


def present() -> str:
    """Name the processor of this container."""
    return kind(CPUINFO.read_text())


def seen(summaries: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
    """Return the kinds that the lanes of all rounds trained on."""
    return sorted({name for lanes in summaries for lane in lanes for name in lane["processors"]})


def warnings(kinds: Sequence[str]) -> list[str]:
    """Return what a user should know of them."""
    if len(kinds) < 2:
        return []
    return [
        f"the lanes trained on {len(kinds)} kinds of processors ({'; '.join(kinds)}): the same run on one kind has "
        "weights with other last bits"
    ]
