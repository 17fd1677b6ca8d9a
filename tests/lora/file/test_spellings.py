"""The keys of a LoRA file, in the spellings of the programs that write them."""

import pytest

from ksh_studio.lora.file.spellings import component_of, module_name, module_path, tensor_name

ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
TO_Q, TO_OUT = f"{ATTENTION}.to_q", f"{ATTENTION}.to_out.0"
KOHYA_TO_Q, KOHYA_TO_OUT = (f"lora_unet_{path.replace('.', '_')}" for path in (TO_Q, TO_OUT))
KOHYA_FC1 = "lora_te_text_model_encoder_layers_0_mlp_fc1"
KOHYA_Q_PROJ = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
KOHYA_OUT_PROJ = "lora_te_text_model_encoder_layers_0_self_attn_out_proj"
TEXT = "text_model.encoder.layers.0"


@pytest.mark.parametrize(
    ("key", "module", "tensor"),
    [
        # kohya and LyCORIS
        (f"{KOHYA_TO_Q}.lora_down.weight", KOHYA_TO_Q, "lora_down"),
        (f"{KOHYA_TO_Q}.alpha", KOHYA_TO_Q, "alpha"),
        (f"{KOHYA_TO_Q}.hada_w1_a", KOHYA_TO_Q, "hada_w1_a"),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", KOHYA_FC1, "lora_up"),
        ("lora_te_encoder_layers_0_mlp_fc1.lora_up.weight", KOHYA_FC1, "lora_up"),
        ("lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q.lora_up.weight", KOHYA_TO_Q, "lora_up"),
        # diffusers: with peft, its training script, of 2023
        (f"unet.{TO_Q}.lora_A.weight", KOHYA_TO_Q, "lora_down"),
        (f"unet.{TO_Q}.lora_magnitude_vector.weight", KOHYA_TO_Q, "dora_scale"),
        (f"text_encoder.{TEXT}.mlp.fc1.lora_B.weight", KOHYA_FC1, "lora_up"),
        ("text_encoder.encoder.layers.0.mlp.fc1.lora_B.weight", KOHYA_FC1, "lora_up"),
        (f"unet.{TO_Q}.lora.down.weight", KOHYA_TO_Q, "lora_down"),
        (f"unet.{TO_OUT}.lora.up.weight", KOHYA_TO_OUT, "lora_up"),
        (f"{ATTENTION}.processor.to_q_lora.down.weight", KOHYA_TO_Q, "lora_down"),
        (f"unet.{ATTENTION}.processor.to_out_lora.up.weight", KOHYA_TO_OUT, "lora_up"),
        (f"text_encoder.{TEXT}.self_attn.q_proj.lora_linear_layer.down.weight", KOHYA_Q_PROJ, "lora_down"),
        (f"text_encoder.{TEXT}.self_attn.to_q_lora.up.weight", KOHYA_Q_PROJ, "lora_up"),
        (f"text_encoder.{TEXT}.self_attn.to_out_lora.up.weight", KOHYA_OUT_PROJ, "lora_up"),
        (f"unet.{TO_Q}.lora_linear_layer.up.weight", KOHYA_TO_Q, "lora_up"),
        # peft by itself
        (f"{TO_Q}.lora_A.weight", KOHYA_TO_Q, "lora_down"),
        (f"base_model.model.{TO_Q}.lora_B.weight", KOHYA_TO_Q, "lora_up"),
        (f"base_model.model.{TO_Q}.lora_B.default.weight", KOHYA_TO_Q, "lora_up"),
        (f"base_model.model.{TEXT}.mlp.fc1.lora_A.weight", KOHYA_FC1, "lora_down"),
        # ComfyUI, OneTrainer, SimpleTuner
        (
            "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_out.0.lora_down.weight",
            KOHYA_TO_OUT,
            "lora_down",
        ),
        (f"text_encoders.clip_l.transformer.{TEXT}.mlp.fc1.lora_down.weight", KOHYA_FC1, "lora_down"),
        (f"clip_l.{TEXT}.mlp.fc1.lora_down.weight", KOHYA_FC1, "lora_down"),
        (f"unet.{TO_Q}.alpha", KOHYA_TO_Q, "alpha"),
        (f"lora_unet.{TO_Q}.dora_scale", KOHYA_TO_Q, "dora_scale"),
        (f"lycoris_{TO_Q.replace('.', '_')}.lokr_w1", KOHYA_TO_Q, "lokr_w1"),
        # of no LoRA, or of a model that is not here
        ("bundle_emb.mystyle.clip_l", "bundle_emb.mystyle.clip_l", ""),
        ("lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha", "lora_te2_text_model_encoder_layers_0_mlp_fc1", "alpha"),
        ("transformer.single_blocks.0.norm.lora_A.weight", "transformer.single_blocks.0.norm", "lora_down"),
    ],
)
def test_a_key_names_a_module_and_a_tensor_of_it(key, module, tensor):
    assert (module_name(key), tensor_name(key)) == (module, tensor)


def test_a_key_names_the_model_and_the_path_in_it():
    assert (component_of(f"unet.{TO_Q}.lora_A.weight"), module_path(f"unet.{TO_Q}.lora_A.weight")) == ("unet", TO_Q)
    assert component_of(f"base_model.model.{TEXT}.mlp.fc1.lora_A.weight") == "text_encoder"
    assert component_of("text_encoder_2.text_model.encoder.layers.0.mlp.fc1.lora_A.weight") is None
