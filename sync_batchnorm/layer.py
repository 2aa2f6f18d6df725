"""Batch normalisation over the whole batch, wherever its shares are."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from sync_batchnorm.moments import Moments, measure, merge, normalise
from sync_batchnorm.process_group import gather_rows, world_size
from sync_batchnorm.rendezvous import Rendezvous


class ReplicaLink(NamedTuple):
    """A layer's seat at the rendezvous: which replica it is part of, and its name there."""

    rendezvous: Rendezvous
    replica: int
    layer: str

    def gather_rows(self, row: Tensor) -> Tensor:
        """Gather a row (N,) of every replica: (R, N), on the device of `row`, in their order."""
        rows = self.rendezvous.exchange(row, layer=self.layer, replica=self.replica)
        return torch.stack([other.to(row.device) for other in rows])


class SyncBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d whose training statistics are those of all replicas' shares taken together.

    The replicas are threads joined by `link_replicas`, or the processes of torch.distributed's
    default group. R replicas, with equal shares of a batch or unequal ones, give the outputs,
    gradients and running statistics of one BatchNorm2d over the whole batch. Without replicas, and
    in eval mode, this is BatchNorm2d, bit for bit. Parameters and buffers have the same names.

    All replicas must call the layer equally often. Threads get an error if they do not; processes
    wait until their process group's timeout.

    Takes and returns (B, C, H, W), in the type of the input; statistics are float32 or better.

    Raises:
        ValueError: in training, if the replicas hold a single value per channel between them.
    """

    link: ReplicaLink | None = None
    frozen = False
    """Whether training, too, normalises by the running statistics, and leaves them as they are."""

    def train(self, mode: bool = True) -> "SyncBatchNorm2d":
        return super().train(mode and not self.frozen)

    def forward(self, input: Tensor) -> Tensor:
        shared = self.link is not None or world_size() > 1
        if not (self.training and shared):
            return super().forward(input)
        self._check_input_dim(input)
        share = measure(input)
        gather = gather_rows if self.link is None else self.link.gather_rows
        whole = merge(gather(share.row))
        # Only a share this small needs the total, for which a GPU would have to be waited for.
        if input[:, 0].numel() <= 1 and whole.total <= 1:
            raise ValueError(
                "Expected more than 1 value per channel when training, over all replicas, "
                f"got input size {input.size()}"
            )
        self._update_running_statistics(whole)
        output = normalise(share, whole, eps=self.eps, weight=self.weight, bias=self.bias)
        return output.to(input.dtype)

    @torch.no_grad()
    def _update_running_statistics(self, whole: Moments) -> None:
        # The buffers of replica 0 are those of the original module, other replicas' are thrown
        # away (DataParallel). They have to change in place for the original to see it.
        is_copy = self.link is not None and self.link.replica > 0
        mean, var, batches = self.running_mean, self.running_var, self.num_batches_tracked
        if is_copy or not self.track_running_stats:
            return
        if mean is None or var is None or batches is None:
            return
        batches.add_(1)
        factor = 1 / int(batches) if self.momentum is None else self.momentum
        mean.lerp_(whole.mean.to(mean.dtype), factor)
        var.lerp_((whole.squares / (whole.total - 1)).to(var.dtype), factor)


def freeze_statistics(network: nn.Module) -> None:
    """Freeze every such layer of a network."""
    for layer in network.modules():
        if isinstance(layer, SyncBatchNorm2d):
            layer.frozen = True
            layer.eval()
