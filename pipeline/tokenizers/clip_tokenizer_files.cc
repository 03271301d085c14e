#include "pipeline/tokenizers/clip_tokenizer_files.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/json_file.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"

namespace kandinsky {
namespace {

using nlohmann::json;

constexpr JsonLimits kVocabularyLimits = {
    .max_bytes = 32u << 20, .max_depth = 16, .allow_big_integers = true};
constexpr size_t kMaxMergesBytes = 16u << 20;
constexpr size_t kMaxAddedTokens = 256;
constexpr int kDefaultMaxLength = 77;
// Longer windows mean that the file has no limit of its own (Python writes 10^30 then).
constexpr int kLargestMaxLength = 1024;

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

absl::Status Malformed(const std::string& path, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

// The object in an optional file, empty without the file.
absl::StatusOr<json> ReadOptionalObject(const std::string& path) {
  if (!Exists(path)) return json::object();
  ASSIGN_OR_RETURN(json object, ReadJsonFile(path, kVocabularyLimits));
  if (!object.is_object()) return Malformed(path, "not an object");
  return object;
}

bool IsId(const json& value) {
  return value.is_number_unsigned() && value.get<uint64_t>() <= std::numeric_limits<int32_t>::max();
}

absl::StatusOr<Vocabulary> ToVocabulary(const json& object, const std::string& path) {
  if (!object.is_object()) return Malformed(path, "the vocabulary is not an object");
  Vocabulary vocabulary;
  vocabulary.reserve(object.size());
  for (const auto& [token, id] : object.items()) {
    if (!IsId(id))
      return Malformed(path, absl::StrCat("token \"", absl::CHexEscape(token), "\" has no valid id"));
    vocabulary.emplace(token, id.get<int64_t>());
  }
  return vocabulary;
}

absl::StatusOr<Merge> ToMerge(absl::string_view line, const std::string& path) {
  const std::vector<std::string> parts = absl::StrSplit(line, ' ');
  if (parts.size() != 2 || parts[0].empty() || parts[1].empty()) {
    return Malformed(path,
                     absl::StrCat("merge \"", absl::CHexEscape(line.substr(0, 80)), "\" is not two tokens"));
  }
  return Merge(parts[0], parts[1]);
}

absl::StatusOr<std::vector<Merge>> ReadMergesFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxMergesBytes));
  std::vector<Merge> merges;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::EndsWith(line, "\r")) line.remove_suffix(1);
    if (line.empty() || absl::StartsWith(line, "#version")) continue;
    ASSIGN_OR_RETURN(Merge merge, ToMerge(line, path));
    merges.push_back(std::move(merge));
  }
  return merges;
}

// Merges are "left right", or since 2024 ["left", "right"].
absl::StatusOr<std::vector<Merge>> ToMerges(const json& array, const std::string& path) {
  if (!array.is_array()) return Malformed(path, "the merges are not an array");
  std::vector<Merge> merges;
  merges.reserve(array.size());
  for (const json& item : array) {
    if (item.is_string()) {
      ASSIGN_OR_RETURN(Merge merge, ToMerge(item.get_ref<const std::string&>(), path));
      merges.push_back(std::move(merge));
    } else if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string()) {
      merges.emplace_back(item[0].get<std::string>(), item[1].get<std::string>());
    } else {
      return Malformed(path, absl::StrCat("merge ", merges.size(), " is not two tokens"));
    }
  }
  return merges;
}

// A special token as the files describe it: a bare name, or an object with flags.
absl::StatusOr<AddedToken> ToAddedToken(const json& value, const std::string& path) {
  AddedToken token;
  token.id = -1;
  if (value.is_string()) {
    token.content = value.get<std::string>();
  } else if (value.is_object() && value.contains("content") && value["content"].is_string()) {
    token.content = value["content"].get<std::string>();
    const auto flag = [&value](const char* name) {
      return value.contains(name) && value[name].is_boolean() && value[name].get<bool>();
    };
    token.normalized = flag("normalized");
    if (flag("lstrip") || flag("rstrip") || flag("single_word")) {
      return absl::UnimplementedError(absl::StrCat(path, ": token \"", absl::CHexEscape(token.content),
                                                   "\" has lstrip, rstrip or single_word"));
    }
    if (value.contains("id") && IsId(value["id"])) token.id = value["id"].get<int64_t>();
  }
  if (token.content.empty()) return Malformed(path, "a special token has no name");
  return token;
}

// Collects added tokens; a later one replaces an earlier one of the same name.
class AddedTokens {
 public:
  AddedTokens(const Vocabulary& vocabulary, std::string path)
      : vocabulary_(vocabulary), path_(std::move(path)) {}

  // `id_in_file` counts only for tokens outside the vocabulary, -1 when unknown.
  absl::Status Add(AddedToken token) {
    const auto found = vocabulary_.find(token.content);
    const auto known = tokens_.find(token.content);
    if (found != vocabulary_.end()) {
      token.id = found->second;
    } else if (known != tokens_.end()) {
      token.id = known->second.id;
    }
    if (token.id < 0) {
      return Malformed(path_,
                       absl::StrCat("special token \"", absl::CHexEscape(token.content), "\" has no id"));
    }
    tokens_[token.content] = token;
    if (tokens_.size() > kMaxAddedTokens) return Malformed(path_, "too many added tokens");
    return absl::OkStatus();
  }

  const AddedToken* Find(const std::string& content) const {
    const auto found = tokens_.find(content);
    return found == tokens_.end() ? nullptr : &found->second;
  }

  std::vector<AddedToken> all() const {
    std::vector<AddedToken> tokens;
    tokens.reserve(tokens_.size());
    for (const auto& [content, token] : tokens_) tokens.push_back(token);
    return tokens;
  }

 private:
  const Vocabulary& vocabulary_;
  const std::string path_;
  std::map<std::string, AddedToken> tokens_;
};

// Tokens that the files list with their ids: {"49406": {...}} or [{"id": 49406, ...}].
absl::Status AddListedTokens(const json& list, const std::string& path, AddedTokens& tokens) {
  for (const auto& [key, value] : list.items()) {
    ASSIGN_OR_RETURN(AddedToken token, ToAddedToken(value, path));
    if (list.is_object() && token.id < 0) {
      int32_t id = -1;
      if (!absl::SimpleAtoi(key, &id) || id < 0) return Malformed(path, "an added token has no valid id");
      token.id = id;
    }
    RETURN_IF_ERROR(tokens.Add(std::move(token)));
  }
  return absl::OkStatus();
}

// Adds the token that `special` names as `key` and returns its id. Flags that the token was listed with count
// more than those given here.
absl::StatusOr<int64_t> AddNamedToken(const json& special, const std::string& key,
                                      const std::string& fallback, const std::string& path,
                                      AddedTokens& tokens, const AddedTokens& listed) {
  const bool given = special.contains(key) && !special[key].is_null();
  ASSIGN_OR_RETURN(AddedToken token, ToAddedToken(given ? special[key] : json(fallback), path));
  if (const AddedToken* known = listed.Find(token.content)) token = *known;
  const std::string content = token.content;
  RETURN_IF_ERROR(tokens.Add(std::move(token)));
  return tokens.Find(content)->id;
}

struct Layout {
  json listed_tokens;  // of tokenizer.json; null without
  std::string path;    // the file that holds the vocabulary
};

absl::StatusOr<Layout> ReadVocabularyAndMerges(const std::string& folder, ClipTokenizerFiles& files) {
  Layout layout{nullptr, absl::StrCat(folder, "/tokenizer.json")};
  if (Exists(layout.path)) {
    ASSIGN_OR_RETURN(const json tokenizer, ReadOptionalObject(layout.path));
    const json model = tokenizer.value("model", json());
    if (!model.is_object()) return Malformed(layout.path, "no model");
    ASSIGN_OR_RETURN(files.vocabulary, ToVocabulary(model.value("vocab", json()), layout.path));
    ASSIGN_OR_RETURN(files.merges, ToMerges(model.value("merges", json()), layout.path));
    layout.listed_tokens = tokenizer.value("added_tokens", json());
    return layout;
  }
  layout.path = absl::StrCat(folder, "/vocab.json");
  ASSIGN_OR_RETURN(const json vocabulary, ReadJsonFile(layout.path, kVocabularyLimits));
  ASSIGN_OR_RETURN(files.vocabulary, ToVocabulary(vocabulary, layout.path));
  ASSIGN_OR_RETURN(files.merges, ReadMergesFile(absl::StrCat(folder, "/merges.txt")));
  return layout;
}

int MaxLength(const json& config) {
  const json length = config.value("model_max_length", json(kDefaultMaxLength));
  if (!length.is_number() || length.get<double>() > kLargestMaxLength) return kDefaultMaxLength;
  return static_cast<int>(length.get<double>());
}

}  // namespace

absl::StatusOr<ClipTokenizerFiles> ReadClipTokenizerFiles(const std::string& folder) {
  ClipTokenizerFiles files;
  ASSIGN_OR_RETURN(const Layout layout, ReadVocabularyAndMerges(folder, files));
  const std::string config_path = absl::StrCat(folder, "/tokenizer_config.json");
  ASSIGN_OR_RETURN(json special, ReadOptionalObject(config_path));
  files.max_length = MaxLength(special);
  if (files.max_length < 3) return Malformed(config_path, "model_max_length is below 3");

  AddedTokens listed(files.vocabulary, layout.path);
  if (special.contains("added_tokens_decoder")) {
    RETURN_IF_ERROR(AddListedTokens(special["added_tokens_decoder"], config_path, listed));
  } else {
    ASSIGN_OR_RETURN(const json map, ReadOptionalObject(absl::StrCat(folder, "/special_tokens_map.json")));
    special.update(map);
    RETURN_IF_ERROR(AddListedTokens(layout.listed_tokens, layout.path, listed));
  }
  AddedTokens tokens = listed;
  const std::string end = "<|endoftext|>";
  const auto add = [&](const char* key, const std::string& fallback) {
    return AddNamedToken(special, key, fallback, config_path, tokens, listed);
  };
  ASSIGN_OR_RETURN(files.begin_id, add("bos_token", "<|startoftext|>"));
  ASSIGN_OR_RETURN(files.end_id, add("eos_token", end));
  ASSIGN_OR_RETURN(files.unknown_id, add("unk_token", end));
  ASSIGN_OR_RETURN(files.pad_id, add("pad_token", end));
  files.added_tokens = tokens.all();
  return files;
}

}  // namespace kandinsky
