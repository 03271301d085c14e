// Seconds that a model directory pair takes until it is ready to serve, and the memory of the process: the
// most that was resident and what is resident afterwards. Prints one JSON object. With --make it writes
// random weights of half precision instead, for the configurations that lie in the pair.
//
// Usage: load_model --prior DIR --decoder DIR [--make] [--threads 2] [--keep-image-encoder]
#include <ATen/ATen.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "base/json_file.h"
#include "base/status_macros.h"
#include "pipeline/components/model_configs.h"
#include "pipeline/kandinsky22/networks/load_kandinsky22.h"
#include "pipeline/weights/safetensors.h"

namespace kandinsky {
namespace {

struct Arguments {
  std::string prior;
  std::string decoder;
  int threads = 2;
  bool keep_image_encoder = false;
  bool make = false;
};

// Views of one block of random numbers, so that a network of any size takes little memory and time.
template <typename Module, typename Parse>
absl::Status WriteRandomWeights(const std::string& folder, const std::string& name, Parse parse,
                                const torch::Tensor& block) {
  const std::string file = folder + "/config.json";
  ASSIGN_OR_RETURN(const auto json, ReadJsonFile(file));
  ASSIGN_OR_RETURN(const auto config, parse(file, json));
  const Module module(config);
  std::vector<std::pair<std::string, torch::Tensor>> tensors;
  for (const auto& parameter : module.named_parameters()) {
    const torch::Tensor& shape = parameter.value();
    if (shape.numel() > block.numel()) return absl::InternalError("the block is too small");
    tensors.emplace_back(parameter.key(), block.narrow(0, 0, shape.numel()).view(shape.sizes()));
  }
  return WriteSafetensors(folder + "/" + name + ".safetensors", tensors);
}

absl::Status Make(const Arguments& arguments) {
  const torch::Tensor block = at::randn({int64_t{64} << 20}).mul_(0.02).to(at::kHalf);
  RETURN_IF_ERROR(WriteRandomWeights<ClipTextModelWithProjection>(arguments.prior + "/text_encoder", "model",
                                                                  ParseClipTextConfig, block));
  RETURN_IF_ERROR(WriteRandomWeights<ClipVisionModelWithProjection>(arguments.prior + "/image_encoder",
                                                                    "model", ParseClipVisionConfig, block));
  const std::string name = "diffusion_pytorch_model";
  RETURN_IF_ERROR(
      WriteRandomWeights<PriorTransformer>(arguments.prior + "/prior", name, ParsePriorConfig, block));
  RETURN_IF_ERROR(
      WriteRandomWeights<UNet2DConditionModel>(arguments.decoder + "/unet", name, ParseUNetConfig, block));
  return WriteRandomWeights<VQModel>(arguments.decoder + "/movq", name, ParseVQModelConfig, block);
}

// A line of /proc/self/status in bytes; 0 when there is none.
int64_t StatusBytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kilobytes = 0;
    if (word == key + ":" && status >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

absl::Status Load(const Arguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(const LoadedModel model, LoadKandinsky({.model_name = "full-size",
                                                           .model_path = arguments.decoder,
                                                           .prior_path = arguments.prior,
                                                           .keep_image_encoder = arguments.keep_image_encoder,
                                                           .threads = arguments.threads},
                                                          1));
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  std::printf("{\"seconds\": %.3f, \"peak_bytes\": %jd, \"resident_bytes\": %jd}\n", elapsed.count(),
              static_cast<intmax_t>(StatusBytes("VmHWM")), static_cast<intmax_t>(StatusBytes("VmRSS")));
  return absl::OkStatus();
}

}  // namespace
}  // namespace kandinsky

int main(int argc, char** argv) try {
  CLI::App app("Times loading a model directory pair");
  kandinsky::Arguments arguments;
  app.add_option("--prior", arguments.prior, "Directory of the prior")->required();
  app.add_option("--decoder", arguments.decoder, "Directory of the decoder")->required();
  app.add_option("--threads", arguments.threads, "Compute threads")->check(CLI::Range(1, 256));
  app.add_flag("--keep-image-encoder", arguments.keep_image_encoder, "Keeps the vision tower");
  app.add_flag("--make", arguments.make, "Writes random weights for the configurations instead");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = arguments.make ? kandinsky::Make(arguments) : kandinsky::Load(arguments);
  if (status.ok()) return 0;
  std::fprintf(stderr, "load_model: %s\n", std::string(status.message()).c_str());
  return 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "load_model: %s\n", error.what());
  return 1;
}
