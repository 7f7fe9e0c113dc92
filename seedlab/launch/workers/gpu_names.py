"""Names of GPUs: as CUDA reads them, and as the driver lists them.

CUDA knows a GPU by its number or by the beginning of its UUID (``GPU-3f2a``), and a MIG instance by
its UUID (``MIG-...``). Two names of one device would give it two workers that each count on all
of its memory. So names are compared by the device that they mean.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seedlab.errors import SeedlabError

_GPU = re.compile(r"GPU (\d+): (.+) \(UUID: (GPU-[\w-]+)\)")
_INSTANCE = re.compile(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[\w/-]+)\)")
_NONE = ("", "NoDevFiles", "void", "none")
"""Entries with which schedulers and containers say that there is no GPU."""
_SHOWN = 20


@dataclass(frozen=True)
class ListedGpu:
    """A GPU as the driver lists it.

    Parameters
    ----------
    index : str
        Its number in the order of the PCI bus.
    uuid : str
    product : str
        Such as ``NVIDIA H200``.
    instances : tuple of (str, str)
        UUID and profile (``1g.18gb``) of its MIG instances; empty if it is not divided.
    """

    index: str
    uuid: str
    product: str
    instances: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class GpuNames:
    """Names that this process may give to CUDA.

    Parameters
    ----------
    visible : tuple of str
        One per device that this process may use.
    listed : tuple of ListedGpu
        The driver's list, for comparing names; empty: names are compared as texts.
    """

    visible: tuple[str, ...] = ()
    listed: tuple[ListedGpu, ...] = ()

    def device(self, name: str) -> str:
        """Return the UUID of the device that a name means; the name itself if that is unknown."""
        meant = [uuid for uuid in self._uuids() if uuid.lower().startswith(name.lower())]
        meant += [gpu.uuid for gpu in self.listed if gpu.index == name]
        return meant[0] if len(meant) == 1 else name

    def chosen(self, gpus: Sequence[int | str] | None) -> list[str]:
        """Return the names of the GPUs to use, in the order given; None means all visible ones.

        Raises
        ------
        SeedlabError
            When one is not visible, or named twice.
        """
        asked = list(self.visible) if gpus is None else [str(gpu).strip() for gpu in gpus]
        allowed = {self.device(name) for name in self.visible}
        problem = "; ".join(self._unknown(n) for n in asked if self.device(n) not in allowed)
        problem = problem or self._repeated(asked)
        if problem:
            raise SeedlabError(
                f"hydra.launcher.gpus is [{', '.join(asked)}]: {problem}; "
                f"{there_are(self.visible)}{self._list()}. Name each GPU once, or set "
                "hydra.launcher.gpus=null for all of them."
            )
        return asked

    def check_visible(self) -> None:
        """Refuse a ``CUDA_VISIBLE_DEVICES`` that CUDA would cut short without a word.

        Raises
        ------
        SeedlabError
            When it names a GPU that the driver does not list, or one twice.
        """
        known = {*self._uuids()}
        problem = self._repeated(self.visible)
        # Names of instances in the form of old drivers can't be looked up.
        unknown = [
            name
            for name in self.visible
            if self.listed and self.device(name) not in known and not name.startswith("MIG-GPU-")
        ]
        if unknown:
            problem = f"the driver lists no GPU {', '.join(unknown)}"
        if problem:
            there = ", ".join(f"{gpu.index} ({gpu.product})" for gpu in self.listed) or "unknown"
            raise SeedlabError(
                f"CUDA_VISIBLE_DEVICES is '{','.join(self.visible)}': {problem}; GPUs of this "
                f"machine: {there}. CUDA would leave out that entry and all after it: set "
                "CUDA_VISIBLE_DEVICES to GPUs that are there, each once, or use engine.device=cpu."
            )

    def _uuids(self) -> list[str]:
        instances = [uuid for gpu in self.listed for uuid, _ in gpu.instances]
        return [gpu.uuid for gpu in self.listed] + instances

    def _unknown(self, name: str) -> str:
        for gpu in self.listed:
            if gpu.instances and self.device(name) == gpu.uuid:
                uuids = ", ".join(uuid for uuid, _ in gpu.instances)
                return f"{name} is divided by MIG, name its instances {uuids} instead"
        fitting = [uuid for uuid in self._uuids() if uuid.lower().startswith(name.lower())]
        return f"{name} fits {len(fitting)} GPUs" if len(fitting) > 1 else f"{name} not there"

    def _repeated(self, names: Sequence[str]) -> str:
        """Return the problem of two names that mean one device; empty without such."""
        first: dict[str, str] = {}
        for name in names:
            device = self.device(name)
            if device in first:
                other = first[device]
                return "one is named twice" if other == name else f"{other} and {name} are one GPU"
            first[device] = name
        return ""

    def _list(self) -> str:
        shown = ", ".join(self.visible[:_SHOWN])
        more = ", ..." if len(self.visible) > _SHOWN else ""
        return f": {shown}{more}" if self.visible else ""


def gpu_names(environment: Mapping[str, str]) -> GpuNames:
    """Return the names of the GPUs that this process may use, without importing torch.

    ``CUDA_VISIBLE_DEVICES`` decides when it is set; CUDA ignores entries after a negative number.
    Otherwise all GPUs of the driver's list are meant, and of a divided GPU all MIG instances.

    Raises
    ------
    SeedlabError
        See `GpuNames.check_visible`.
    """
    listed = _listed()
    variable = environment.get("CUDA_VISIBLE_DEVICES")
    if variable is None:
        each = (
            [uuid for uuid, _ in gpu.instances] if gpu.instances else [gpu.index] for gpu in listed
        )
        visible = [name for names in each for name in names]
    else:
        visible = [name.strip() for name in variable.split(",")]
        ends = (at for at, name in enumerate(visible) if name in _NONE or name.startswith("-"))
        visible = visible[: next(ends, len(visible))]
    # Numbers in another order than the driver's mean other GPUs than its list says.
    ordered = environment.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID") == "PCI_BUS_ID"
    names = GpuNames(tuple(visible), listed if ordered else ())
    names.check_visible()
    return names


def there_are(gpus: Sequence[str], use: str = "visible") -> str:
    """Return the number of GPUs as a clause."""
    if not gpus:
        return f"there is no GPU {use}"
    return f"there is 1 GPU {use}" if len(gpus) == 1 else f"there are {len(gpus)} GPUs {use}"


def _listed() -> tuple[ListedGpu, ...]:
    """Return the list of the driver's own tool; empty without a driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    answer = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=60, check=False)
    found: list[ListedGpu] = []
    for line in answer.stdout.splitlines() if answer.returncode == 0 else ():
        if gpu := _GPU.match(line):
            found.append(ListedGpu(gpu[1], gpu[3], gpu[2]))
        elif found and (part := _INSTANCE.match(line)):
            last = found[-1]
            instances = (*last.instances, (part[2], part[1]))
            found[-1] = ListedGpu(last.index, last.uuid, last.product, instances)
    return tuple(found)
