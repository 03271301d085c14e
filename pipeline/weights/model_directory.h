#pragma once

#include <torch/types.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "pipeline/weights/safetensors.h"

namespace kandinsky {

// nlohmann::json declares its move as noexcept although its assertions could throw if redefined to.
// NOLINTBEGIN(bugprone-exception-escape)

// A JSON file and its content, an object.
struct ConfigFile {
  std::string path;
  nlohmann::json json;
};

// A network of a published-layout directory: its folder, configuration and opened weights.
struct NetworkFiles {
  std::string folder;
  ConfigFile config;
  std::shared_ptr<const Checkpoint> weights;
  torch::ScalarType dtype = torch::kFloat;  // of most of the stored floating-point bytes
};

struct PriorFiles {
  NetworkFiles prior;
  NetworkFiles text_encoder;
  NetworkFiles image_encoder;
  std::string tokenizer_folder;
  ConfigFile scheduler;
  ConfigFile image_processor;
};

struct DecoderFiles {
  std::string network;  // what the U-Net was trained for: "decoder", "inpaint", "controlnet_depth"
  NetworkFiles unet;
  NetworkFiles movq;
  ConfigFile scheduler;
};

// A complete Kandinsky 2.2 model on disk.
struct ModelDirectory {
  std::string family;  // "2.2"
  PriorFiles prior;
  DecoderFiles decoder;
};

// NOLINTEND(bugprone-exception-escape)

// Opens a pair of published-layout directories (kandinsky-2-2-prior and kandinsky-2-2-decoder or one of its
// variants). Family and network come from the files' content; the class names in model_index.json are not
// trusted. Every missing file is one line of a NOT_FOUND status; INVALID_ARGUMENT for malformed files, for
// other families than 2.2 and for a prior that does not fit the decoder.
absl::StatusOr<ModelDirectory> OpenModelDirectory(const std::string& prior_path,
                                                  const std::string& decoder_path);

// The same for one directory that holds both: in the folders prior/ and decoder/, or in the layout of
// diffusers' combined pipelines (prior_prior/, prior_text_encoder/, ..., unet/, movq/, scheduler/).
absl::StatusOr<ModelDirectory> OpenModelDirectory(const std::string& path);

// The decoder alone: a directory as kandinsky-2-2-decoder, or one that holds such a one as decoder/. Errors
// as above.
absl::StatusOr<DecoderFiles> OpenDecoderDirectory(const std::string& path);

// The directories of further networks in a folder that holds prior/ and decoder/: inpaint/ and depth/, as far
// as they are there.
std::vector<std::string> FurtherNetworks(const std::string& path);

// Whether two networks have the same configuration and weights, by the identity of the files or else by their
// bytes.
bool SameNetwork(const NetworkFiles& a, const NetworkFiles& b);

}  // namespace kandinsky
