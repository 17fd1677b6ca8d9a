import pytest
import torch

from ksh_studio.training.step.step import Stepper, clip


def weights(stepper):
    return {name: parameter.detach().clone() for name, parameter in stepper.training_state.parameters.items()}


def test_clipping_clips():
    layers = [torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(2))]
    for _ in range(2):  # the second time too: a generator would be empty by then
        for layer in layers:
            layer.grad = torch.full_like(layer, 100.0)
        assert clip(layers, 1.0).item() == pytest.approx(100 * 5**0.5)
        assert torch.cat([layer.grad for layer in layers]).norm().item() == pytest.approx(1.0, rel=1e-4)


def test_a_step_that_is_not_finite_moves_nothing(stepper):
    step = stepper()
    assert step().tolist()[1] == 1.0
    before, average = weights(step), {name: value.clone() for name, value in step.training_state.ema.items()}
    adam = {name: value.clone() for name, value in step.training_state.tensors().items() if name.startswith("adam/")}
    good = step.loss_weights
    step.loss_weights = good * float("nan")
    assert step().tolist()[1] == 0.0
    assert all(torch.equal(before[name], value) for name, value in weights(step).items())
    after = step.training_state.tensors()
    assert all(torch.equal(after[name], value) for name, value in adam.items())
    assert all(torch.isfinite(value).all() for value in step.training_state.ema.values()) and average.keys()
    step.loss_weights = good
    assert step().tolist()[1] == 1.0
    assert any(not torch.equal(before[name], value) for name, value in weights(step).items())


def test_accumulated_batches_are_one_large_batch(stepper):
    """Two batches of 2 give the gradient of one batch of 4 of the same drawings and noise."""
    step = stepper(gradient_accumulation_steps=2, max_grad_norm=1e6)
    seen = []
    original = step.loss

    def loss(*values):
        seen.append(values)
        return original(*values)

    step.loss = loss
    gradients = {}
    step.training_state.optimizer.zero_grad = lambda set_to_none: gradients.update(
        {name: parameter.grad.clone() for name, parameter in step.training_state.parameters.items()}
    )
    step()
    for parameter in step.training_state.parameters.values():
        parameter.grad = None
    start = stepper(gradient_accumulation_steps=2)  # the weights before that step
    same_size = seen[0][0].shape == seen[1][0].shape
    losses = [start.loss(*values) for values in seen]
    (sum(losses) / 2).backward()
    ups = [name for name in gradients if ".lora_B." in name]
    for name in ups:
        assert torch.allclose(gradients[name], start.training_state.parameters[name].grad, atol=1e-6), (name, same_size)


@pytest.mark.parametrize("split", [2, 3, 9])
def test_a_batch_in_parts_gives_the_gradient_of_the_whole(split, stepper):
    """The same drawings, noise, timesteps, mirror and dropout, 3 at a time as well as in 2, 3 (or at most 3) parts."""
    values = {"train_batch_size": 3, "gradient_accumulation_steps": 2, "max_grad_norm": 1e6}
    gradients, losses = [], []
    for parts in (1, split):
        step = stepper(**values)
        step.split = parts
        seen = []
        step.loss = lambda *batch, step=step, seen=seen: seen.append(len(batch[0])) or Stepper.loss(step, *batch)
        kept = {}
        step.training_state.optimizer.zero_grad = lambda set_to_none, step=step, kept=kept: kept.update(
            {name: parameter.grad.clone() for name, parameter in step.training_state.parameters.items()}
        )
        losses.append(step().tolist())
        gradients.append(kept)
        assert seen == {1: [3, 3], 2: [1, 2, 1, 2]}.get(parts, [1] * 6)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    ups = [name for name in gradients[0] if ".lora_B." in name]
    assert ups and all(gradients[0][name].abs().max() > 0 for name in ups)
    assert all(torch.allclose(gradients[0][name], gradients[1][name], rtol=1e-4, atol=1e-7) for name in ups)


def test_saving_memory_changes_no_gradient(stepper):
    plain, saving = stepper(), stepper(gradient_checkpointing=True)
    for _ in range(2):
        assert torch.equal(plain(), saving())
    first, second = weights(plain), weights(saving)
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_in_half_precision_the_lora_stays_fp32_and_learns_the_same(precision, dtype, stepper):
    half, full = stepper(precision, learning_rate=1e-3), stepper(learning_rate=1e-3)
    losses = [(half().tolist(), full().tolist()) for _ in range(3)]
    assert half.base.unet.dtype == dtype
    assert {parameter.dtype for parameter in half.training_state.parameters.values()} == {torch.float32}
    assert all(finite == 1.0 for pair in losses for _, finite in pair)
    assert all(first[0] == pytest.approx(second[0], rel=0.02) for first, second in losses)


def test_the_text_encoder_learns_too_at_its_own_rate(stepper):
    step = stepper(train_text_encoder=True, text_encoder_lr=1e-3, caption_dropout=0.0)
    before = weights(step)
    step()
    step()
    names = {name.split(".")[0] for name, value in weights(step).items() if not torch.equal(value, before[name])}
    assert names == {"unet", "text_encoder"}
    assert [group["base_lr"] for group in step.training_state.optimizer.param_groups] == [1e-2, 1e-3]


def test_the_seed_decides_where_the_lora_begins(stepper):
    torch.manual_seed(1)
    first = weights(stepper(seed=3))
    torch.manual_seed(2)
    second, other = weights(stepper(seed=3)), weights(stepper(seed=4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    downs = [name for name in first if ".lora_A." in name]
    assert downs and not any(torch.equal(first[name], other[name]) for name in downs)
    assert all(first[name].abs().max() == 0 for name in first if ".lora_B." in name)
