"""Training goes on: from a checkpoint where it was, from shipped weights with a fresh optimiser."""

import torch
from torch import nn


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
    run = trained_a_little(recipe("run_state").Run(model, tmp_path / "x.pt", 5, lr=1e-2), 3)
    assert torch.signbit(run.ema.bias).all()
    assert not torch.equal(run.ema.weight, before)


def test_the_shipped_weights_are_put_there_once(recipe, tmp_path):
    going_on = recipe("from_shipped")
    going_on.begin(tmp_path, going_on.HERE.parent)
    saved = torch.load(tmp_path / "base.pt", weights_only=True)
    name = "unet.conv_in.weight"
    pipeline_weight = going_on.shipped(going_on.HERE.parent)["base"].state_dict()[name]
    assert torch.equal(saved["ema"][name], pipeline_weight) and saved["step"] == 0
    (tmp_path / "vae.pt").unlink()
    torch.save({"step": 5}, tmp_path / "base.pt")
    going_on.begin(tmp_path, going_on.HERE.parent)
    assert torch.load(tmp_path / "base.pt", weights_only=True) == {"step": 5}
    assert (tmp_path / "vae.pt").exists()


def test_the_decoder_is_trained_on_and_latents_stay_valid(recipe, build):
    recipe("from_shipped").begin(build, recipe("from_shipped").HERE.parent)
    before = torch.load(build / "vae.pt", weights_only=True)["ema"]
    # With a budget this short, one step is taken.
    recipe("train_decoder").train(build, 0.001)
    after = torch.load(build / "decoder.pt", weights_only=True)["model"]
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith(("decoder.", "post_quant_conv.")) for name in changed)
    assert "decoder.conv_out.weight" in changed
    loaded = recipe("latents").load_vae(build)
    ema = torch.load(build / "decoder.pt", weights_only=True)["ema"]
    assert torch.equal(loaded.decoder.conv_out.weight, ema["decoder.conv_out.weight"])
