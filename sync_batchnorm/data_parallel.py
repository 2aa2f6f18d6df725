"""DataParallel whose replicas share their batch statistics."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import nn

from sync_batchnorm.layer import ReplicaLink, SyncBatchNorm2d
from sync_batchnorm.process_group import world_size
from sync_batchnorm.rendezvous import Rendezvous


class SyncDataParallel(nn.DataParallel):
    """DataParallel in which SyncBatchNorm2d normalises over the whole batch.

    An error in one replica ends the others, and is raised as it is. With one device, or none, this
    is the module itself.
    """

    def parallel_apply(
        self, replicas: Sequence[nn.Module], inputs: Sequence[Any], kwargs: Any
    ) -> list[Any]:
        return run_linked(replicas, inputs, kwargs, devices=self.device_ids[: len(replicas)])


def link_replicas(replicas: Sequence[nn.Module]) -> Rendezvous:
    """Give the SyncBatchNorm2d layers of all replicas one new meeting point, which is returned.

    It serves one forward pass, each replica in a thread of its own under `Rendezvous.attend`.
    The layers of a single replica are made plain.

    Raises:
        ValueError: the replicas do not have the same layers.
        RuntimeError: there are several replicas and several processes.
    """
    if len(replicas) > 1 and world_size() > 1:
        raise RuntimeError(
            "batch statistics are shared between the replicas of one process or between processes, "
            "not both: give each process a single device"
        )
    rendezvous = Rendezvous(len(replicas))
    layers = [_sync_layers(replica) for replica in replicas]
    for index, named in enumerate(layers):
        if named.keys() != layers[0].keys():
            raise ValueError(f"replica {index} lacks SyncBatchNorm2d layers of replica 0, or adds")
        for name, layer in named.items():
            layer.link = ReplicaLink(rendezvous, index, name) if len(replicas) > 1 else None
    return rendezvous


def run_linked(
    replicas: Sequence[nn.Module],
    inputs: Sequence[tuple[Any, ...]],
    kwargs: Sequence[dict[str, Any]] | None = None,
    *,
    devices: Sequence[int] = (),
) -> list[Any]:
    """Link the replicas, and run each on its share of the inputs in a thread of its own.

    torch's own parallel_apply will not do: it joins threads that may wait for one that has failed,
    and runs autocast regions in the default type whatever the caller has chosen.

    Args:
        replicas: R copies of one module, as torch.nn.parallel.replicate makes them.
        inputs: R tuples of positional arguments.
        kwargs: R dictionaries of keyword arguments.
        devices: R CUDA devices; none if the replicas are on the CPU.

    Returns:
        The R outputs. If replicas fail, the exception that was raised first is raised here.
    """
    rendezvous = link_replicas(replicas)
    caller = _CallerState(devices)
    outputs: list[Any] = [None] * len(replicas)

    def run(index: int) -> None:
        arguments = kwargs[index] if kwargs else {}
        # The rendezvous keeps the exception for the calling thread.
        with suppress(BaseException), rendezvous.attend(index), caller.restored(index):
            outputs[index] = replicas[index](*inputs[index], **arguments)

    threads = [
        threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(replicas))
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException as error:  # Ctrl-C, or no room for one more thread
        rendezvous.abort(error)
        raise
    if rendezvous.failure is not None:
        raise rendezvous.failure
    return outputs


def _sync_layers(module: nn.Module) -> dict[str, SyncBatchNorm2d]:
    return {
        name: layer for name, layer in module.named_modules() if isinstance(layer, SyncBatchNorm2d)
    }


class _CallerState:
    """What torch keeps per thread, as the caller has it: gradient mode, autocast, streams."""

    def __init__(self, devices: Sequence[int]) -> None:
        self.streams = [torch.cuda.current_stream(device) for device in devices]
        self.grad = torch.is_grad_enabled()
        self.device_type = "cuda" if devices else "cpu"
        self.autocast = torch.is_autocast_enabled(self.device_type)
        self.autocast_dtype = torch.get_autocast_dtype(self.device_type)

    @contextmanager
    def restored(self, index: int) -> Iterator[None]:
        """Span the work of one thread on the device of this index."""
        with ExitStack() as stack:
            # Of every device, as rows are fetched on the streams that compute them there. The
            # last stream entered decides the device.
            for stream in [*self.streams, *self.streams[index : index + 1]]:
                stack.enter_context(torch.cuda.stream(stream))
            stack.enter_context(torch.set_grad_enabled(self.grad))
            stack.enter_context(
                torch.autocast(self.device_type, self.autocast_dtype, enabled=self.autocast)
            )
            yield
