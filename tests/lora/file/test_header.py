import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from ksh_studio.errors import StudioError
from ksh_studio.lora.file.header import read_header

GOOD = {"a.lora_down.weight": torch.ones(4, 8), "a.lora_up.weight": torch.ones(8, 4), "a.alpha": torch.tensor(4.0)}


def entry(shape, start, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def write(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def test_a_plain_file_is_read(tmp_path):
    save_file(GOOD, tmp_path / "a.safetensors", {"modelspec.trigger_phrase": "by me", "ss_steps": "12"})
    header = read_header(tmp_path / "a.safetensors")
    assert (header.trigger, header.step, header.rank, header.module_count, header.base, header.only_base) == (
        "by me",
        12,
        4,
        1,
        "",
        "",
    )


def pair(down, up, dtype="F32"):
    first, second = 4 * down[0] * down[1], 4 * up[0] * up[1]
    return {
        "a.lora_down.weight": entry(down, 0, first, dtype),
        "a.lora_up.weight": entry(up, first, first + second, dtype),
    }


HOSTILE = {
    "a length of 2^63": (b"{}", b"", 2**63, "larger than 10 MB"),
    "a claim of 200 MB": (b"{}", b"", 200 * 2**20, "larger than 10 MB"),
    "no JSON": (b"\x80nonsense", b"", None, "damaged"),
    "JSON 100,000 deep": (b"[" * 100_000, b"", None, "damaged"),
    "a list": (b"[]", b"", None, "damaged"),
    "the same key twice": (b'{"a.lora_down.weight": {}, "a.lora_down.weight": {}}', b"", None, "damaged"),
    "metadata of numbers": ({"__metadata__": {"a": 1}, **pair([1, 1], [1, 1])}, b"\0" * 8, None, "damaged"),
    "a shape that lies": ({"a.lora_down.weight": entry([4, 8], 0, 4)}, b"\0" * 4, None, "damaged"),
    "a negative side": ({"a.lora_down.weight": entry([-1, -1], 0, 4)}, b"\0" * 4, None, "damaged"),
    "trailing bytes": (pair([1, 1], [1, 1]), b"\0" * 99, None, "damaged"),
    "a truncated end": (pair([1, 1], [1, 1]), b"\0" * 4, None, "damaged"),
    "a down without its up": ({"a.lora_down.weight": entry([1, 1], 0, 4)}, b"\0" * 4, None, "damaged"),
    "an up of another rank": (pair([2, 1], [1, 3]), b"\0" * 20, None, "damaged"),
    "numbers of 8 bits": (pair([1, 1], [1, 1], "I8"), b"\0" * 8, None, "type 'I8'"),
    "rank 100,000": (pair([100_000, 1], [1, 100_000]), b"\0" * 800_000, None, "rank 100000"),
    "a path as a key": ({"../../x": entry([1], 0, 4)}, b"\0" * 4, None, "holds no LoRA"),
    "a name of 300 letters": ({"x" * 300: entry([1], 0, 4)}, b"\0" * 4, None, "no LoRA has"),
    "a name with a line end": ({"a\n.alpha": entry([1], 0, 4)}, b"\0" * 4, None, "no LoRA has"),
    "no LoRA": ({"model.weight": entry([1], 0, 4)}, b"\0" * 4, None, "holds no LoRA"),
    "300,000 tensors": ({f"t{n}": entry([0], 0, 0) for n in range(30_000)}, b"", None, "at most 20000"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_header_is_refused_with_one_sentence(case, tmp_path):
    header, data, length, sentence = HOSTILE[case]
    with pytest.raises(StudioError, match=sentence):
        read_header(write(tmp_path / "a.safetensors", header, data, length))


def test_an_empty_file_and_a_pickle_are_refused(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"")
    (tmp_path / "a.ckpt").write_bytes(b"\x80\x04")
    with pytest.raises(StudioError, match="damaged"):
        read_header(tmp_path / "a.safetensors")
    with pytest.raises(StudioError, match="not a .safetensors"):
        read_header(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("lora_unet_x.oft_blocks", "OFT or BOFT"),
        ("lora_unet_x.a1.weight", "GLoRA"),
        ("lora_unet_x.on_input", "IA3"),
        ("emb.string_to_param.*", "embedding"),
        ("model.diffusion_model.out.2.weight", "whole base model"),
        ("something.weight", "holds no LoRA"),
    ],
)
def test_a_file_without_a_lora_says_what_it_is(key, sentence, tmp_path):
    save_file({key: torch.ones(2, 2), "lora_unet_x.alpha": torch.tensor(1.0)}, tmp_path / "a.safetensors")
    with pytest.raises(StudioError, match=sentence):
        read_header(tmp_path / "a.safetensors")
