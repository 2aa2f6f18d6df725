"""R replicas with shares of a batch are one device with the whole batch; and none ever hangs."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from replicas import replicate_on_cpu
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.testing import assert_close

from sync_batchnorm import (
    Rendezvous,
    RendezvousError,
    SyncBatchNorm2d,
    SyncDataParallel,
    freeze_statistics,
    link_replicas,
    run_linked,
)

same = partial(assert_close, atol=1e-5, rtol=1e-5)
SHARES = {"equal": (3, 3), "unequal": (5, 1), "empty": (6, 0)}


class Net(nn.Module):
    """Two layers, called twice in one forward, as a keypoint detector is."""

    def __init__(self, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3), norm(4), nn.ReLU(), nn.Conv2d(4, 2, 3, bias=False), norm(2)
        )
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2 + 0.2)

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.body(images), self.body(images.square() + 1)], dim=1)


class Calls(nn.Module):
    """Calls its layers `a` and `b` as told; at a `!`, it fails."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = SyncBatchNorm2d(1), SyncBatchNorm2d(1)

    def forward(self, sequence: str) -> str:
        for name in sequence:
            if name == "!":
                raise LookupError("boom")
            getattr(self, name)(torch.randn(2, 1, 2, 2))
        return sequence


class Outcome(NamedTuple):
    output: Tensor
    image_grad: Tensor | None
    parameter_grads: dict[str, Tensor | None]
    buffers: dict[str, Tensor]


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(6, 3, 7, 6, generator=generator)
    images = images * torch.linspace(0.2, 1.5, 6).view(6, 1, 1, 1) + 1  # no share is like another
    return images, torch.randn(6, 4, 3, 2, generator=generator)


def outcome(
    net: nn.Module,
    images: Tensor,
    weights: Tensor,
    *,
    call: Callable[[Tensor], Tensor],
    frozen_images: bool = False,
) -> Outcome:
    images = images.clone().requires_grad_(not frozen_images)
    output = call(images)
    if output.requires_grad:
        (output * weights).sum().backward()
    grads = {name: parameter.grad for name, parameter in net.named_parameters()}
    return Outcome(output.detach(), images.grad, grads, dict(net.named_buffers()))


def in_threads(net: nn.Module, shares: Sequence[int]) -> Callable[[Tensor], Tensor]:
    def call(images: Tensor) -> Tensor:
        parts = [(part,) for part in images.split(list(shares))]
        return torch.cat(run_linked(replicate_on_cpu(net, len(shares)), parts))

    return call


def ending(call: Callable[[], object]) -> BaseException | None:
    """The exception that a call ends in. A call that hangs fails the test and does not stop it."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "the replicas wait for each other for ever"
    return raised[0] if raised else None


@pytest.mark.parametrize("shares", [(3, 3), (2, 2, 2), (5, 1), (1, 3, 2)])
def test_threads_equal_one_device_with_the_whole_batch(shares: tuple[int, ...]) -> None:
    plain, net = Net(nn.BatchNorm2d), Net(SyncBatchNorm2d)
    net.load_state_dict(plain.state_dict())
    for _ in range(2):  # the running statistics go on from where they are
        expected = outcome(plain, *batch(), call=plain)
        same(outcome(net, *batch(), call=in_threads(net, shares)), expected)


@pytest.mark.parametrize(
    "options",
    [
        {"affine": False},
        {"track_running_stats": False},
        {"momentum": None},
        {"momentum": 0.3, "eps": 0.1},
    ],
)
@pytest.mark.parametrize("frozen_images", [False, True])
def test_options_mean_what_they_mean_on_one_device(
    options: dict[str, Any], frozen_images: bool
) -> None:
    plain, net = Net(partial(nn.BatchNorm2d, **options)), Net(partial(SyncBatchNorm2d, **options))
    for _ in range(2):
        expected = outcome(plain, *batch(), call=plain, frozen_images=frozen_images)
        call = in_threads(net, (4, 2))
        same(outcome(net, *batch(), call=call, frozen_images=frozen_images), expected)


def test_statistics_without_gradients_in_train_mode() -> None:
    plain, net = Net(nn.BatchNorm2d), Net(SyncBatchNorm2d)
    with torch.no_grad():
        same(in_threads(net, (4, 2))(batch()[0]), plain(batch()[0]))
    same(dict(net.named_buffers()), dict(plain.named_buffers()))


def test_only_the_first_replica_tracks_and_only_if_it_should() -> None:
    replicas: list[Any] = [*replicate_on_cpu(SyncBatchNorm2d(3), 2)]
    halves = [(half,) for half in batch()[0].split(3)]
    run_linked(replicas, halves)
    for replica in replicas:
        replica.track_running_stats = False  # as on one device, it may be switched off later
    run_linked(replicas, halves)
    assert [int(replica.num_batches_tracked) for replica in replicas] == [1, 0]
    assert replicas[1].running_mean.tolist() == [0, 0, 0]


def test_one_device_and_one_replica_are_plain_bit_for_bit() -> None:
    expected = outcome(plain := Net(nn.BatchNorm2d), *batch(), call=plain)
    exact = partial(assert_close, atol=0, rtol=0)
    exact(outcome(net := Net(SyncBatchNorm2d), *batch(), call=net), expected)
    exact(outcome(net := Net(SyncBatchNorm2d), *batch(), call=in_threads(net, (6,))), expected)


def test_eval_mode_is_plain_and_meets_nobody() -> None:
    plain, net = nn.BatchNorm2d(3).eval(), SyncBatchNorm2d(3).eval()
    replicas = replicate_on_cpu(net, 2)
    link_replicas(replicas)
    images = batch()[0]
    assert ending(lambda: replicas[0](images)) is None
    assert torch.equal(replicas[0](images), plain(images))


def test_large_mean_keeps_a_small_variance() -> None:
    images = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0)) + 1000
    net = SyncBatchNorm2d(3, momentum=1.0)
    output = in_threads(net, (2, 4))(images)
    exact = nn.BatchNorm2d(3, momentum=1.0).double()
    expected = exact(images.double())
    assert_close(net.running_var, exact.running_var, rtol=1e-4, atol=0, check_dtype=False)
    assert_close(output, expected, atol=2e-4, rtol=0, check_dtype=False)


def test_bfloat16_input_has_float32_statistics() -> None:
    images = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = (images * 5 + 20).bfloat16()
    plain, net = nn.BatchNorm2d(3), SyncBatchNorm2d(3)
    output = in_threads(net, (2, 4))(images)
    assert output.dtype == torch.bfloat16
    assert_close(output, plain(images.float()).bfloat16())
    same(dict(net.named_buffers()), dict(plain.named_buffers()))


def test_channels_last_stays_channels_last() -> None:
    images = batch()[0].to(memory_format=torch.channels_last)
    halves = [(half,) for half in images.split(3)]
    for output in run_linked(replicate_on_cpu(SyncBatchNorm2d(3), 2), halves):
        assert output.is_contiguous(memory_format=torch.channels_last)


def test_single_values_make_statistics_only_together() -> None:
    pair = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    assert in_threads(SyncBatchNorm2d(1, eps=0), (1, 1))(pair).flatten().tolist() == [-1, 1]
    alone = ending(lambda: in_threads(SyncBatchNorm2d(1), (1, 0))(pair[:1]))
    assert isinstance(alone, ValueError)
    assert "more than 1 value per channel" in str(alone)


def test_rows_come_in_the_order_of_the_replicas_whoever_is_first() -> None:
    rendezvous, received = Rendezvous(4), {}

    def run(replica: int) -> None:
        row = torch.tensor([float(replica)])
        rows = rendezvous.exchange(row, layer="a", replica=replica)
        received[replica] = torch.cat(rows).tolist()

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in (3, 1, 0, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert list(received.values()) == [[0, 1, 2, 3]] * 4


@pytest.mark.parametrize(
    "sequences",
    [
        ("a", ""),
        ("aaa", "aa"),
        ("aab", "ab"),
        ("ab", "ba"),
        ("abab", "abab", "aba"),
        ("", "a", "a"),
    ],
)
def test_calls_that_do_not_match_are_an_error_at_once(sequences: tuple[str, ...]) -> None:
    for inputs in (sequences, sequences[::-1]):
        replicas = replicate_on_cpu(Calls(), len(inputs))
        error = ending(partial(run_linked, replicas, [(sequence,) for sequence in inputs]))
        assert isinstance(error, RendezvousError)
        assert "must call the same layers" in str(error)


def test_one_module_is_not_two_replicas() -> None:
    assert isinstance(ending(lambda: run_linked([Calls()] * 2, [("a",)] * 2)), RendezvousError)


@pytest.mark.parametrize("sequences", [("!", "ab"), ("ab", "a!"), ("aba", "aba", "ab!")])
def test_own_exception_of_a_replica_comes_out(
    sequences: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    parallel = SyncDataParallel(Calls())
    replicas = replicate_on_cpu(parallel.module, len(sequences))
    inputs = [(sequence,) for sequence in sequences]
    error = ending(lambda: parallel.parallel_apply(replicas, inputs, None))
    assert isinstance(error, LookupError)
    assert error.args == ("boom",)
    assert parallel.parallel_apply(replicas, [("aba",)] * len(sequences), None)


def test_data_parallel_without_gpus_is_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    images = batch()[0]
    output = SyncDataParallel(Net(SyncBatchNorm2d))(images)
    assert torch.equal(output, Net(nn.BatchNorm2d)(images))


def test_threads_run_in_the_modes_of_the_caller() -> None:
    replicas, inputs = replicate_on_cpu(nn.Linear(2, 2), 2), [(torch.ones(1, 2),)] * 2
    for output in run_linked(replicas, inputs):
        assert (output.dtype, output.requires_grad) == (torch.float32, True)
    with torch.no_grad(), torch.autocast("cpu", torch.float16):
        outputs = run_linked(replicas, inputs)
    for output in outputs:
        assert (output.dtype, output.requires_grad) == (torch.float16, False)


def test_replicas_of_different_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="replica 1"):
        link_replicas([Net(SyncBatchNorm2d), Calls()])


def _process(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    store = (folder / "store").as_uri()
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    images, weights = batch()
    results: dict[str, Any] = {}
    for name, shares in SHARES.items():
        net = Net(SyncBatchNorm2d)
        part, weight = images.split(shares)[rank], weights.split(shares)[rank]
        results[name] = outcome(net, part, weight, call=net)
    ddp = DistributedDataParallel(Net(SyncBatchNorm2d))
    (ddp(images.split(3)[rank]) * weights.split(3)[rank]).mean().backward()
    results["ddp"] = {name: p.grad for name, p in ddp.module.named_parameters()}
    try:
        link_replicas(replicate_on_cpu(net, 2))
    except RuntimeError as error:
        results["both"] = str(error)
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two processes of one group computed, each with its share of the batch."""
    folder = tmp_path_factory.mktemp("group")
    context = mp.spawn(_process, args=(folder,), nprocs=2, join=False)
    deadline = time.monotonic() + 120
    while not context.join(timeout=10):
        if time.monotonic() > deadline:
            for process in context.processes:
                process.kill()
            pytest.fail("the processes wait for each other for ever")
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


@pytest.mark.parametrize("name", SHARES)
def test_processes_equal_one_device_with_the_whole_batch(
    name: str, processes: list[dict[str, Any]]
) -> None:
    plain = Net(nn.BatchNorm2d)
    expected = outcome(plain, *batch(), call=plain)
    first, second = (Outcome(*result[name]) for result in processes)
    same(torch.cat([first.output, second.output]), expected.output)
    assert first.image_grad is not None
    assert second.image_grad is not None
    same(torch.cat([first.image_grad, second.image_grad]), expected.image_grad)
    for parameter, grad in expected.parameter_grads.items():
        shares = [part.parameter_grads[parameter] for part in (first, second)]
        same(sum(share for share in shares if share is not None), grad)
    same(first.buffers, expected.buffers)
    same(second.buffers, expected.buffers)


def test_distributed_data_parallel_has_the_gradients_of_the_mean_loss(
    processes: list[dict[str, Any]],
) -> None:
    images, weights = batch()
    net = Net(nn.BatchNorm2d)
    (net(images) * weights).mean().backward()
    for name, parameter in net.named_parameters():
        same(processes[0]["ddp"][name], parameter.grad)
        same(processes[1]["ddp"][name], parameter.grad)


def test_threads_within_processes_are_refused(processes: list[dict[str, Any]]) -> None:
    assert "single device" in processes[0]["both"]


def test_frozen_statistics_stay_and_are_used_in_training() -> None:
    norm = SyncBatchNorm2d(4)
    mean, var = torch.tensor([0.5, 0.0, -1.0, 2.0]), torch.tensor([4.0, 1.0, 0.25, 9.0])
    norm.load_state_dict({**norm.state_dict(), "running_mean": mean, "running_var": var})
    network = nn.Sequential(nn.Conv2d(3, 4, 1), norm)
    image = torch.randn(2, 3, 5, 5)
    expected = network.eval()(image)
    freeze_statistics(network)
    output = network.train()(image)
    assert network.training and not norm.training
    assert_close(output, expected)
    assert norm.running_mean is not None and torch.equal(norm.running_mean, mean)
    output.square().sum().backward()
    assert norm.weight.grad is not None and norm.weight.grad.abs().min() > 0
