#include "tools/tiny_model_files.h"

#include <sstream>

namespace kandinsky {
namespace {

constexpr char kMergesText[] =
#include "tools/tiny_tokenizer_merges.inc"
    ;

constexpr char kPriorIndex[] = R"({
  "_class_name": "KandinskyV22PriorPipeline",
  "_diffusers_version": "0.17.0.dev0",
  "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
  "image_processor": ["transformers", "CLIPImageProcessor"],
  "prior": ["diffusers", "PriorTransformer"],
  "scheduler": ["diffusers", "UnCLIPScheduler"],
  "text_encoder": ["transformers", "CLIPTextModelWithProjection"],
  "tokenizer": ["transformers", "CLIPTokenizer"]
}
)";

constexpr char kPrior[] = R"({
  "_class_name": "PriorTransformer",
  "_diffusers_version": "0.17.0.dev0",
  "additional_embeddings": 4,
  "attention_head_dim": 16,
  "dropout": 0.0,
  "embedding_dim": 32,
  "num_attention_heads": 2,
  "num_embeddings": 77,
  "num_layers": 2
}
)";

constexpr char kTextEncoder[] = R"({
  "architectures": ["CLIPTextModelWithProjection"],
  "attention_dropout": 0.0,
  "bos_token_id": 0,
  "eos_token_id": 2,
  "hidden_act": "gelu",
  "hidden_size": 32,
  "intermediate_size": 64,
  "layer_norm_eps": 1e-05,
  "max_position_embeddings": 77,
  "model_type": "clip_text_model",
  "num_attention_heads": 2,
  "num_hidden_layers": 2,
  "pad_token_id": 1,
  "projection_dim": 32,
  "torch_dtype": "float32",
  "vocab_size": 914
}
)";

constexpr char kImageEncoder[] = R"({
  "architectures": ["CLIPVisionModelWithProjection"],
  "attention_dropout": 0.0,
  "hidden_act": "gelu",
  "hidden_size": 32,
  "image_size": 28,
  "intermediate_size": 64,
  "layer_norm_eps": 1e-05,
  "model_type": "clip_vision_model",
  "num_attention_heads": 2,
  "num_channels": 3,
  "num_hidden_layers": 2,
  "patch_size": 14,
  "projection_dim": 32,
  "torch_dtype": "float16"
}
)";

constexpr char kImageProcessor[] = R"({
  "crop_size": {"height": 28, "width": 28},
  "do_center_crop": true,
  "do_convert_rgb": true,
  "do_normalize": true,
  "do_rescale": true,
  "do_resize": true,
  "feature_extractor_type": "CLIPFeatureExtractor",
  "image_mean": [0.48145466, 0.4578275, 0.40821073],
  "image_processor_type": "CLIPImageProcessor",
  "image_std": [0.26862954, 0.26130258, 0.27577711],
  "resample": 3,
  "rescale_factor": 0.00392156862745098,
  "size": {"shortest_edge": 28}
}
)";

constexpr char kPriorScheduler[] = R"({
  "_class_name": "UnCLIPScheduler",
  "_diffusers_version": "0.17.0.dev0",
  "clip_sample": true,
  "clip_sample_range": 10.0,
  "num_train_timesteps": 1000,
  "prediction_type": "sample",
  "variance_type": "fixed_small_log"
}
)";

constexpr char kDecoderIndex[] = R"({
  "_class_name": "KandinskyV22Pipeline",
  "_diffusers_version": "0.17.0.dev0",
  "movq": ["diffusers", "VQModel"],
  "scheduler": ["diffusers", "DDPMScheduler"],
  "unet": ["diffusers", "UNet2DConditionModel"]
}
)";

constexpr char kUNet[] = R"({
  "_class_name": "UNet2DConditionModel",
  "_diffusers_version": "0.17.0.dev0",
  "act_fn": "silu",
  "addition_embed_type": "image",
  "addition_embed_type_num_heads": 64,
  "attention_head_dim": 16,
  "block_out_channels": [32, 48],
  "center_input_sample": false,
  "class_embed_type": null,
  "class_embeddings_concat": false,
  "conv_in_kernel": 3,
  "conv_out_kernel": 3,
  "cross_attention_dim": 32,
  "cross_attention_norm": null,
  "down_block_types": ["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"],
  "downsample_padding": 1,
  "dual_cross_attention": false,
  "encoder_hid_dim": 32,
  "encoder_hid_dim_type": "image_proj",
  "flip_sin_to_cos": true,
  "freq_shift": 0,
  "in_channels": 4,
  "layers_per_block": 1,
  "mid_block_only_cross_attention": null,
  "mid_block_scale_factor": 1,
  "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
  "norm_eps": 1e-05,
  "norm_num_groups": 16,
  "num_class_embeds": null,
  "only_cross_attention": false,
  "out_channels": 8,
  "projection_class_embeddings_input_dim": null,
  "resnet_out_scale_factor": 1.0,
  "resnet_skip_time_act": false,
  "resnet_time_scale_shift": "scale_shift",
  "sample_size": 8,
  "time_cond_proj_dim": null,
  "time_embedding_act_fn": null,
  "time_embedding_dim": null,
  "time_embedding_type": "positional",
  "timestep_post_act": null,
  "up_block_types": ["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"],
  "upcast_attention": false,
  "use_linear_projection": false
}
)";

// Four levels like the published MOVQ, so that a latent cell is 8 pixels wide.
constexpr char kMovq[] = R"({
  "_class_name": "VQModel",
  "_diffusers_version": "0.17.0.dev0",
  "act_fn": "silu",
  "block_out_channels": [32, 32, 32, 32],
  "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
  "in_channels": 3,
  "latent_channels": 4,
  "layers_per_block": 1,
  "norm_num_groups": 32,
  "norm_type": "spatial",
  "num_vq_embeddings": 16,
  "out_channels": 3,
  "sample_size": 32,
  "scaling_factor": 0.18215,
  "up_block_types": ["AttnUpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"],
  "vq_embed_dim": 4
}
)";

constexpr char kDecoderScheduler[] = R"({
  "_class_name": "DDPMScheduler",
  "_diffusers_version": "0.17.0.dev0",
  "beta_end": 0.012,
  "beta_schedule": "linear",
  "beta_start": 0.00085,
  "clip_sample": true,
  "num_train_timesteps": 1000,
  "prediction_type": "epsilon",
  "set_alpha_to_one": false,
  "steps_offset": 1,
  "thresholding": false,
  "trained_betas": null
}
)";

constexpr char kSpecialTokensMap[] = R"({
  "bos_token": {"content": "<|startoftext|>", "lstrip": false, "normalized": true, "rstrip": false,
                "single_word": false},
  "eos_token": {"content": "<|endoftext|>", "lstrip": false, "normalized": true, "rstrip": false,
                "single_word": false},
  "pad_token": "<|endoftext|>",
  "unk_token": {"content": "<|endoftext|>", "lstrip": false, "normalized": true, "rstrip": false,
                "single_word": false}
}
)";

constexpr char kTokenizerConfig[] = R"({
  "add_prefix_space": false,
  "bos_token": {"__type": "AddedToken", "content": "<|startoftext|>", "lstrip": false, "normalized": true,
                "rstrip": false, "single_word": false},
  "do_lower_case": true,
  "eos_token": {"__type": "AddedToken", "content": "<|endoftext|>", "lstrip": false, "normalized": true,
                "rstrip": false, "single_word": false},
  "errors": "replace",
  "model_max_length": 77,
  "pad_token": "<|endoftext|>",
  "tokenizer_class": "CLIPTokenizer",
  "unk_token": {"__type": "AddedToken", "content": "<|endoftext|>", "lstrip": false, "normalized": true,
                "rstrip": false, "single_word": false}
}
)";

std::vector<Merge> TinyMerges() {
  std::istringstream lines(kMergesText);
  std::string line;
  std::getline(lines, line);  // version and origin
  std::vector<Merge> merges;
  while (std::getline(lines, line)) {
    const size_t space = line.find(' ');
    merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

// Changes what the repository of another network has different from the text-to-image decoder's.
void AdaptConfig(TinyNetwork network, const std::string& path, nlohmann::ordered_json& config) {
  const bool inpaint = network == TinyNetwork::kInpaint;
  if (path == "decoder/model_index.json") {
    config["_class_name"] = inpaint ? "KandinskyV22InpaintPipeline" : "KandinskyV22ControlnetPipeline";
  } else if (path == "decoder/unet/config.json") {
    config["in_channels"] = inpaint ? 9 : 8;
    if (!inpaint) config["addition_embed_type"] = "image_hint";
  } else if (path == "decoder/scheduler/scheduler_config.json") {
    if (inpaint) config["clip_sample"] = false;
  }
}

}  // namespace

std::vector<TinyModelFile> TinyModelConfigs(TinyNetwork network) {
  std::vector<TinyModelFile> files = {
      {"prior/model_index.json", kPriorIndex},
      {"prior/prior/config.json", kPrior},
      {"prior/text_encoder/config.json", kTextEncoder},
      {"prior/image_encoder/config.json", kImageEncoder},
      {"prior/image_processor/preprocessor_config.json", kImageProcessor},
      {"prior/scheduler/scheduler_config.json", kPriorScheduler},
      {"decoder/model_index.json", kDecoderIndex},
      {"decoder/unet/config.json", kUNet},
      {"decoder/movq/config.json", kMovq},
      {"decoder/scheduler/scheduler_config.json", kDecoderScheduler},
  };
  if (network == TinyNetwork::kDecoder) return files;
  for (TinyModelFile& file : files) {
    auto config = nlohmann::ordered_json::parse(file.content);
    AdaptConfig(network, file.path, config);
    file.content = config.dump(2) + "\n";
  }
  return files;
}

nlohmann::json TinyModelConfig(TinyNetwork network, const std::string& path) {
  for (const TinyModelFile& file : TinyModelConfigs(network)) {
    if (file.path == path) return nlohmann::json::parse(file.content);
  }
  return nullptr;
}

std::vector<TinyModelFile> TinyTokenizerFiles() {
  nlohmann::ordered_json vocabulary = nlohmann::ordered_json::object();
  for (const std::string& token : MakeClipVocabulary(TinyMerges())) vocabulary[token] = vocabulary.size();
  return {{"prior/tokenizer/vocab.json", vocabulary.dump()},
          {"prior/tokenizer/merges.txt", kMergesText},
          {"prior/tokenizer/special_tokens_map.json", kSpecialTokensMap},
          {"prior/tokenizer/tokenizer_config.json", kTokenizerConfig}};
}

}  // namespace kandinsky
