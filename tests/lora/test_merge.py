"""Merging adds up changes, exactly or as well as the rank allows."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from ksh_studio.errors import StudioError
from ksh_studio.lora.file.adapter_types import group_by_module
from ksh_studio.lora.file.header import read_header
from ksh_studio.lora.merge import merge
from ksh_studio.lora.on_base.attach import attach
from ksh_studio.lora.on_base.delta import delta_matrix
from ksh_studio.lora.save import save_lora
from tests.lora.bases import distance, outputs
from tests.tiny import tiny_lora_file


def changes(path):
    return {module: delta_matrix(roles) for module, roles in group_by_module(load_file(path)).items()}


def test_a_merge_is_the_weighted_sum_of_the_changes(two_loras, load_base, tmp_path):
    merged = merge([(two_loras[0], 0.7), (two_loras[1], -0.4)], tmp_path / "both.safetensors")
    first, second, both = changes(two_loras[0]), changes(two_loras[1]), changes(merged.header.path)
    assert both.keys() == first.keys()
    for module, change in both.items():
        expected = 0.7 * first[module] - 0.4 * second[module]
        assert (change - expected).abs().max() < 4e-3 * expected.abs().max()
    assert merged.error < 1e-3 and merged.header.rank == 6
    _, base = load_base()
    attach(base, merged.header.path)
    together = outputs(base)
    _, apart = load_base()
    attach(apart, two_loras[0], 0.7, "style-0")
    attach(apart, two_loras[1], -0.4, "style-1")
    assert distance(outputs(apart), together) < 1e-2
    assert distance(outputs(load_base()[1]), together) > 0.05


def test_a_smaller_rank_keeps_the_most_that_it_can(two_loras, tmp_path):
    files = [(two_loras[0], 1.0), (two_loras[1], 1.0)]
    exact = changes(merge(files, tmp_path / "exact.safetensors").header.path)
    errors = []
    for rank in (1, 3, 6):
        merged = merge(files, tmp_path / f"rank-{rank}.safetensors", rank)
        assert merged.header.rank == rank
        cut, lost, whole = changes(merged.header.path), 0.0, 0.0
        for module, full in exact.items():
            sizes = torch.linalg.svdvals(full)
            best = sizes[rank:].square().sum().sqrt()  # Eckart and Young: no matrix of this rank is closer
            assert (cut[module] - full).norm() <= best + 3e-3 * sizes.norm()
            lost, whole = lost + best.square(), whole + sizes.square().sum()
        assert merged.error == pytest.approx(float((lost / whole).sqrt()), abs=3e-3)
        errors.append(merged.error)
    assert errors[0] > errors[1] > errors[2]


def test_averaging_the_factors_would_be_another_picture(two_loras, tmp_path):
    """Why it is not done."""
    same = [two_loras[0], tmp_path / "turned.safetensors"]
    tensors = load_file(two_loras[0])
    turned = {k: -v if k.endswith(("up.weight", "down.weight")) else v for k, v in tensors.items()}
    save_file(turned, same[1], read_header(two_loras[0]).metadata)
    one, merged = changes(same[0]), changes(merge([(p, 0.5) for p in same], tmp_path / "both.safetensors").header.path)
    assert all(torch.allclose(merged[m], one[m], atol=4e-3 * one[m].abs().max().item()) for m in one)  # factors give 0


def test_the_merge_says_what_it_was_made_of(two_loras, tmp_path):
    header = merge([(two_loras[0], 0.5), (two_loras[1], 0.5)], tmp_path / "both.safetensors").header
    assert header.metadata["modelspec.merged_from"] == "part-0, part-1"
    assert "part-0 x 0.5, part-1 x 0.5" in header.metadata["ss_training_comment"]
    assert (header.metadata["ss_output_name"], header.metadata["ss_network_dim"]) == ("both", "6")
    assert header.trigger == read_header(two_loras[0]).trigger and header.base == "tiny"
    assert header.metadata["sshs_model_hash"] != read_header(two_loras[0]).metadata["sshs_model_hash"]
    assert json.loads(header.path.with_suffix(".json").read_text())["activation text"] == header.trigger


@pytest.mark.parametrize("adapter_type", ["dora", "loha", "lokr"])
def test_what_cannot_be_added_up_is_refused(adapter_type, two_loras, random_adapter, metadata, tmp_path):
    base, weights = random_adapter(adapter_type, text_encoder=False)
    other = save_lora(tmp_path / "other.safetensors", base, weights, metadata).path
    with pytest.raises(StudioError, match=f"other.safetensors is a {adapter_type}"):
        merge([(two_loras[0], 0.5), (other, 0.5)], tmp_path / "no.safetensors")
    assert not (tmp_path / "no.safetensors").exists()


def test_files_of_unlike_bases_one_file_and_a_bad_rank_are_refused(two_loras, tmp_path):
    wide = tiny_lora_file(tmp_path / "wide.safetensors", width=48)
    target = tmp_path / "no.safetensors"
    with pytest.raises(StudioError, match="do not go together"):
        merge([(two_loras[0], 0.5), (wide, 0.5)], target)
    with pytest.raises(StudioError, match="at least two"):
        merge([(two_loras[0], 1.0)], target)
    with pytest.raises(StudioError, match="rank 0"):
        merge([(two_loras[0], 0.5), (two_loras[1], 0.5)], target, rank=0)
    with pytest.raises(StudioError, match="not finite"):
        merge([(two_loras[0], 1e9), (two_loras[1], 0.5)], target)
    assert not target.exists()


def test_nothing_that_is_there_already_is_written_over(two_loras, tmp_path):
    """Not even the card beside it: the folder may be the artist's own."""
    files = [(path, 0.5) for path in two_loras]
    (tmp_path / "mine.json").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for target in (two_loras[0], tmp_path / "mine.safetensors"):
        with pytest.raises(StudioError, match="already a file"):
            merge(files, target)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
