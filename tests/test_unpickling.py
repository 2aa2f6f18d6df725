"""Torch files made by hand to mislead: none crashes, runs code or unpacks to more than it holds."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import UserError
from engine.unpickling import unpickle

WEIGHT = torch.arange(6.0).view(2, 3)


def saved(content: object, *, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def records(whole: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(parts: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def refusal(path: Path, content: bytes) -> str:
    """The words, behind the path, with which a file of this content is refused."""
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        unpickle(path)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value).removeprefix(f"{path}: ")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.pth.tar"


@pytest.mark.parametrize("legacy", [False, True])
def test_numpys_scalars_are_numbers(path: Path, legacy: bool) -> None:
    numbers = [np.float64(1.5), np.float32(2.5), np.float16(0.5), np.int64(-3), np.uint8(200)]
    numbers += [np.bool_(True), np.frombuffer(b"\x40\x09\x00\x00\x00\x00\x00\x00", ">f8")[0]]
    path.write_bytes(saved({"best_l1": numbers}, legacy=legacy))
    found = unpickle(path)
    assert found == {"best_l1": [1.5, 2.5, 0.5, -3, 200, True, 3.125]}
    assert isinstance(found, dict)
    assert {type(number) for number in found["best_l1"]} == {float, int, bool}


def test_numpys_scalars_of_earlier_versions_are_numbers(path: Path) -> None:
    """The module has another name there."""
    parts = records(saved({"epoch": np.int64(7)}))
    pickled = parts["archive/data.pkl"]
    for module in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        renamed = pickled.replace(b"numpy._core.multiarray", module)
        path.write_bytes(archive_of({**parts, "archive/data.pkl": renamed}))
        assert unpickle(path) == {"epoch": 7}


def test_numpys_arrays_stay_refused_by_name(path: Path) -> None:
    assert "multiarray._reconstruct" in refusal(path, saved({"a": np.zeros(3)}))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_flipped_byte_in_a_name_is_damage_and_not_code(path: Path, legacy: bool) -> None:
    whole = saved({"generator": {"weight": WEIGHT, "steps": torch.tensor(1)}}, legacy=legacy)
    flips = 0
    for name in (b"torch._utils\n_rebuild_tensor_v2", b"torch\nFloatStorage"):
        start = whole.index(name)
        for place in range(start, start + len(name)):
            damaged = bytearray(whole)
            damaged[place] ^= 1
            assert refusal(path, bytes(damaged)).startswith("truncated, damaged, or not")
            flips += 1
    assert flips > 40
    strange = whole.replace(b"\n_rebuild_tensor_v2", b"\n_rebuild_by_forces")
    assert "run code that it names, torch._utils._rebuild_by_forces" in refusal(path, strange)


def test_a_storage_that_claims_more_than_its_record_is_refused(path: Path) -> None:
    parts = records(saved({"weight": WEIGHT}))
    assert parts["archive/data/0"] == WEIGHT.numpy().tobytes()
    parts["archive/data/0"] = parts["archive/data/0"][:4]
    assert refusal(path, archive_of(parts)).startswith("truncated, damaged, or not")


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_an_archive_that_unpacks_to_more_than_it_is_is_refused(
    path: Path, compression: int
) -> None:
    whole = records(saved({"weight": torch.zeros(2_500_000)}))
    bomb = archive_of(whole, compression=compression)
    assert len(bomb) < 20_000
    assert refusal(path, bomb).startswith("its records claim 10,")


def test_records_that_share_their_bytes_are_refused(path: Path) -> None:
    """The directory names one record, of a fifth of the file, a thousand times."""
    content = archive_of({"archive/data/0": bytes(10_000), "archive/rest": bytes(40_000)})
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    first = content[start : content.index(b"PK\x01\x02", start + 4)]
    directory = first * 1000
    tail = bytearray(content[end:])
    tail[8:10] = tail[10:12] = (1000).to_bytes(2, "little")
    tail[12:16] = len(directory).to_bytes(4, "little")
    assert refusal(path, content[:start] + directory + bytes(tail)).startswith("its records claim")


HOSTILE = {
    "items set in a tensor": b"\x80\x02ctorch\nTensor\n)R(K\x00K\x01u.",
    "an item set in a tensor": b"\x80\x02ctorch\nTensor\n)RK\x00K\x01s.",
    "items appended to text": b"\x80\x02X\x01\x00\x00\x00a(K\x01e.",
    "a call of a number": b"\x80\x02K\x01)R.",
    "a state for a number": b"\x80\x02K\x01}b.",
    "memory that never was": b"\x80\x02h\x07.",
    "an empty stack": b"\x80\x02R.",
    "text of 4 GB": b"\x80\x02X\xff\xff\xff\xff.",
    "a storage without a record": b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    b"X\x01\x00\x00\x009X\x03\x00\x00\x00cpuJ\xff\xff\xff\x7ftQ.",
    "nothing": b"",
}


@pytest.mark.parametrize("trick", HOSTILE)
def test_a_hostile_pickle_is_refused(path: Path, trick: str) -> None:
    parts = {**records(saved({})), "archive/data.pkl": HOSTILE[trick]}
    assert refusal(path, archive_of(parts)).startswith("truncated, damaged, or not")


def test_a_pickle_may_be_as_deep_as_it_likes(path: Path) -> None:
    deep = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    path.write_bytes(archive_of({**records(saved({})), "archive/data.pkl": deep}))
    assert isinstance(unpickle(path), list)


def test_what_only_pickle_reads_is_refused(path: Path) -> None:
    assert refusal(path, pickle.dumps({"epoch": 3})).startswith("truncated, damaged, or not")
