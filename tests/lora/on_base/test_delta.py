"""What a module's tensors add to a weight, by the papers' formulas written out."""

import torch

from ksh_studio.lora.on_base.delta import weight_delta


def test_tucker_and_input_axis_files_of_others_are_read():
    """LyCORIS writes these where asked to; formulas from its own modules, written out with loops."""
    random = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(shape, generator=random)

    weight = draw(6, 4, 3, 3)
    hada = {"hada_w1_a": draw(2, 6), "hada_w1_b": draw(2, 4), "hada_t1": draw(2, 2, 3, 3),
            "hada_w2_a": draw(2, 6), "hada_w2_b": draw(2, 4), "hada_t2": draw(2, 2, 3, 3)}  # fmt: skip
    expected = torch.ones(6, 4, 3, 3)
    for n in (1, 2):
        core, out, into = (hada[f"hada_{name}"] for name in (f"t{n}", f"w{n}_a", f"w{n}_b"))
        half = torch.zeros(6, 4, 3, 3)
        for i in range(2):
            for j in range(2):
                half += core[i, j] * out[i].reshape(6, 1, 1, 1) * into[j].reshape(1, 4, 1, 1)
        expected = expected * half
    assert torch.allclose(weight_delta(hada | {"alpha": torch.tensor(1.0)}, weight), expected / 2, atol=1e-5)
    lora = {"lora_down": draw(2, 4, 3, 3), "lora_up": draw(6, 2, 1, 1), "alpha": torch.tensor(2.0)}
    plain = weight_delta(lora, weight)
    sizes = draw(1, 4, 1, 1).abs()
    after = weight + weight_delta(lora | {"dora_scale": sizes}, weight)
    assert torch.allclose(after.transpose(0, 1).flatten(1).norm(dim=1), sizes.flatten(), atol=1e-4)
    direction = (weight + plain).transpose(0, 1).flatten(1)
    assert torch.allclose(torch.cosine_similarity(after.transpose(0, 1).flatten(1), direction), torch.ones(4))


def test_a_lokr_with_a_tucker_core_is_multiplied_out():
    random = torch.Generator().manual_seed(2)
    weight, outer = torch.randn(8, 6, 3, 3, generator=random), torch.randn(2, 2, generator=random)
    core, out, into = (torch.randn(shape, generator=random) for shape in ((2, 2, 3, 3), (2, 4), (2, 3)))
    tensors = {"lokr_w1": outer, "lokr_t2": core, "lokr_w2_a": out, "lokr_w2_b": into, "alpha": torch.tensor(2.0)}
    inner, expected = torch.zeros(4, 3, 3, 3), torch.zeros(8, 6, 3, 3)
    for i in range(2):
        for j in range(2):
            inner += out[i].reshape(4, 1, 1, 1) * into[j].reshape(1, 3, 1, 1) * core[i, j]
    for row in range(2):
        for column in range(2):
            expected[4 * row : 4 * row + 4, 3 * column : 3 * column + 3] = outer[row, column] * inner
    assert torch.allclose(weight_delta(tensors, weight), expected, atol=1e-5)


def test_a_locon_with_a_tucker_core_is_multiplied_out():
    random = torch.Generator().manual_seed(3)
    down, core, up = (torch.randn(s, generator=random) for s in ((2, 6, 1, 1), (2, 2, 3, 3), (8, 2, 1, 1)))
    expected = torch.zeros(8, 6, 3, 3)
    for i in range(2):
        for j in range(2):
            expected += up[:, i].reshape(8, 1, 1, 1) * down[j].reshape(1, 6, 1, 1) * core[i, j]
    tensors = {"lora_down": down, "lora_mid": core, "lora_up": up, "alpha": torch.tensor(1.0)}
    assert torch.allclose(weight_delta(tensors, torch.zeros(8, 6, 3, 3)), expected / 2, atol=1e-5)


def test_a_full_change_is_added_as_it_is():
    change = torch.randn(4, 3, generator=torch.Generator().manual_seed(4))
    assert torch.equal(weight_delta({"diff": change}, torch.ones(4, 3)), change)


def test_the_shape_of_magnitudes_says_whether_they_are_for_inputs_or_outputs():
    random = torch.Generator().manual_seed(5)
    weight, down, up = (torch.randn(s, generator=random) for s in ((4, 4), (2, 4), (4, 2)))
    magnitudes = torch.rand(4, generator=random) + 0.5
    for shape, axis in (((4, 1), 1), ((4,), 1), ((1, 4), 0)):
        tensors = {"lora_down": down, "lora_up": up, "dora_scale": magnitudes.reshape(shape)}
        after = weight + weight_delta(tensors, weight)
        assert torch.allclose(after.norm(dim=axis), magnitudes, atol=1e-5)
