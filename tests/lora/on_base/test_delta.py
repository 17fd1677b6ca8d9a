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
