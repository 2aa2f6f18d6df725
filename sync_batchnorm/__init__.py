"""Batch statistics shared across replicas, whether they are threads of one process or processes."""

from sync_batchnorm.data_parallel import SyncDataParallel, link_replicas, run_linked
from sync_batchnorm.layer import SyncBatchNorm2d, freeze_statistics
from sync_batchnorm.rendezvous import Rendezvous, RendezvousError

__all__ = [
    "Rendezvous",
    "RendezvousError",
    "SyncBatchNorm2d",
    "SyncDataParallel",
    "freeze_statistics",
    "link_replicas",
    "run_linked",
]
