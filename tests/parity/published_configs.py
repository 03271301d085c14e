"""The configuration files of the published Kandinsky 2.2 repositories, as JSON values.

unet/config.json of the three decoders and movq/config.json are complete, key by key. Of the CLIP towers' files those
keys are here that describe the network or that a reader may stumble over.
"""

UNET_DECODER = {
    "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.17.0.dev0", "act_fn": "silu",
    "addition_embed_type": "image",
    "addition_embed_type_num_heads": 64, "attention_head_dim": 64, "block_out_channels": [384, 768, 1152,
    1536],
    "center_input_sample": False, "class_embed_type": None, "class_embeddings_concat": False,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3, "cross_attention_dim": 768, "cross_attention_norm": None,
    "down_block_types": ["ResnetDownsampleBlock2D"] + ["SimpleCrossAttnDownBlock2D"] * 3,
    "downsample_padding": 1,
    "dual_cross_attention": False, "encoder_hid_dim": 1280, "encoder_hid_dim_type": "image_proj",
    "flip_sin_to_cos": True,
    "freq_shift": 0, "in_channels": 4, "layers_per_block": 3, "mid_block_only_cross_attention": None,
    "mid_block_scale_factor": 1,
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn", "norm_eps": 1e-05, "norm_num_groups": 32,
    "num_class_embeds": None,
    "only_cross_attention": False, "out_channels": 8, "projection_class_embeddings_input_dim": None,
    "resnet_out_scale_factor": 1.0, "resnet_skip_time_act": False, "resnet_time_scale_shift": "scale_shift",
    "sample_size": 64,
    "time_cond_proj_dim": None, "time_embedding_act_fn": None, "time_embedding_dim": None,
    "time_embedding_type": "positional",
    "timestep_post_act": None, "up_block_types": ["SimpleCrossAttnUpBlock2D"] * 3 + ["ResnetUpsampleBlock2D"],
    "upcast_attention": False, "use_linear_projection": False,
}
UNET_INPAINT = dict(UNET_DECODER, in_channels=9)
UNET_CONTROLNET_DEPTH = dict(UNET_DECODER, in_channels=8, addition_embed_type="image_hint")

MOVQ = {
    "_class_name": "VQModel", "_diffusers_version": "0.17.0.dev0", "act_fn": "silu",
    "block_out_channels": [128, 256, 256, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 3 + ["AttnDownEncoderBlock2D"], "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2, "norm_num_groups": 32, "norm_type": "spatial", "num_vq_embeddings": 16384,
    "out_channels": 3,
    "sample_size": 32, "scaling_factor": 0.18215,
    "up_block_types": ["AttnUpDecoderBlock2D"] + ["UpDecoderBlock2D"] * 3,
    "vq_embed_dim": 4,
}

PRIOR = {
    "_class_name": "PriorTransformer", "_diffusers_version": "0.17.0.dev0", "additional_embeddings": 4,
    "attention_head_dim": 64,
    "dropout": 0.0, "embedding_dim": 1280, "num_attention_heads": 32, "num_embeddings": 77, "num_layers": 20,
}

TEXT_ENCODER = {
    "_name_or_path": "", "add_cross_attention": False, "architectures": ["CLIPTextModelWithProjection"],
    "attention_dropout": 0.0,
    "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2, "hidden_act": "gelu", "hidden_size": 1280,
    "initializer_factor": 1.0,
    "initializer_range": 0.02, "intermediate_size": 5120, "layer_norm_eps": 1e-05,
    "max_position_embeddings": 77,
    "model_type": "clip_text_model", "num_attention_heads": 20, "num_hidden_layers": 32, "pad_token_id": 1,
    "projection_dim": 1280,
    "torch_dtype": "float32", "vocab_size": 49408,
}

IMAGE_ENCODER = {
    "_name_or_path": "", "add_cross_attention": False, "architectures": ["CLIPVisionModelWithProjection"],
    "attention_dropout": 0.0,
    "dropout": 0.0, "hidden_act": "gelu", "hidden_size": 1664, "image_size": 224, "initializer_factor": 1.0,
    "initializer_range": 0.02, "intermediate_size": 8192, "layer_norm_eps": 1e-05,
    "model_type": "clip_vision_model",
    "num_attention_heads": 16, "num_channels": 3, "num_hidden_layers": 48, "patch_size": 14,
    "projection_dim": 1280,
    "torch_dtype": "float32",
}

DECODER_SCHEDULER = {
    "_class_name": "DDPMScheduler", "_diffusers_version": "0.17.0.dev0", "beta_end": 0.012,
    "beta_schedule": "linear",
    "beta_start": 0.00085, "clip_sample": True, "num_train_timesteps": 1000, "prediction_type": "epsilon",
    "set_alpha_to_one": False,
    "steps_offset": 1, "thresholding": False, "trained_betas": None,
}
INPAINT_SCHEDULER = dict(DECODER_SCHEDULER, clip_sample=False)

PRIOR_SCHEDULER = {
    "_class_name": "UnCLIPScheduler", "_diffusers_version": "0.17.0.dev0", "clip_sample": True,
    "clip_sample_range": 10.0,
    "num_train_timesteps": 1000, "prediction_type": "sample", "variance_type": "fixed_small_log",
}

IMAGE_PROCESSOR = {
    "crop_size": {"height": 224, "width": 224}, "do_center_crop": True, "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True, "do_resize": True, "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_processor_type": "CLIPImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 224},
}


def _special(content: str, normalized: bool) -> dict:
    return {"content": content, "lstrip": False, "normalized": normalized, "rstrip": False,
    "single_word": False}


SPECIAL_TOKENS_MAP = {
    "bos_token": _special("<|startoftext|>", True), "eos_token": _special("<|endoftext|>", True),
    "pad_token": "<|endoftext|>",
    "unk_token": _special("<|endoftext|>", True),
}
TOKENIZER_CONFIG = {
    "add_prefix_space": False, "bos_token": dict(_special("<|startoftext|>", True), __type="AddedToken"),
    "clean_up_tokenization_spaces": True, "do_lower_case": True,
    "eos_token": dict(_special("<|endoftext|>", True), __type="AddedToken"), "errors": "replace",
    "model_max_length": 77,
    "pad_token": "<|endoftext|>", "tokenizer_class": "CLIPTokenizer",
    "unk_token": dict(_special("<|endoftext|>", True), __type="AddedToken"),
}

DECODER_MODEL_INDEX = {
    "_class_name": "KandinskyV22Pipeline", "_diffusers_version": "0.17.0.dev0", "movq": ["diffusers",
    "VQModel"],
    "scheduler": ["diffusers", "DDPMScheduler"], "unet": ["diffusers", "UNet2DConditionModel"],
}
INPAINT_MODEL_INDEX = dict(DECODER_MODEL_INDEX, _class_name="KandinskyV22InpaintPipeline")
DEPTH_MODEL_INDEX = dict(DECODER_MODEL_INDEX, _class_name="KandinskyV22ControlnetPipeline")
PRIOR_MODEL_INDEX = {
    "_class_name": "KandinskyV22PriorPipeline", "_diffusers_version": "0.17.0.dev0",
    "image_encoder": ["transformers", "CLIPVisionModelWithProjection"], "image_processor": ["transformers",
    "CLIPImageProcessor"],
    "prior": ["diffusers", "PriorTransformer"], "scheduler": ["diffusers", "UnCLIPScheduler"],
    "text_encoder": ["transformers", "CLIPTextModelWithProjection"], "tokenizer": ["transformers",
    "CLIPTokenizer"],
}

# Component name -> published configuration, for everything that is checked at full size.
FULL_SIZE = {
    "unet_decoder": UNET_DECODER, "unet_inpaint": UNET_INPAINT,
    "unet_controlnet_depth": UNET_CONTROLNET_DEPTH, "movq": MOVQ,
    "prior": PRIOR, "text_encoder": TEXT_ENCODER, "image_encoder": IMAGE_ENCODER,
}
