#include "tests/pipeline/diffusion/two_encoder_family.h"

#include <ATen/ATen.h>

#include <utility>

#include "base/status_macros.h"
#include "pipeline/components/published_networks.h"
#include "pipeline/diffusion/diffusion_model.h"
#include "pipeline/diffusion/latent_preview.h"
#include "pipeline/models/resident_weights.h"
#include "pipeline/network_names.h"
#include "pipeline/samplers/decoder_sampler.h"
#include "tests/pipeline/models/model_test_support.h"

namespace kandinsky {
namespace {

constexpr int kScale = 2;                   // pixels per latent cell and side
constexpr double kLatentFactor = 0.25;      // latents of the denoiser are those of the autoencoder times this
constexpr int kTokenizerVocabulary = 1024;  // more than the recorded one has

// What the family is, without weights.
class TwoEncoderFamily final : public Family {
 public:
  Plan PlanOf(const GenerationRequest& request, const AdapterNames&) const override {
    const int texts = static_cast<int>(RecipeOf(request).texts.size()) / 2;
    const int height = request.height / kScale;
    const int width = request.width / kScale;
    const bool guided = request.guidance_scale > 1;
    const int rows = guided ? 2 : 1;
    const int64_t cells = int64_t{height} * width;
    Plan plan;
    for (const char* encoder : {kTextEncoder, kSecondTextEncoder}) {
      plan.phases.push_back(
          {.key = {.stage = Stage::kEncode, .network = encoder}, .cost = {.network_rows = texts}});
    }
    plan.phases.push_back({.key = {Stage::kDenoise, "decoder", height, width, guided},
                           .steps = request.steps,
                           .cost = {.network_rows = rows, .latent_pixels = rows * cells}});
    plan.phases.push_back(
        {.key = {Stage::kDecode, kMovqDecoder, height, width}, .cost = {.latent_pixels = cells}});
    return plan;
  }

  SampleRecipe RecipeOf(const GenerationRequest& request) const override {
    SampleRecipe recipe;
    for (const char* encoder : {kTextEncoder, kSecondTextEncoder}) {
      DenoiserText text = {.text = static_cast<int>(recipe.texts.size())};
      recipe.texts.push_back({encoder, request.prompt});
      if (request.guidance_scale > 1) {
        text.unconditional = static_cast<int>(recipe.texts.size());
        recipe.texts.push_back({encoder, request.negative_prompt.value_or("")});
      }
      recipe.denoiser_texts.push_back(text);
    }
    return recipe;
  }

  std::vector<RequestText> TextsOf(const GenerationRequest& request) const override {
    std::vector<RequestText> texts = {{"prompt", request.prompt}};
    if (request.negative_prompt) texts.push_back({"negative_prompt", *request.negative_prompt});
    return texts;
  }
};

// Both encoders' vectors side by side.
class PooledTextConditioner final : public Conditioner {
 public:
  DenoiserCondition Combine(const ConditionParts& parts) const override {
    const torch::Tensor row = Joined(parts.texts);
    if (!parts.guided) return {.image_embeddings = row};
    return {.image_embeddings = at::cat({Joined(parts.unconditional_texts), row})};
  }

 private:
  static torch::Tensor Joined(const std::vector<TextFeatures>& texts) {
    return at::cat({texts[0].pooled, texts[1].pooled}, 1);
  }
};

class ScaledAutoencoder final : public Autoencoder {
 public:
  explicit ScaledAutoencoder(std::shared_ptr<const Autoencoder> plain) : plain_(std::move(plain)) {}

  int scale() const override { return plain_->scale(); }
  int latent_channels() const override { return plain_->latent_channels(); }
  torch::Tensor Encode(const torch::Tensor& pixels) const override {
    return plain_->Encode(pixels) * kLatentFactor;
  }
  torch::Tensor Decode(const torch::Tensor& latents) const override {
    return plain_->Decode(latents / kLatentFactor);
  }

 private:
  const std::shared_ptr<const Autoencoder> plain_;
};

template <typename Module, typename Config>
std::shared_ptr<const Module> RandomModule(const Config& config, uint64_t seed, ResidentWeights& weights) {
  const auto module = std::make_shared<Module>(config);
  testing::RandomizeParameters(*module, seed);
  weights.Add(*module);
  return module;
}

ClipTextConfig TextConfig(int64_t width, int64_t end_id) {
  return {.vocab_size = kTokenizerVocabulary,
          .hidden_size = width,
          .intermediate_size = 2 * width,
          .projection_dim = width,
          .num_hidden_layers = 1,
          .num_attention_heads = 2,
          .hidden_act = "gelu",
          .eos_token_id = end_id};
}

UNet2DConditionConfig UnetConfig(int64_t embedding_dim) {
  UNet2DConditionConfig config;
  config.attention_head_dim = 8;
  config.block_out_channels = {16, 24};
  config.cross_attention_dim = 16;
  config.down_block_types = {"ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"};
  config.up_block_types = {"SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"};
  config.encoder_hid_dim = embedding_dim;
  config.layers_per_block = 1;
  config.norm_num_groups = 8;
  return config;
}

VQModelConfig AutoencoderConfig() {
  VQModelConfig config;
  config.block_out_channels = {32, 32};
  config.down_block_types = {"DownEncoderBlock2D", "AttnDownEncoderBlock2D"};
  config.up_block_types = {"AttnUpDecoderBlock2D", "UpDecoderBlock2D"};
  config.layers_per_block = 1;
  config.num_vq_embeddings = 16;
  return config;
}

Capabilities Describe(const DiffusionModel& model, int window, int64_t weight_bytes) {
  Capabilities capabilities;
  capabilities.model_name = "two encoders";
  capabilities.family = "test";
  capabilities.networks = {"decoder"};
  capabilities.device = model.placement.device_name();
  capabilities.dtype = model.placement.dtype_name();
  capabilities.samplers = OfferedSamplers(model.sampling.at("decoder").config, /*unet_out_channels=*/8);
  capabilities.has_prior = false;
  capabilities.has_image_encoder = false;
  capabilities.latent_scale = kScale;
  capabilities.size_multiple = 2 * kScale;
  capabilities.weight_bytes = weight_bytes;
  capabilities.defaults = {
      .width = 32, .height = 32, .steps = 4, .prior_steps = 0, .prior_guidance_scale = 0};
  capabilities.text_windows = {{.network = kTextEncoder, .tokens = window},
                               {.network = kSecondTextEncoder, .tokens = window}};
  return capabilities;
}

}  // namespace

absl::StatusOr<LoadedModel> LoadTwoEncoderModel() {
  ASSIGN_OR_RETURN(
      const auto tokenizer,
      ClipTokenizer::Load(KANDINSKY_SOURCE_DIR "/tests/golden/diffusers/models/b/prior/tokenizer"));
  auto model = std::make_shared<DiffusionModel>();
  const Placement& placement = model->placement;
  ResidentWeights weights;
  model->family = std::make_shared<TwoEncoderFamily>();
  model->conditioner = std::make_shared<PooledTextConditioner>();
  const auto encoder = [&](int64_t width, uint64_t seed) {
    return MakeTextEncoder(
        tokenizer,
        RandomModule<ClipTextModelWithProjection>(TextConfig(width, tokenizer->end_id()), seed, weights),
        placement);
  };
  model->text_encoders = {{kTextEncoder, encoder(16, 1)}, {kSecondTextEncoder, encoder(24, 2)}};
  model->networks.denoisers["decoder"] =
      MakeDenoiser(RandomModule<UNet2DConditionModel>(UnetConfig(16 + 24), 3, weights), placement);
  model->autoencoder = std::make_shared<ScaledAutoencoder>(MakeAutoencoder(
      RandomModule<VQModel>(AutoencoderConfig(), 4, weights), AutoencoderConfig(), placement));
  model->sampling["decoder"] = {.config = {}, .default_sampler = SamplerKind::kDdim};
  model->latent_to_rgb = FitLatentToRgb(*model->autoencoder, placement);
  model->capabilities = Describe(*model, tokenizer->max_length(), weights.bytes());
  return LoadedModel{.model = MakeModel(std::move(model), /*threads=*/1), .devices = {"cpu"}};
}

}  // namespace kandinsky
