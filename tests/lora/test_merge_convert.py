"""Merging adds up changes, exactly or as well as the rank allows; converting changes the spelling and nothing else."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from ksh_studio.errors import StudioError
from ksh_studio.lora.convert import to_diffusers
from ksh_studio.lora.file.header import read_header
from ksh_studio.lora.file.kinds import by_module
from ksh_studio.lora.merge import merge
from ksh_studio.lora.on_base.attach import attach
from ksh_studio.lora.on_base.delta import matrix
from ksh_studio.lora.save import save_lora
from tests.lora.file.test_kinds import distance, outputs, taught  # noqa: F401 - a fixture
from tests.tiny import tiny_lora_file


@pytest.fixture
def two(trained, metadata, tmp_path):
    """Two LoRA files of unlike rank and alpha, convolutions and text encoder in them."""
    paths = []
    for n, (rank, alpha) in enumerate([(4, 2.0), (2, 3.0)]):
        base, weights = trained("all", rank=rank, alpha=alpha)
        random = torch.Generator().manual_seed(n)
        for part in (weights.unet, weights.text_encoder):
            for key, value in part.items():
                part[key] = torch.randn(value.shape, generator=random) * 0.2
        paths.append(save_lora(tmp_path / f"part-{n}.safetensors", base, weights, metadata).path)
    return paths


def changes(path):
    return {module: matrix(roles) for module, roles in by_module(load_file(path)).items()}


def test_a_merge_is_the_weighted_sum_of_the_changes(two, fresh, tmp_path):
    merged = merge([(two[0], 0.7), (two[1], -0.4)], tmp_path / "both.safetensors")
    first, second, both = changes(two[0]), changes(two[1]), changes(merged.info.path)
    assert both.keys() == first.keys()
    for module, change in both.items():
        wanted = 0.7 * first[module] - 0.4 * second[module]
        assert (change - wanted).abs().max() < 4e-3 * wanted.abs().max()
    assert merged.error < 1e-3 and merged.info.rank == 6
    _, base = fresh()
    attach(base, merged.info.path)
    together = outputs(base)
    _, apart = fresh()
    attach(apart, two[0], 0.7, "style-0")
    attach(apart, two[1], -0.4, "style-1")
    assert distance(outputs(apart), together) < 1e-2
    assert distance(outputs(fresh()[1]), together) > 0.05


def test_a_smaller_rank_keeps_the_most_that_it_can(two, tmp_path):
    files = [(two[0], 1.0), (two[1], 1.0)]
    exact = changes(merge(files, tmp_path / "exact.safetensors").info.path)
    errors = []
    for rank in (1, 3, 6):
        merged = merge(files, tmp_path / f"rank-{rank}.safetensors", rank)
        assert merged.info.rank == rank
        cut, lost, whole = changes(merged.info.path), 0.0, 0.0
        for module, full in exact.items():
            sizes = torch.linalg.svdvals(full)
            best = sizes[rank:].square().sum().sqrt()  # Eckart and Young: no matrix of this rank is closer
            assert (cut[module] - full).norm() <= best + 3e-3 * sizes.norm()
            lost, whole = lost + best.square(), whole + sizes.square().sum()
        assert merged.error == pytest.approx(float((lost / whole).sqrt()), abs=3e-3)
        errors.append(merged.error)
    assert errors[0] > errors[1] > errors[2]


def test_averaging_the_factors_would_be_another_picture(two, tmp_path):
    """Why it is not done."""
    same = [two[0], tmp_path / "turned.safetensors"]
    tensors = load_file(two[0])
    turned = {k: -v if k.endswith(("up.weight", "down.weight")) else v for k, v in tensors.items()}
    save_file(turned, same[1], read_header(two[0]).metadata)
    one, merged = changes(same[0]), changes(merge([(p, 0.5) for p in same], tmp_path / "both.safetensors").info.path)
    assert all(torch.allclose(merged[m], one[m], atol=4e-3 * one[m].abs().max().item()) for m in one)  # factors give 0


def test_the_merge_says_what_it_was_made_of(two, tmp_path):
    info = merge([(two[0], 0.5), (two[1], 0.5)], tmp_path / "both.safetensors").info
    assert info.metadata["modelspec.merged_from"] == "part-0, part-1"
    assert "part-0 x 0.5, part-1 x 0.5" in info.metadata["ss_training_comment"]
    assert (info.metadata["ss_output_name"], info.metadata["ss_network_dim"]) == ("both", "6")
    assert info.trigger == read_header(two[0]).trigger and info.base == "tiny"
    assert info.metadata["sshs_model_hash"] != read_header(two[0]).metadata["sshs_model_hash"]
    assert json.loads(info.path.with_suffix(".json").read_text())["activation text"] == info.trigger


@pytest.mark.parametrize("kind", ["dora", "loha", "lokr"])
def test_what_cannot_be_added_up_is_refused(kind, two, taught, metadata, tmp_path):  # noqa: F811
    base, weights = taught(kind, text_encoder=False)
    other = save_lora(tmp_path / "other.safetensors", base, weights, metadata).path
    with pytest.raises(StudioError, match=f"other.safetensors is a {kind}"):
        merge([(two[0], 0.5), (other, 0.5)], tmp_path / "no.safetensors")
    with pytest.raises(StudioError, match=f"is a {kind}"):
        to_diffusers(other, tmp_path / "no.safetensors")
    assert not (tmp_path / "no.safetensors").exists()


def test_files_of_unlike_bases_one_file_and_a_bad_rank_are_refused(two, tmp_path):
    wide = tiny_lora_file(tmp_path / "wide.safetensors", width=48)
    target = tmp_path / "no.safetensors"
    with pytest.raises(StudioError, match="do not go together"):
        merge([(two[0], 0.5), (wide, 0.5)], target)
    with pytest.raises(StudioError, match="at least two"):
        merge([(two[0], 1.0)], target)
    with pytest.raises(StudioError, match="rank 0"):
        merge([(two[0], 0.5), (two[1], 0.5)], target, rank=0)
    with pytest.raises(StudioError, match="not finite"):
        merge([(two[0], 1e9), (two[1], 0.5)], target)
    assert not target.exists()


def test_nothing_that_is_there_already_is_written_over(two, tmp_path):
    """Not even the card beside it: the folder may be the artist's own."""
    files, own = [(path, 0.5) for path in two], tmp_path / "mine.json"
    own.write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for target in (two[0], tmp_path / "mine.safetensors"):
        with pytest.raises(StudioError, match="already a file"):
            merge(files, target)
    with pytest.raises(StudioError, match="already a file"):
        to_diffusers(two[0], two[0])
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_diffusers_own_format_draws_the_same(two, fresh, tmp_path):
    path = to_diffusers(two[0], tmp_path / "own.safetensors")
    assert all(key.startswith(("unet.", "text_encoder.")) for key in load_file(path))
    results = []
    for file in (two[0], path):
        pipe, base = fresh()
        pipe.load_lora_weights(file)
        results.append(outputs(base))
    assert distance(*results) == 0.0
    assert distance(results[0], outputs(fresh()[1])) > 0.05
    with pytest.raises(StudioError, match="already"):
        to_diffusers(path, tmp_path / "twice.safetensors")
