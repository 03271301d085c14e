#include "pipeline/weights/weights_file.h"

#include <filesystem>
#include <set>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace kandinsky {
namespace {

namespace fs = std::filesystem;

bool Exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// The names of one variant in the order in which they are looked for; the published weights have none.
std::vector<std::string> Names(WeightsNaming naming, absl::string_view variant) {
  const absl::string_view name = WeightsName(naming);
  if (variant.empty()) {
    const std::string file = absl::StrCat(name, ".safetensors");
    const std::string index = file + ".index.json";
    return naming == WeightsNaming::kDiffusers ? std::vector{index, file} : std::vector{file, index};
  }
  const std::string file = absl::StrCat(name, ".", variant, ".safetensors");
  std::vector<std::string> names = {absl::StrCat(name, ".safetensors.index.", variant, ".json"),
                                    absl::StrCat(name, ".safetensors.", variant, ".index.json"),
                                    file + ".index.json"};
  names.insert(naming == WeightsNaming::kDiffusers ? names.end() : names.begin(), file);
  return names;
}

// Weights that Python's pickle wrote, by their names: "pytorch_model.bin", "model.fp16.bin", their indexes.
bool IsPickled(const std::string& name, absl::string_view weights_name) {
  if (!absl::EndsWith(name, ".bin") && !absl::StrContains(name, ".bin.index.")) return false;
  return absl::StartsWith(name, weights_name) || absl::StartsWith(name, "pytorch_model");
}

std::set<std::string> FileNames(const std::string& folder) {
  std::set<std::string> names;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (const fs::directory_iterator end; !error && entry != end; entry.increment(error)) {
    names.insert(entry->path().filename().string());
  }
  return names;
}

}  // namespace

absl::string_view WeightsName(WeightsNaming naming) {
  return naming == WeightsNaming::kDiffusers ? "diffusion_pytorch_model" : "model";
}

std::string FindWeights(const std::string& folder, WeightsNaming naming) {
  for (const char* variant : {"", "fp16", "bf16"}) {
    for (const std::string& name : Names(naming, variant)) {
      std::string path = absl::StrCat(folder, "/", name);
      if (Exists(path)) return path;
    }
  }
  return "";
}

std::string MissingWeights(const std::string& folder, WeightsNaming naming) {
  const std::string path = absl::StrCat(folder, "/", WeightsName(naming), ".safetensors");
  for (const std::string& name : FileNames(folder)) {
    if (!IsPickled(name, WeightsName(naming))) continue;
    return absl::StrCat("missing ", path, " (", folder, "/", name,
                        " is a pickled PyTorch file; convert it to safetensors)");
  }
  return MissingFile(path);
}

std::string MissingFile(const std::string& path) {
  std::error_code error;
  const fs::path target = fs::read_symlink(path, error);
  if (error) return absl::StrCat("missing ", path);
  return absl::StrCat("missing ", path, " (a link to ", target.string(),
                      ", which is not there; was the download finished?)");
}

}  // namespace kandinsky
