#include "tests/structure/source_tree_rules.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace kandinsky {
namespace {

namespace fs = std::filesystem;

struct Include {
  int line = 0;
  std::string path;
};

// Libraries whose headers only some folders may see.
enum class Guarded { kTorch, kWire, kLog };

struct Layer {
  const char* folder;  // the longest folder that a path begins with decides; "" is any other place
  std::set<std::string> may_include;  // layers, besides itself; "*" for all
  std::set<Guarded> may_use;
};

constexpr auto kTorch = Guarded::kTorch;
constexpr auto kWire = Guarded::kWire;
constexpr auto kLog = Guarded::kLog;

// "pipeline" stands for the pipeline interface, pipeline/*.h; "proto" for the generated code of proto/.
const std::vector<Layer>& Layers() {
  static const std::vector<Layer> layers = {
      {"base", {}, {kLog}},
      {"imaging", {"base"}, {}},
      {"config", {"base"}, {kWire}},
      {"pipeline", {"base", "imaging"}, {}},
      {"pipeline/tokenizers", {"base"}, {}},
      {"pipeline/kandinsky22", {"base", "imaging", "pipeline"}, {}},
      {"pipeline/simulated", {"base", "imaging", "pipeline", "pipeline/kandinsky22"}, {}},
      {"pipeline/device", {"base", "pipeline"}, {kTorch}},
      {"pipeline/models", {"base"}, {kTorch}},
      {"pipeline/samplers", {"base", "pipeline"}, {kTorch}},
      {"pipeline/weights", {"base"}, {kTorch}},
      {"pipeline/diffusion",
       {"base", "imaging", "pipeline", "pipeline/tokenizers", "pipeline/device", "pipeline/samplers"},
       {kTorch}},
      {"pipeline/components",
       {"base", "imaging", "pipeline", "pipeline/tokenizers", "pipeline/device", "pipeline/models",
        "pipeline/samplers", "pipeline/weights", "pipeline/diffusion"},
       {kTorch}},
      {"pipeline/kandinsky22/networks",
       {"base", "imaging", "pipeline", "pipeline/kandinsky22", "pipeline/tokenizers", "pipeline/device",
        "pipeline/models", "pipeline/samplers", "pipeline/weights", "pipeline/components",
        "pipeline/diffusion"},
       {kTorch}},
      {"scheduler", {"base", "imaging", "pipeline"}, {}},
      {"server", {"base", "imaging", "config", "pipeline", "scheduler", "proto"}, {kWire}},
      {"server/main.cc", {"*"}, {kWire}},
      {"training",
       {"base", "imaging", "pipeline", "pipeline/tokenizers", "pipeline/device", "pipeline/models",
        "pipeline/samplers", "pipeline/weights", "pipeline/components", "pipeline/diffusion",
        "pipeline/kandinsky22", "pipeline/kandinsky22/networks", "training/dataset"},
       {kTorch}},
      {"training/dataset", {"base", "imaging"}, {}},
      {"training/config", {"base", "config", "proto", "training"}, {kWire}},
      {"training/main.cc", {"*"}, {}},
      {"tools",
       {"base", "imaging", "pipeline", "pipeline/tokenizers", "pipeline/device", "pipeline/models",
        "pipeline/samplers", "pipeline/weights", "pipeline/components", "pipeline/diffusion",
        "pipeline/kandinsky22", "pipeline/kandinsky22/networks", "scheduler"},
       {kTorch}},
      {"clients", {"proto"}, {kWire}},
      {"tests", {"*"}, {kTorch, kWire}},
      {"", {"*"}, {kTorch, kWire}},
  };
  return layers;
}

bool IsBelow(const std::string& path, const std::string& folder) {
  return folder.empty() || path == folder || absl::StartsWith(path, folder + "/");
}

// The layer of a source file or of an included path.
const Layer& LayerOf(const std::string& path) {
  const Layer* best = nullptr;
  for (const Layer& layer : Layers()) {
    const bool longer =
        best == nullptr || std::string(layer.folder).size() > std::string(best->folder).size();
    if (longer && IsBelow(path, layer.folder)) best = &layer;
  }
  return *best;
}

std::vector<Include> IncludesOf(const std::string& text) {
  std::vector<Include> includes;
  int line = 0;
  for (absl::string_view row : absl::StrSplit(text, '\n')) {
    ++line;
    row = absl::StripLeadingAsciiWhitespace(row);
    if (!absl::ConsumePrefix(&row, "#")) continue;
    row = absl::StripLeadingAsciiWhitespace(row);
    if (!absl::ConsumePrefix(&row, "include")) continue;
    row = absl::StripLeadingAsciiWhitespace(row);
    if (row.empty() || (row[0] != '"' && row[0] != '<')) continue;
    const size_t end = row.find(row[0] == '"' ? '"' : '>', 1);
    if (end != absl::string_view::npos) includes.push_back({line, std::string(row.substr(1, end - 1))});
  }
  return includes;
}

bool BeginsWithAny(const std::string& path, std::initializer_list<const char*> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const char* prefix) { return absl::StartsWith(path, prefix); });
}

// Which guarded libraries a path belongs to: one or none.
std::set<Guarded> GuardedOf(const std::string& path) {
  if (BeginsWithAny(path, {"torch/", "ATen/", "c10/", "caffe2/"})) return {kTorch};
  if (BeginsWithAny(path, {"grpc/", "grpcpp/", "grpc++/", "google/", "kandinsky/v1/"})) return {kWire};
  if (BeginsWithAny(path, {"spdlog/", "fmt/"})) return {kLog};
  return {};
}

const char* GuardedName(Guarded guarded) {
  switch (guarded) {
    case kTorch:
      return "torch";
    case kWire:
      return "proto or gRPC";
    case kLog:
      return "spdlog or fmt";
  }
  return "";
}

// The layer that an include points to; empty for system and library headers.
std::string TargetLayer(const SourceTree& tree, const std::string& included) {
  if (absl::StartsWith(included, "kandinsky/v1/")) return "proto";
  return tree.contains(included) ? LayerOf(included).folder : "";
}

std::string Place(const std::string& path, int line) { return absl::StrCat(path, ":", line, ": "); }

int CountLines(const std::string& text) {
  const int newlines = static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  return newlines + (text.empty() || text.back() == '\n' ? 0 : 1);
}

// Adds the files of `folder`, below `root`, whose names end in one of `endings`.
void AddFiles(const std::string& root, const std::string& folder, const std::set<std::string>& endings,
              SourceTree& tree) {
  for (auto entry = fs::recursive_directory_iterator(fs::path(root) / folder);
       entry != fs::recursive_directory_iterator(); ++entry) {
    const std::string name = entry->path().filename().string();
    if (entry->is_directory() &&
        (name[0] == '.' || name == "node_modules" || absl::StartsWith(name, "build"))) {
      entry.disable_recursion_pending();
      continue;
    }
    if (!endings.contains(entry->path().extension().string()) && !endings.contains(name)) continue;
    std::stringstream text;
    text << std::ifstream(entry->path()).rdbuf();
    tree[fs::relative(entry->path(), root).generic_string()] = text.str();
  }
}

// Beginnings and other parts of words that American English spells otherwise.
constexpr const char* kBritish[] = {
    "analyse",  "artefact",  "behaviour",  "catalogue", "centre",   "colour",   "favour",  "grey",
    "honour",   "initialis", "judgement",  "labelled",  "licence",  "maximis",  "minimis", "neighbour",
    "normalis", "optimisa",  "optimise",   "optimisi",  "organisa", "organise", "quantis", "recognis",
    "serialis", "summaris",  "synchronis", "utilis",    "vectoris"};

// Captions are data: the models in models/shapes learned from both spellings.
bool IsData(const std::string& path, const std::string& word) {
  return (path == "tools/shapes_pack/captions.py" && (word == "grey" || word == "centre")) ||
         (path == "tools/shapes_pack/scenes.py" && word == "grey");
}

}  // namespace

SourceTree ReadSourceTree(const std::string& root) {
  SourceTree tree;
  AddFiles(root, "", {".h", ".cc", ".cpp"}, tree);
  return tree;
}

SourceTree ReadSpelledTree(const std::string& root) {
  SourceTree tree;
  for (const char* folder : {"base", "benchmarks", "clients", "config", "docs", "imaging", "pipeline",
                             "proto", "scheduler", "server", "tools", "training"}) {
    AddFiles(root, folder, {".h", ".cc", ".md", ".proto", ".py", "CMakeLists.txt"}, tree);
  }
  return tree;
}

std::vector<std::string> CheckLayers(const SourceTree& tree) {
  std::vector<std::string> violations;
  for (const auto& [path, text] : tree) {
    if (path == "pipeline/torch_pch.cc") continue;  // exists to compile torch headers once
    const Layer& layer = LayerOf(path);
    for (const Include& include : IncludesOf(text)) {
      const std::string target = TargetLayer(tree, include.path);
      if (!target.empty() && target != layer.folder && !layer.may_include.contains("*") &&
          !layer.may_include.contains(target)) {
        violations.push_back(absl::StrCat(Place(path, include.line), layer.folder, " may not include ",
                                          target, ": ", include.path));
      }
      for (const Guarded guarded : GuardedOf(include.path)) {
        if (layer.may_use.contains(guarded)) continue;
        violations.push_back(absl::StrCat(Place(path, include.line), layer.folder, " may not see ",
                                          GuardedName(guarded), ": ", include.path));
      }
    }
  }
  return violations;
}

std::vector<std::string> CheckTorchApart(const SourceTree& tree) {
  // Guarded libraries that each file sees, through the project's own headers too.
  std::map<std::string, std::set<Guarded>> seen;
  const std::function<const std::set<Guarded>&(const std::string&)> visit =
      [&](const std::string& path) -> const auto& {
    const auto [entry, added] = seen.try_emplace(path);
    if (!added) return entry->second;
    std::set<Guarded> found;
    for (const Include& include : IncludesOf(tree.at(path))) {
      found.merge(GuardedOf(include.path));
      if (!tree.contains(include.path)) continue;
      const std::set<Guarded>& through = visit(include.path);
      found.insert(through.begin(), through.end());
    }
    return seen[path] = found;
  };
  std::vector<std::string> violations;
  for (const auto& [path, text] : tree) {
    std::set<Guarded> before;
    for (const Include& include : IncludesOf(text)) {
      std::set<Guarded> now = GuardedOf(include.path);
      if (tree.contains(include.path)) now = visit(include.path);
      const bool was_mixed = before.contains(kTorch) && before.size() > 1;
      before.insert(now.begin(), now.end());
      if (!was_mixed && before.contains(kTorch) && before.size() > 1) {
        violations.push_back(absl::StrCat(Place(path, include.line),
                                          "torch meets proto, gRPC, spdlog or fmt: ", include.path));
      }
    }
  }
  return violations;
}

std::vector<std::string> CheckSizes(const SourceTree& tree) {
  std::vector<std::string> violations;
  for (const auto& [path, text] : tree) {
    const bool header = absl::EndsWith(path, ".h");
    const int limit = absl::StartsWith(path, "tests/") ? 800 : header ? 150 : 400;
    const int lines = CountLines(text);
    if (lines > limit)
      violations.push_back(absl::StrCat(Place(path, limit + 1), lines, " lines, more than ", limit));
  }
  return violations;
}

std::vector<std::string> CheckNames(const SourceTree& tree) {
  std::vector<std::string> violations;
  for (const auto& [path, text] : tree) {
    for (const absl::string_view part : absl::StrSplit(path, '/')) {
      const std::string stem(part.substr(0, part.find('.')));
      for (const char* name : {"util", "utils", "common", "helper", "helpers", "misc"}) {
        if (stem != name && !absl::EndsWith(stem, absl::StrCat("_", name))) continue;
        violations.push_back(absl::StrCat(Place(path, 1), "'", stem, "' says nothing about what it holds"));
      }
    }
  }
  return violations;
}

std::vector<std::string> CheckSpelling(const SourceTree& tree) {
  std::vector<std::string> violations;
  for (const auto& [path, text] : tree) {
    int line = 0;
    for (const absl::string_view row : absl::StrSplit(text, '\n')) {
      ++line;
      const std::string lower = absl::AsciiStrToLower(row);
      for (const char* word : kBritish) {
        if (!absl::StrContains(lower, word) || IsData(path, word)) continue;
        violations.push_back(absl::StrCat(Place(path, line), "'", word, "' is not American spelling"));
      }
    }
  }
  return violations;
}

}  // namespace kandinsky
