#include "pipeline/weights/model_directory.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/json_file.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "pipeline/weights/weights_file.h"

namespace kandinsky {
namespace {

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

// The dtype of most floating-point bytes.
torch::ScalarType StoredDtype(const Checkpoint& weights) {
  std::map<torch::ScalarType, int64_t> elements;
  for (const std::string& name : weights.names()) {
    const Checkpoint::TensorInfo& info = *weights.Find(name);
    if (c10::isFloatingType(info.dtype)) elements[info.dtype] += c10::multiply_integers(info.shape);
  }
  torch::ScalarType dtype = torch::kFloat;
  int64_t most = 0;
  for (const auto& [candidate, count] : elements) {
    if (count > most) {
      most = count;
      dtype = candidate;
    }
  }
  return dtype;
}

// Reads the parts of a directory and collects everything that is wrong, so that one start shows it all.
class DirectoryReader {
 public:
  ConfigFile ReadConfig(const std::string& path) {
    ConfigFile config{path, nlohmann::json::object()};
    if (!Require(path)) return config;
    absl::StatusOr<nlohmann::json> json = ReadJsonFile(path, {.non_finite_as_null = true});
    if (!json.ok()) {
      malformed_.emplace_back(json.status().message());
    } else if (!json->is_object()) {
      malformed_.push_back(absl::StrCat(path, ": not a JSON object"));
    } else {
      config.json = *std::move(json);
    }
    return config;
  }

  NetworkFiles ReadNetwork(const std::string& folder, WeightsNaming naming) {
    NetworkFiles network;
    network.folder = folder;
    network.config = ReadConfig(folder + "/config.json");
    const std::string path = FindWeights(folder, naming);
    if (path.empty()) {
      missing_.push_back(MissingWeights(folder, naming));
      return network;
    }
    absl::StatusOr<std::shared_ptr<const Checkpoint>> weights = OpenCheckpoint(path);
    if (!weights.ok()) {
      malformed_.emplace_back(weights.status().message());
      return network;
    }
    network.weights = *std::move(weights);
    network.dtype = StoredDtype(*network.weights);
    return network;
  }

  std::string FindTokenizer(const std::string& folder) {
    if (!Exists(folder + "/tokenizer.json")) {
      Require(folder + "/vocab.json");
      Require(folder + "/merges.txt");
    }
    return folder;
  }

  // The file's class names are not used, but a broken file tells of a broken download.
  void CheckModelIndex(const std::string& directory) {
    const std::string path = directory + "/model_index.json";
    if (Exists(path)) ReadConfig(path);
  }

  // One line per finding; missing files come first and decide the code.
  absl::Status status() const {
    std::vector<std::string> lines = missing_;
    lines.insert(lines.end(), malformed_.begin(), malformed_.end());
    if (!missing_.empty()) return absl::NotFoundError(absl::StrJoin(lines, "\n"));
    if (!malformed_.empty()) return absl::InvalidArgumentError(absl::StrJoin(lines, "\n"));
    return absl::OkStatus();
  }

 private:
  bool Require(const std::string& path) {
    if (Exists(path)) return true;
    missing_.push_back(MissingFile(path));
    return false;
  }

  std::vector<std::string> missing_;
  std::vector<std::string> malformed_;
};

// `prefix` is the folder name of each component up to its own name, as in "<directory>/" or
// "<directory>/prior_".
PriorFiles ReadPrior(const std::string& prefix, DirectoryReader& reader) {
  PriorFiles prior;
  prior.prior = reader.ReadNetwork(prefix + "prior", WeightsNaming::kDiffusers);
  prior.text_encoder = reader.ReadNetwork(prefix + "text_encoder", WeightsNaming::kTransformers);
  prior.image_encoder = reader.ReadNetwork(prefix + "image_encoder", WeightsNaming::kTransformers);
  prior.tokenizer_folder = reader.FindTokenizer(prefix + "tokenizer");
  prior.scheduler = reader.ReadConfig(prefix + "scheduler/scheduler_config.json");
  prior.image_processor = reader.ReadConfig(prefix + "image_processor/preprocessor_config.json");
  return prior;
}

DecoderFiles ReadDecoder(const std::string& directory, DirectoryReader& reader) {
  DecoderFiles decoder;
  decoder.unet = reader.ReadNetwork(directory + "/unet", WeightsNaming::kDiffusers);
  decoder.movq = reader.ReadNetwork(directory + "/movq", WeightsNaming::kDiffusers);
  decoder.scheduler = reader.ReadConfig(directory + "/scheduler/scheduler_config.json");
  return decoder;
}

int64_t IntegerOr(const nlohmann::json& config, const char* key, int64_t otherwise) {
  const auto found = config.find(key);
  return found != config.end() && found->is_number_integer() ? found->get<int64_t>() : otherwise;
}

std::string StringOr(const nlohmann::json& config, const char* key, const char* otherwise) {
  const auto found = config.find(key);
  return found != config.end() && found->is_string() ? found->get<std::string>() : otherwise;
}

// Names the network by what the U-Net's configuration says.
absl::Status Identify(DecoderFiles& decoder) {
  const ConfigFile& unet = decoder.unet.config;
  const std::string conditioning = StringOr(unet.json, "addition_embed_type", "none");
  const int64_t channels = IntegerOr(unet.json, "in_channels", 4);
  if (conditioning == "image" && channels == 4) {
    decoder.network = "decoder";
  } else if (conditioning == "image" && channels == 9) {
    decoder.network = "inpaint";
  } else if (conditioning == "image_hint" && channels == 8) {
    decoder.network = "controlnet_depth";
  } else {
    return absl::InvalidArgumentError(absl::StrCat(
        unet.path, ": not a Kandinsky 2.2 decoder (addition_embed_type \"", conditioning, "\", in_channels ",
        channels, conditioning == "text_image" ? "; this is Kandinsky 2.1)" : ")"));
  }
  return absl::OkStatus();
}

absl::Status CheckWidths(const ModelDirectory& model) {
  const ConfigFile& unet = model.decoder.unet.config;
  const ConfigFile& prior = model.prior.prior.config;
  const int64_t prior_width = IntegerOr(prior.json, "embedding_dim", 768);
  const int64_t decoder_width = IntegerOr(unet.json, "encoder_hid_dim", 0);
  if (prior_width == decoder_width) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(prior.path, ": makes embeddings of size ", prior_width,
                                                 ", but ", unet.path, " needs ", decoder_width));
}

absl::StatusOr<ModelDirectory> Open(const std::string& prior_path, const std::string& prior_prefix,
                                    const std::string& decoder_path) {
  DirectoryReader reader;
  reader.CheckModelIndex(prior_path);
  if (decoder_path != prior_path) reader.CheckModelIndex(decoder_path);
  ModelDirectory model;
  model.prior = ReadPrior(prior_prefix, reader);
  model.decoder = ReadDecoder(decoder_path, reader);
  RETURN_IF_ERROR(reader.status());
  model.family = "2.2";
  RETURN_IF_ERROR(Identify(model.decoder));
  RETURN_IF_ERROR(CheckWidths(model));
  return model;
}

// The files of a checkpoint, in the order of their names: itself, or the shards of an index.
std::vector<std::string> FilesOf(const NetworkFiles& network) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(network.folder, error)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

bool SameFile(const std::string& a, const std::string& b) {
  std::error_code error;
  if (std::filesystem::equivalent(a, b, error)) return true;
  const auto left = MappedFile::Open(a);
  const auto right = MappedFile::Open(b);
  if (!left.ok() || !right.ok() || (*left)->bytes().size() != (*right)->bytes().size()) return false;
  const bool same =
      std::memcmp((*left)->bytes().data(), (*right)->bytes().data(), (*left)->bytes().size()) == 0;
  (*left)->ReleasePages();
  (*right)->ReleasePages();
  return same;
}

}  // namespace

absl::StatusOr<ModelDirectory> OpenModelDirectory(const std::string& prior_path,
                                                  const std::string& decoder_path) {
  for (const std::string& path : {prior_path, decoder_path}) {
    if (!Exists(path)) return absl::NotFoundError(absl::StrCat("missing ", path));
  }
  return Open(prior_path, prior_path + "/", decoder_path);
}

absl::StatusOr<ModelDirectory> OpenModelDirectory(const std::string& path) {
  if (!Exists(path)) return absl::NotFoundError(absl::StrCat("missing ", path));
  if (Exists(path + "/decoder")) return OpenModelDirectory(path + "/prior", path + "/decoder");
  if (Exists(path + "/prior_prior")) return Open(path, path + "/prior_", path);
  return absl::NotFoundError(absl::StrCat(
      path,
      ": neither prior/ and decoder/ nor prior_prior/ is in it; a decoder needs its prior's directory, too"));
}

absl::StatusOr<DecoderFiles> OpenDecoderDirectory(const std::string& path) {
  if (!Exists(path)) return absl::NotFoundError(absl::StrCat("missing ", path));
  if (!Exists(path + "/unet") && Exists(path + "/decoder")) return OpenDecoderDirectory(path + "/decoder");
  DirectoryReader reader;
  reader.CheckModelIndex(path);
  DecoderFiles decoder = ReadDecoder(path, reader);
  RETURN_IF_ERROR(reader.status());
  RETURN_IF_ERROR(Identify(decoder));
  return decoder;
}

std::vector<std::string> FurtherNetworks(const std::string& path) {
  std::vector<std::string> folders;
  if (!Exists(path + "/decoder")) return folders;
  for (const char* name : {"/inpaint", "/depth"}) {
    if (Exists(path + name)) folders.push_back(path + name);
  }
  return folders;
}

bool SameNetwork(const NetworkFiles& a, const NetworkFiles& b) {
  if (a.config.json != b.config.json) return false;
  const std::vector<std::string> left = FilesOf(a);
  const std::vector<std::string> right = FilesOf(b);
  return left.size() == right.size() && std::equal(left.begin(), left.end(), right.begin(), SameFile);
}

}  // namespace kandinsky
