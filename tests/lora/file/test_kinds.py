"""DoRA, LoHa and LoKr: what peft trains, the file says, and Generate draws with, is one and the same."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from ksh_studio.config import TrainConfig
from ksh_studio.errors import StudioError
from ksh_studio.lora import proof as checking
from ksh_studio.lora.file.header import read_header
from ksh_studio.lora.file.kinds import by_module
from ksh_studio.lora.on_base.attach import attach, detach, set_strength
from ksh_studio.lora.on_base.delta import change
from ksh_studio.lora.save import save_lora
from ksh_studio.training.step.adapter import add_adapter, lora_weights
from tests.tiny import tiny_lora_file

OTHERS = ["dora", "loha", "lokr"]


@pytest.fixture
def taught(fresh):
    """Puts an adapter of a kind with random values onto a fresh base: (base, what save_lora takes)."""

    def make(kind, targets="transformer", text_encoder=True, rank=4, alpha=2.0):
        _, base = fresh()
        config = TrainConfig(
            adapter=kind, target_modules=targets, rank=rank, lora_alpha=alpha, train_text_encoder=text_encoder
        )
        parameters = add_adapter(base, config)
        random = torch.Generator().manual_seed(3)
        for name, parameter in parameters.items():
            noise = torch.randn(parameter.shape, generator=random)
            parameter.data = parameter * (1 + 0.1 * noise) if "magnitude" in name else noise * 0.3
        return base, lora_weights({name: p.detach() for name, p in parameters.items()}, config)

    return make


def outputs(base):
    """UNet output [1, 4, 8, 8] and text encoder output [1, 77, 32] at fixed input."""
    generator = torch.Generator().manual_seed(7)
    sample, context = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 77, 32, generator=generator)
    with torch.no_grad():
        unet = base.unet(sample, torch.tensor([500]), context).sample
        return unet, base.text_encoder(torch.arange(77)[None] % 50).last_hidden_state


def distance(one, other):
    return max((a - b).abs().max().item() for a, b in zip(one, other, strict=True))


def test_a_fresh_adapter_of_every_kind_changes_nothing(fresh):
    bare = outputs(fresh()[1])
    for kind in ["lora", *OTHERS]:
        _, base = fresh()
        config = TrainConfig(adapter=kind, target_modules="all", rank=4, lora_alpha=2.0, train_text_encoder=True)
        parameters = add_adapter(base, config)
        assert distance(outputs(base), bare) < 1e-5, kind
        assert {p.dtype for p in parameters.values()} == {torch.float32}
        assert all(p.requires_grad for p in parameters.values())
        left = [name for model in (base.unet, base.text_encoder) for name, p in model.named_parameters()
                if p.requires_grad and not any(p is own for own in parameters.values())]  # fmt: skip
        assert left == []


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("targets", ["transformer", "all"])
def test_a_saved_file_draws_as_the_trained_adapter_did(kind, targets, fresh, taught, metadata, tmp_path):
    base, weights = taught(kind, targets)
    live, bare = outputs(base), outputs(fresh()[1])
    assert distance(live, bare) > 0.05
    exact = save_lora(tmp_path / "exact.safetensors", base, weights, metadata, dtype=torch.float32)
    half = save_lora(tmp_path / "half.safetensors", base, weights, metadata)
    assert (exact.kind, half.kind) == (kind, kind) and exact.modules == half.modules
    _, worn = fresh()
    attach(worn, exact.path)
    assert distance(outputs(worn), live) < 1e-4
    attach(worn, half.path)
    assert distance(outputs(worn), live) < 2e-2 * distance(live, bare)


@pytest.mark.parametrize("kind", OTHERS)
def test_strength_and_taking_it_off(kind, fresh, taught, metadata, tmp_path):
    base, weights = taught(kind)
    info = save_lora(tmp_path / "one.safetensors", base, weights, metadata)
    _, worn = fresh()
    bare, before = outputs(worn), {name: p.clone() for name, p in worn.unet.named_parameters()}
    attach(worn, info.path)
    full = {name: p.clone() for name, p in worn.unet.named_parameters()}
    set_strength(worn, 0.5)
    changed = [name for name in before if not torch.equal(before[name], full[name])]
    assert len(changed) == sum("lora_unet" in module for module in info.measured)
    for name, parameter in worn.unet.named_parameters():
        assert torch.allclose(parameter, (before[name] + full[name]) / 2, atol=1e-6)
    set_strength(worn, 0.0)
    assert distance(outputs(worn), bare) == 0.0
    set_strength(worn, 1.0, text_encoder=0.0)
    assert distance(outputs(worn)[1:], bare[1:]) == 0.0 < distance(outputs(worn)[:1], bare[:1])
    detach(worn)
    assert distance(outputs(worn), bare) == 0.0


def test_several_kinds_at_once_add_up_and_come_off_one_by_one(fresh, taught, metadata, tmp_path):
    files = {}
    for kind in ("loha", "lokr"):
        base, weights = taught(kind, text_encoder=False)
        files[kind] = save_lora(tmp_path / f"{kind}.safetensors", base, weights, metadata).path
    files["lora"] = tiny_lora_file(tmp_path / "lora.safetensors")
    _, worn = fresh()
    bare = outputs(worn)
    alone = {}
    for kind, path in files.items():
        attach(worn, path)
        alone[kind] = outputs(worn)
        detach(worn)
    for number, path in enumerate(files.values()):
        attach(worn, path, adapter=f"style-{number}")
    together = outputs(worn)
    assert all(distance(together, other) > 1e-3 for other in alone.values())
    detach(worn, "style-0")
    detach(worn, "style-2")
    assert distance(outputs(worn), alone["lokr"]) < 1e-5
    detach(worn)
    assert distance(outputs(worn), bare) == 0.0


@pytest.mark.parametrize("kind", OTHERS)
def test_names_and_shapes_are_those_that_lycoris_writes(kind, taught, metadata, tmp_path):
    base, weights = taught(kind, "all", text_encoder=False)
    info = save_lora(tmp_path / "names.safetensors", base, weights, metadata)
    tensors = load_file(info.path)
    linear = by_module(tensors)["lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"]
    conv = by_module(tensors)["lora_unet_down_blocks_0_resnets_0_conv1"]
    shapes = [{role: tuple(tensor.shape) for role, tensor in roles.items()} for roles in (linear, conv)]
    wanted = {
        "dora": [
            {"lora_down": (4, 16), "lora_up": (16, 4), "alpha": (), "dora_scale": (16, 1)},
            {"lora_down": (4, 16, 3, 3), "lora_up": (16, 4, 1, 1), "alpha": (), "dora_scale": (16, 1, 1, 1)},
        ],
        "loha": [
            {"hada_w1_a": (16, 4), "hada_w1_b": (4, 16), "hada_w2_a": (16, 4), "hada_w2_b": (4, 16), "alpha": ()},
            {"hada_w1_a": (16, 4), "hada_w1_b": (4, 144), "hada_w2_a": (16, 4), "hada_w2_b": (4, 144), "alpha": ()},
        ],
        "lokr": [
            {"lokr_w1": (4, 4), "lokr_w2": (4, 4), "alpha": ()},
            {"lokr_w1": (4, 4), "lokr_w2": (4, 4, 3, 3), "alpha": ()},
        ],
    }
    assert shapes == wanted[kind]
    assert info.rank == 4


def test_a_lokr_with_a_factored_half_and_one_without_say_the_same_scale_to_every_reader(taught, metadata, tmp_path):
    """Readers divide alpha by the rank where a half is factored and take 1 where both are whole: ours is 1 in both."""
    for rank in (1, 16):
        base, weights = taught("lokr", rank=rank, alpha=0.5)
        info = save_lora(tmp_path / f"{rank}.safetensors", base, weights, metadata, dtype=torch.float32)
        modules = by_module(load_file(info.path))
        assert any("lokr_w2_a" in roles for roles in modules.values()) == (rank == 1)
        for roles in modules.values():
            assert roles["alpha"].item() == rank


def test_a_file_that_does_not_come_back_is_not_kept(taught, metadata, tmp_path, monkeypatch):
    for kind, role in (("dora", "dora_scale"), ("loha", "hada_w2_b"), ("lokr", "lokr_w2")):
        base, weights = taught(kind, text_encoder=False)
        real = load_file

        def torn(path, real=real, role=role):
            tensors = real(path)
            key = next(key for key in sorted(tensors) if key.endswith(role))
            return tensors | {key: tensors[key] * 1.1}

        monkeypatch.setattr(checking.safetensors.torch, "load_file", torn)
        with pytest.raises(StudioError, match="did not come back the same"):
            save_lora(tmp_path / f"{kind}.safetensors", base, weights, metadata)
        assert list(tmp_path.glob("*")) == []
        monkeypatch.undo()


def test_tucker_and_input_axis_files_of_others_are_read():
    """LyCORIS writes these where asked to; formulas from its own modules, written out with loops."""
    random = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(shape, generator=random)

    weight = draw(6, 4, 3, 3)
    hada = {"hada_w1_a": draw(2, 6), "hada_w1_b": draw(2, 4), "hada_t1": draw(2, 2, 3, 3),
            "hada_w2_a": draw(2, 6), "hada_w2_b": draw(2, 4), "hada_t2": draw(2, 2, 3, 3)}  # fmt: skip
    wanted = torch.ones(6, 4, 3, 3)
    for n in (1, 2):
        core, out, into = (hada[f"hada_{name}"] for name in (f"t{n}", f"w{n}_a", f"w{n}_b"))
        half = torch.zeros(6, 4, 3, 3)
        for i in range(2):
            for j in range(2):
                half += core[i, j] * out[i].reshape(6, 1, 1, 1) * into[j].reshape(1, 4, 1, 1)
        wanted = wanted * half
    assert torch.allclose(change(hada | {"alpha": torch.tensor(1.0)}, weight), wanted / 2, atol=1e-5)
    lora = {"lora_down": draw(2, 4, 3, 3), "lora_up": draw(6, 2, 1, 1), "alpha": torch.tensor(2.0)}
    plain = change(lora, weight)
    sizes = draw(1, 4, 1, 1).abs()
    after = weight + change(lora | {"dora_scale": sizes}, weight)
    assert torch.allclose(after.transpose(0, 1).flatten(1).norm(dim=1), sizes.flatten(), atol=1e-4)
    direction = (weight + plain).transpose(0, 1).flatten(1)
    assert torch.allclose(torch.cosine_similarity(after.transpose(0, 1).flatten(1), direction), torch.ones(4))


@pytest.mark.parametrize("role", ["hada_w1_b", "hada_w2_a", "lokr_w2_b", "lokr_w1"])
def test_a_module_that_lacks_a_factor_or_does_not_fit_together_is_damaged(role, tmp_path):
    whole = {
        "hada_w1_b": {"hada_w1_a": (8, 2), "hada_w1_b": (2, 8), "hada_w2_a": (8, 2), "hada_w2_b": (2, 8)},
        "lokr_w2_b": {"lokr_w1": (2, 2), "lokr_w2_a": (4, 2), "lokr_w2_b": (2, 4)},
    }
    shapes = whole["hada_w1_b" if role.startswith("hada") else "lokr_w2_b"]
    file = tmp_path / "file.safetensors"

    def write(values):
        save_file({f"lora_unet_x.{name}": torch.zeros(shape) for name, shape in values.items()}, file)

    write(shapes)
    assert read_header(file).measured["lora_unet_x"].outside == 8
    write({name: shape for name, shape in shapes.items() if name != role})
    with pytest.raises(StudioError, match="damaged|holds no LoRA"):
        read_header(file)
    write(shapes | {role: (3, 9, 9)} if role != "lokr_w1" else shapes | {role: (2,)})
    with pytest.raises(StudioError, match="damaged"):
        read_header(file)


@pytest.mark.parametrize("size", [2, 8])
def test_lengths_that_fit_no_side_are_refused_before_anything_is_changed(size, fresh, tmp_path):
    """Of 16 inputs a header alone takes 2 and 8 for kernels; folded in half way, the base would not be as it was."""
    file = tiny_lora_file(tmp_path / "file.safetensors")
    tensors = load_file(file)
    module = next(key.removesuffix(".lora_down.weight") for key in tensors if key.endswith(".lora_down.weight"))
    save_file(tensors | {f"{module}.dora_scale": torch.ones(1, size)}, file)
    base = fresh()[1]
    before = outputs(base)
    with pytest.raises(StudioError, match="file.safetensors"):
        attach(base, file)
    assert distance(outputs(base), before) == 0


def test_a_part_of_another_method_is_named(fresh, tmp_path):
    file = tiny_lora_file(tmp_path / "file.safetensors")
    tensors = load_file(file) | {"lora_unet_conv_in.diff": torch.zeros(16, 4, 3, 3)}
    save_file(tensors, file)
    with pytest.raises(StudioError, match="lora_unet_conv_in.diff"):
        attach(fresh()[1], file)


@pytest.mark.parametrize("kind", OTHERS)
def test_diffusers_itself_loads_none_of_them(kind, fresh, taught, metadata, tmp_path):
    """What we say on the page and in the card; when this fails, a newer diffusers may do the folding for us."""
    base, weights = taught(kind, text_encoder=False)
    path = save_lora(tmp_path / "file.safetensors", base, weights, metadata).path
    live, bare = outputs(base), outputs(fresh()[1])
    pipe, other = fresh()
    if kind == "dora":
        pipe.load_lora_weights(path)  # warns, and leaves the lengths out
        assert distance(outputs(other), live) > 0.1 * distance(live, bare)
    else:
        with pytest.raises(ValueError, match="not been correctly renamed"):
            pipe.load_lora_weights(path)
