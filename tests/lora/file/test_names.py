"""The names of modules in kohya's spelling, and the sets of modules that can be trained."""

import pytest

from ksh_studio.lora.file.names import kohya_name, smallest_targets

TO_Q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
KOHYA_TO_Q = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
KOHYA_FC1 = "lora_te_text_model_encoder_layers_0_mlp_fc1"


@pytest.mark.parametrize("path", ["encoder.layers.0.mlp.fc1", "text_model.encoder.layers.0.mlp.fc1"])
def test_a_text_encoders_module_has_one_kohya_name_in_every_version_of_transformers(path):
    assert kohya_name("text_encoder", path) == KOHYA_FC1


@pytest.mark.parametrize(
    ("modules", "targets"),
    [
        ([KOHYA_TO_Q, KOHYA_FC1], "attention"),
        ([KOHYA_TO_Q, "lora_unet_mid_block_attentions_0_proj_in"], "transformer"),
        ([KOHYA_TO_Q, "lora_unet_down_blocks_0_resnets_0_conv1"], "all"),
        ([KOHYA_TO_Q, "lora_unet_conv_in"], "all"),
    ],
)
def test_the_smallest_set_of_targets_that_has_all_modules(modules, targets):
    assert smallest_targets(modules) == targets
