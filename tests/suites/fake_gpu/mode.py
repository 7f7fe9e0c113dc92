"""`FakeGpu`: a dispatch mode in which tensors on ``cuda:0`` have shapes, types and no values."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakIdKeyDictionary

from tests.suites.fake_gpu import device_guard
from tests.suites.fake_gpu.accounts import PRODUCTS, Accounts

Result = TypeVar("Result")
_SMALL = 1 << 16
"""Elements up to which integer tensors keep their values."""
_SHAPED_BY_VALUES = ("nonzero", "masked_select", "_unique2", "unique_dim")
_INDEXED = ("index", "index_put_", "index_put", "_unsafe_index")
_REFUSED = frozenset(
    [
        "kthvalue",
        "median",
        "histc",
        "bincount",
        "put_",
        "resize_",
        "max_pool3d_with_indices_backward",
        "nll_loss2d_forward",
        "_ctc_loss_backward",
        "grid_sampler_2d_backward",
        "upsample_bilinear2d_backward",
        "scatter_reduce",
        "adaptive_avg_pool2d_backward",
        "_embedding_bag_backward",
    ]
)
"""Operations that deterministic algorithms refuse on CUDA (torch's documentation)."""


class FakeGpu(TorchDispatchMode):
    """Runs code for ``cuda:0`` without a GPU, and records what a GPU would object to.

    Host tensors stay real, and so do the values of small integer tensors on the device. Use
    ``cuda:0``, never ``cuda``.

    Attributes
    ----------
    waits : Counter of str
        Places at which the host waits for the device.
    copies : Counter of str
        Copies from pageable memory of the host.
    errors : Counter of str
        Work that can't be captured as a CUDA graph, and operations that are refused.
    accounts : Accounts
    """

    def __init__(self) -> None:
        super().__init__()
        device_guard.install()
        self.accounts = Accounts()
        self.waits: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._fake = FakeTensorMode(allow_non_fake_inputs=False)
        self._values: Any = WeakIdKeyDictionary()
        self._open = 0
        self._capturing = False

    def __enter__(self) -> Any:
        if not self._open:
            self._fake.__enter__()
        self._open += 1
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._open -= 1
        if not self._open:
            self._fake.__exit__(*error)

    @contextmanager
    def capturing(self) -> Iterator[None]:
        """Count as an error what a capture of a CUDA graph does not allow."""
        self._capturing = True
        try:
            yield
        finally:
            self._capturing = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        device = kwargs.get("device")
        made_there = device is not None and torch.device(device).type == "cuda"
        given = _tensors((args, kwargs))
        if not made_there and not any(isinstance(t, FakeTensor) for t in given):
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        if func.namespace == "prim":
            with self._fake:
                return func(*args, **kwargs)
        if _is_composite(func.name()):
            # In inference mode composite operations arrive whole.
            with self:
                return func.decompose(*args, **kwargs)
        if made_there:
            kwargs["device"] = torch.device("cuda:0")
        name = func.overloadpacket.__name__
        if name == "_local_scalar_dense":
            return self._read(args[0])
        self._check(func, name, args, kwargs, given)
        fake_args, fake_kwargs = args, kwargs
        if not all(isinstance(t, FakeTensor) for t in given):
            fake_args, fake_kwargs = tree_map(self._as_fake, (args, kwargs))
        with self._fake:
            out = func(*fake_args, **fake_kwargs)
        made = _tensors(out)
        self._follow(func, args, kwargs, given, made)
        there = _on_device(made)
        self.accounts.count(func, _on_device(given), there)
        return out if len(there) == len(made) else tree_map(_as_real, out)

    def _read(self, tensor: torch.Tensor) -> Any:
        """Return the value that the host asks for; 1 where it is not known."""
        self._wait("item")
        value = self._values.get(tensor)
        if value is not None:
            with unset_fake_temporarily():
                return value.item()
        return 1.0 if tensor.is_floating_point() else 1

    def _check(
        self, func: Any, name: str, args: Any, kwargs: Any, given: list[torch.Tensor]
    ) -> None:
        """Note waits, copies and refusals of an operation."""
        index = [t for t in args[1] if t is not None] if name in _INDEXED else []
        if name in _SHAPED_BY_VALUES or any(t.dtype in (torch.bool, torch.uint8) for t in index):
            self._wait(f"{name}: a shape that depends on values")
        for tensor in index:
            if not isinstance(tensor, FakeTensor):
                self._copy("index from the host")
        if torch.are_deterministic_algorithms_enabled() and (
            name in _REFUSED or (name == "cumsum" and args[0].is_floating_point())
        ):
            self.errors[f"deterministic algorithms refuse {name} at {_place()}"] += 1
        if name in ("_to_copy", "copy_", "copy"):
            self._check_copy(name, args, kwargs)
        if func.namespace == "mkldnn":
            raise RuntimeError(f"{func} on a CUDA tensor at {_place()}")
        if name in PRODUCTS and len({t.dtype for t in given}) > 1:
            raise RuntimeError(f"{func} of {[t.dtype for t in given]} at {_place()}")

    def _check_copy(self, name: str, args: Any, kwargs: Any) -> None:
        source = args[0] if name == "_to_copy" else args[1]
        target = kwargs.get("device") or args[0].device
        here, there = source.device.type, torch.device(target).type
        if (here, there) == ("cpu", "cuda") and (source.ndim or name == "_to_copy"):
            self._copy("host to device")
        elif (here, there) == ("cuda", "cpu"):
            self._wait("device to host")

    def _wait(self, reason: str) -> None:
        self._note(self.waits, reason)

    def _copy(self, reason: str) -> None:
        self._note(self.copies, reason)

    def _note(self, counter: Counter[str], reason: str) -> None:
        text = f"{reason} at {_place()}"
        counter[text] += 1
        if self._capturing:
            self.errors[f"in a capture: {text}"] += 1

    def _as_fake(self, x: Any) -> Any:
        if isinstance(x, torch.Tensor) and not isinstance(x, FakeTensor):
            with unset_fake_temporarily():
                return self._fake.from_tensor(x)
        return x

    def _follow(
        self,
        func: Any,
        args: Any,
        kwargs: Any,
        given: list[torch.Tensor],
        outs: list[torch.Tensor],
    ) -> None:
        """Compute small integer results on the host as well: shapes depend on some of them."""
        if not outs or any(t.is_floating_point() or t.numel() > _SMALL for t in outs):
            return
        if any(isinstance(x, FakeTensor) and self._values.get(x) is None for x in given):
            return

        def value(x: Any) -> Any:
            if isinstance(x, FakeTensor):
                return self._values.get(x)
            return torch.device("cpu") if isinstance(x, torch.device) else x

        values, named = tree_map(value, (args, kwargs))
        with unset_fake_temporarily():
            found = func(*values, **named)
        for made, known in zip(outs, _tensors(found), strict=True):
            if isinstance(made, FakeTensor):
                self._values[made] = known


class FakeCapturer:
    """A `seedlab.engines.packed.cuda_graphs.GraphCapturer` on a fake GPU."""

    stream = None

    def __init__(self, gpu: FakeGpu) -> None:
        self._gpu = gpu

    def reset(self) -> None:
        """See `GraphCapturer`."""

    def warm_up(self, work: Callable[[], object]) -> None:
        """See `GraphCapturer`."""
        work()

    def capture(self, work: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
        """See `GraphCapturer`; a replay does nothing."""
        with self._gpu.capturing():
            result = work()
        return result, lambda: None


@cache
def _is_composite(name: str) -> bool:
    key = "CompositeImplicitAutograd"
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(name, key))


def _tensors(tree: Any) -> list[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return [tree]
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _on_device(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    return [t for t in tensors if isinstance(t, FakeTensor) and t.device.type == "cuda"]


def _as_real(x: Any) -> Any:
    """Return a host tensor for a fake one: zeros, since values on the device are not known."""
    if isinstance(x, FakeTensor) and x.device.type == "cpu":
        with unset_fake_temporarily():
            return torch.zeros(x.shape, dtype=x.dtype)
    return x


def _place() -> str:
    """Return the innermost place of seedlab's code on the stack."""
    frame = sys._getframe()
    while frame is not None and "/seedlab/" not in frame.f_code.co_filename:
        frame = frame.f_back  # type: ignore[assignment]
    if frame is None:
        return "?"
    return f"{frame.f_code.co_filename.split('/seedlab/')[-1]}:{frame.f_lineno}"
