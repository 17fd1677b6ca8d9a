"""Training goes on: from a checkpoint where it was, from shipped weights with a fresh optimiser."""

import shutil

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.multiprocessing import start_processes

pytestmark = pytest.mark.slow


def trained_a_little(run, steps):
    for _ in range(steps):
        run.update(run.model(torch.ones(1, 3)).square().sum())
    run.save()
    return run


def test_a_run_goes_on_where_it_was_saved(recipe, tmp_path):
    state = recipe("run_state")
    torch.manual_seed(0)
    first = trained_a_little(state.Run(nn.Linear(3, 3), tmp_path / "x.pt", 5, lr=1e-2), 3)
    again = state.Run(nn.Linear(3, 3), tmp_path / "x.pt", 5, lr=1e-2)
    assert (again.step, again.spent_s) == (3, first.spent_s)
    assert torch.equal(again.model.weight, first.model.weight) and torch.equal(again.ema.weight, first.ema.weight)
    assert again.optimizer.state_dict()["state"][0]["step"] == 3


def test_shipped_weights_begin_a_run_with_a_fresh_optimiser(recipe, tmp_path):
    state = recipe("run_state")
    shipped = nn.Linear(3, 3)
    state.begin_from(shipped, tmp_path / "x.pt")
    run = state.Run(nn.Linear(3, 3), tmp_path / "x.pt", 5, lr=1e-2)
    assert torch.equal(run.model.weight, shipped.weight) and torch.equal(run.ema.weight, shipped.weight)
    assert (run.step, run.progress, run.optimizer.state_dict()["state"]) == (0, 0, {})


def test_what_is_frozen_stays_to_the_last_bit(recipe, tmp_path):
    model = nn.Linear(3, 3)
    nn.init.constant_(model.bias, -0.0)
    model.bias.requires_grad_(False)
    before = model.weight.detach().clone()
    run = trained_a_little(recipe("run_state").Run(model, tmp_path / "x.pt", 5, lr=1e-2), 20)
    assert torch.signbit(run.ema.bias).all()
    assert not torch.equal(run.ema.weight, before)


@pytest.mark.models
def test_the_shipped_weights_are_taken_up_once(recipe, tmp_path):
    going_on, state = recipe("from_shipped"), recipe("run_state")
    pocket = going_on.HERE.parent
    going_on.begin(tmp_path, pocket)
    base = state.Run(recipe("base_model").Denoiser(), tmp_path / "base.pt", 5, lr=1e-4).model
    models = {"unet": base.unet, "text_encoder": base.text_encoder}
    learner = going_on.shipped(pocket)["captioner"]
    nn.init.zeros_(learner.captioner.query_tokens)
    models["captioner"] = state.Run(learner, tmp_path / "captioner.pt", 5, lr=1e-4).model.captioner
    for part, model in models.items():
        path = next((pocket / ("captioner" if part == "captioner" else f"base/{part}")).glob("*.safetensors"))
        stored, held = load_file(path), model.state_dict()
        prefix = "" if set(stored) <= set(held) else "text_model."
        assert all(torch.equal(held[prefix + name], tensor.float()) for name, tensor in stored.items()), part
    (tmp_path / "vae.pt").unlink()
    torch.save({"step": 5}, tmp_path / "base.pt")
    going_on.begin(tmp_path, pocket)
    assert torch.load(tmp_path / "base.pt", weights_only=True) == {"step": 5}
    assert (tmp_path / "vae.pt").exists()


def test_a_build_folder_has_one_beginning(recipe, tmp_path):
    state = recipe("run_state")
    state.one_beginning(tmp_path, from_shipped=False)
    assert not state.began_from_shipped(tmp_path)
    (tmp_path / "vae.pt").touch()
    with pytest.raises(SystemExit, match="began from nothing"):
        state.one_beginning(tmp_path, from_shipped=True)
    (tmp_path / "vae.pt").unlink()
    # Stopped before the first checkpoint, either way is open.
    (tmp_path / state.SHIPPED).touch()
    state.one_beginning(tmp_path, from_shipped=False)
    assert not state.began_from_shipped(tmp_path)
    (tmp_path / state.SHIPPED).touch()
    (tmp_path / "vae.pt").touch()
    state.one_beginning(tmp_path, from_shipped=True)
    with pytest.raises(SystemExit, match="began from the shipped"):
        state.one_beginning(tmp_path, from_shipped=False)


@pytest.fixture
def shipped_build(recipe, build):
    recipe("from_shipped").begin(build, recipe("from_shipped").HERE.parent)
    return build


# With a budget this short, one step is taken.
ONE_STEP = 0.001


@pytest.mark.slow
@pytest.mark.models
def test_the_decoder_is_trained_on_and_latents_stay_valid(recipe, shipped_build, monkeypatch):
    trainer, latents = recipe("train_decoder"), recipe("latents")
    shares, share_of = [], trainer.critic_share
    monkeypatch.setattr(trainer, "CRITIC_UNHEARD", 0)
    monkeypatch.setattr(trainer, "critic_share", lambda *given: shares.append(share_of(*given)) or shares[-1])
    before = latents.averaged_vae(shipped_build)
    trainer.train(shipped_build, ONE_STEP)
    after = torch.load(shipped_build / "decoder.pt", weights_only=True)
    changed = {name for name in before if not torch.equal(before[name], after["model"][name])}
    assert changed and all(name.startswith(("decoder.", "post_quant_conv.")) for name in changed)
    assert "decoder.conv_out.weight" in changed
    assert len(shares) == 1 and 0 < shares[0] <= trainer.LARGEST_RATIO * trainer.CRITIC_WEIGHT
    loaded = latents.load_vae(shipped_build)
    assert torch.equal(loaded.decoder.conv_out.weight, after["ema"]["decoder.conv_out.weight"])
    assert latents.encoder_hash(loaded.state_dict()) == latents.encoder_hash(before)

    trainer.train(shipped_build, 100 * ONE_STEP)
    steps = [torch.load(shipped_build / f"{name}.pt", weights_only=True)["step"] for name in ("decoder", "critic")]
    assert steps[0] == steps[1] > after["step"]
    # A critic without its decoder begins anew.
    (shipped_build / "decoder.pt").unlink()
    trainer.train(shipped_build, ONE_STEP)
    assert torch.load(shipped_build / "critic.pt", weights_only=True)["step"] == 1


@pytest.mark.slow
@pytest.mark.models
def test_a_decoder_or_latents_of_another_autoencoder_are_refused(recipe, shipped_build):
    latents = recipe("latents")
    recipe("train_decoder").train(shipped_build, ONE_STEP)
    latents.cache_latents(shipped_build, latents.load_vae(shipped_build))
    latents.cache_latents(shipped_build, latents.load_vae(shipped_build))
    saved = torch.load(shipped_build / "vae.pt", weights_only=True)
    saved["ema"]["encoder.conv_in.weight"] *= 1.01
    torch.save(saved, shipped_build / "vae.pt")
    with pytest.raises(SystemExit, match="decoder.pt belongs to another"):
        latents.load_vae(shipped_build)
    (shipped_build / "decoder.pt").unlink()
    with pytest.raises(SystemExit, match="another autoencoder's"):
        latents.cache_latents(shipped_build, latents.load_vae(shipped_build))
    with pytest.raises(SystemExit, match="another autoencoder's"):
        recipe("export").export_base(shipped_build, shipped_build / "none", shipped_build / "none")


@pytest.mark.models
def test_trained_on_the_captioner_keeps_the_shipped_words(recipe, shipped_build):
    trainer = recipe("train_captioner")
    drawings = recipe("drawings").Drawings.load(shipped_build, "train", ["micah"])
    shipped = trainer.Blip2Processor.from_pretrained(recipe("drawings").HERE.parent / "captioner").tokenizer
    assert trainer.processor_for(shipped_build, drawings).tokenizer.get_vocab() == shipped.get_vocab()
    (shipped_build / recipe("run_state").SHIPPED).unlink()
    assert trainer.processor_for(shipped_build, drawings).tokenizer.get_vocab() != shipped.get_vocab()


@pytest.mark.slow
@pytest.mark.models
def test_trained_on_the_base_keeps_its_text_encoder(recipe, shipped_build):
    trainer, latents = recipe("train_base"), recipe("latents")
    shutil.copytree(recipe("drawings").HERE.parent / "base" / "tokenizer", shipped_build / "tokenizer")
    latents.cache_latents(shipped_build, latents.load_vae(shipped_build))
    before = torch.load(shipped_build / "base.pt", weights_only=True)["model"]
    start_processes(trainer.train, (1, shipped_build, ONE_STEP), nprocs=1, start_method="spawn")
    after = torch.load(shipped_build / "base.pt", weights_only=True)
    assert after["step"] == trainer.MEET_EVERY
    for weights in (after["model"], after["ema"]):
        changed = {name.split(".")[0] for name in before if not torch.equal(before[name], weights[name])}
        assert changed == {"unet"}
