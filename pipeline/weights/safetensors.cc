#include "pipeline/weights/safetensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json_file.h"
#include "base/status_macros.h"

namespace kandinsky {
namespace {

namespace fs = std::filesystem;

constexpr JsonLimits kIndexLimits = {.max_bytes = 64u << 20, .max_depth = 8};

torch::ScalarType ToScalarType(SafetensorsDtype dtype) {
  switch (dtype) {
    case SafetensorsDtype::kF64:
      return torch::kDouble;
    case SafetensorsDtype::kF32:
      return torch::kFloat;
    case SafetensorsDtype::kF16:
      return torch::kHalf;
    case SafetensorsDtype::kBF16:
      return torch::kBFloat16;
    case SafetensorsDtype::kI64:
      return torch::kLong;
    case SafetensorsDtype::kI32:
      return torch::kInt;
    case SafetensorsDtype::kI16:
      return torch::kShort;
    case SafetensorsDtype::kI8:
      return torch::kChar;
    case SafetensorsDtype::kU8:
      return torch::kByte;
    case SafetensorsDtype::kBool:
      return torch::kBool;
  }
  return torch::kByte;
}

std::string Quote(absl::string_view name) {
  return absl::StrCat("\"", absl::CHexEscape(name.substr(0, 200)), "\"");
}

bool IsInside(const fs::path& file, const fs::path& folder) {
  const fs::path inside = file.lexically_relative(folder);
  return !inside.empty() && *inside.begin() != "..";
}

// The folder in which a hub cache keeps the files that a snapshot links to:
// REPOSITORY/snapshots/REVISION[/...] -> REPOSITORY/blobs. Empty for a folder that is in no snapshot.
fs::path BlobsOf(const fs::path& folder) {
  for (fs::path revision = folder; revision.has_relative_path(); revision = revision.parent_path()) {
    const fs::path snapshots = revision.parent_path();
    if (snapshots.filename() == "snapshots") return snapshots.parent_path() / "blobs";
  }
  return {};
}

// The file behind a shard name, when the name stays inside the index's folder: also behind links, but for
// those of a hub cache into the blobs of the same repository.
absl::StatusOr<std::string> ResolveShard(const std::string& index, const std::string& shard) {
  const auto refuse = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(index, ": shard ", Quote(shard), " ", what));
  };
  const fs::path relative(shard);
  if (shard.empty() || relative.is_absolute()) return refuse("is not a relative path");
  for (const fs::path& part : relative) {
    if (part == "..") return refuse("leaves the folder");
  }
  std::error_code error;
  const fs::path folder = fs::canonical(fs::absolute(index).parent_path(), error);
  const fs::path file = fs::canonical(folder / relative, error);
  if (error) return absl::NotFoundError(absl::StrCat(index, ": shard ", Quote(shard), " is missing"));
  const fs::path blobs = BlobsOf(folder);
  if (IsInside(file, folder) || (!blobs.empty() && file.parent_path() == blobs)) return file.string();
  return refuse(
      absl::StrCat("is a link that leaves the folder", blobs.empty() ? "" : " and the repository's blobs"));
}

// Tensor name -> shard name.
absl::StatusOr<std::map<std::string, std::string>> ReadWeightMap(const std::string& index) {
  ASSIGN_OR_RETURN(const nlohmann::json json, ReadJsonFile(index, kIndexLimits));
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(index, ": no weight_map"));
  }
  std::map<std::string, std::string> weight_map;
  for (const auto& [tensor, shard] : json["weight_map"].items()) {
    if (!shard.is_string()) {
      return absl::InvalidArgumentError(
          absl::StrCat(index, ": tensor ", Quote(tensor), " has no shard name"));
    }
    weight_map[tensor] = shard.get<std::string>();
  }
  return weight_map;
}

}  // namespace

// Fills a Checkpoint file by file.
class CheckpointBuilder {
 public:
  explicit CheckpointBuilder(const std::string& path) : checkpoint_(new Checkpoint(path)) {}

  absl::Status AddFile(const std::string& path) {
    ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
    ASSIGN_OR_RETURN(SafetensorsHeader header, ParseSafetensorsHeader(file->bytes(), path));
    for (SafetensorsEntry& entry : header.entries) {
      const size_t bytes = entry.end - entry.begin;
      const bool is_new =
          checkpoint_->entries_
              .emplace(entry.name, Checkpoint::Entry{{ToScalarType(entry.dtype), std::move(entry.shape)},
                                                     file,
                                                     header.data_offset + entry.begin,
                                                     bytes})
              .second;
      if (!is_new) {
        return absl::InvalidArgumentError(
            absl::StrCat(path, ": tensor ", Quote(entry.name), " is in another shard as well"));
      }
      checkpoint_->total_bytes_ += static_cast<int64_t>(bytes);
    }
    checkpoint_->metadata_ = std::move(header.metadata);
    return absl::OkStatus();
  }

  // Adds every shard of an index; all names are checked before the first is opened.
  absl::Status AddShards(const std::string& index) {
    ASSIGN_OR_RETURN(const auto weight_map, ReadWeightMap(index));
    std::map<std::string, std::string> paths;  // by shard name
    for (const auto& [tensor, shard] : weight_map) {
      if (paths.contains(shard)) continue;
      ASSIGN_OR_RETURN(paths[shard], ResolveShard(index, shard));
    }
    for (const auto& [shard, path] : paths) RETURN_IF_ERROR(AddFile(path));
    checkpoint_->metadata_.clear();
    for (const auto& [tensor, shard] : weight_map) {
      const auto found = checkpoint_->entries_.find(tensor);
      if (found == checkpoint_->entries_.end() || found->second.file->path() != paths[shard]) {
        return absl::InvalidArgumentError(
            absl::StrCat(index, ": tensor ", Quote(tensor), " is not in shard ", Quote(shard)));
      }
    }
    for (const auto& [tensor, entry] : checkpoint_->entries_) {
      if (!weight_map.contains(tensor)) {
        return absl::InvalidArgumentError(
            absl::StrCat(index, ": tensor ", Quote(tensor), " of ", entry.file->path(), " is not listed"));
      }
    }
    return absl::OkStatus();
  }

  std::shared_ptr<const Checkpoint> Build() && { return std::move(checkpoint_); }

 private:
  std::shared_ptr<Checkpoint> checkpoint_;
};

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  names.reserve(entries_.size());
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

const Checkpoint::TensorInfo* Checkpoint::Find(absl::string_view name) const {
  const Entry* entry = FindEntry(name);
  return entry == nullptr ? nullptr : &entry->info;
}

const Checkpoint::Entry* Checkpoint::FindEntry(absl::string_view name) const {
  const auto found = entries_.find(std::string_view(name.data(), name.size()));
  return found == entries_.end() ? nullptr : &found->second;
}

absl::StatusOr<torch::Tensor> Checkpoint::Get(absl::string_view name) const {
  const Entry* entry = FindEntry(name);
  if (entry == nullptr) return absl::NotFoundError(absl::StrCat(path_, ": no tensor ", Quote(name)));
  try {
    return ToTensor(*entry);
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(path_, ": tensor ", Quote(name), ": ", error.what()));
  }
}

void Checkpoint::ReleasePages() const {
  std::set<const MappedFile*> files;
  for (const auto& [name, entry] : entries_) files.insert(entry.file.get());
  for (const MappedFile* file : files) file->ReleasePages();
}

void Checkpoint::ReleasePages(absl::string_view name) const {
  const Entry* entry = FindEntry(name);
  if (entry != nullptr) entry->file->ReleasePages(entry->offset, entry->bytes);
}

void Checkpoint::ReadAhead(absl::string_view name) const {
  const Entry* entry = FindEntry(name);
  if (entry != nullptr) entry->file->ReadAhead(entry->offset, entry->bytes);
}

std::vector<std::string> Checkpoint::names_by_place() const {
  std::vector<std::string> names = this->names();
  std::stable_sort(names.begin(), names.end(), [this](const std::string& a, const std::string& b) {
    const Entry &first = *FindEntry(a), &second = *FindEntry(b);
    return std::tie(first.file->path(), first.offset) < std::tie(second.file->path(), second.offset);
  });
  return names;
}

torch::Tensor Checkpoint::ToTensor(const Entry& entry) {
  const torch::ScalarType dtype = entry.info.dtype;
  if (entry.bytes == 0) return torch::empty(entry.info.shape, torch::TensorOptions().dtype(dtype));
  void* data = const_cast<std::byte*>(entry.file->bytes().data() + entry.offset);
  const auto from_file = [&](torch::ScalarType type) {
    return torch::from_blob(
        data, entry.info.shape, [file = entry.file](void*) {}, torch::TensorOptions().dtype(type));
  };
  // Bytes other than 0 and 1 would be undefined behavior as bool.
  if (dtype == torch::kBool) return from_file(torch::kByte).ne(0);
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(dtype) == 0) return from_file(dtype);
  torch::Tensor copy = torch::empty(entry.info.shape, torch::TensorOptions().dtype(dtype));
  std::memcpy(copy.data_ptr(), data, entry.bytes);
  return copy;
}

absl::StatusOr<std::shared_ptr<const Checkpoint>> OpenCheckpoint(const std::string& file_or_index) {
  CheckpointBuilder builder(file_or_index);
  if (absl::EndsWith(file_or_index, ".json")) {
    RETURN_IF_ERROR(builder.AddShards(file_or_index));
  } else {
    RETURN_IF_ERROR(builder.AddFile(file_or_index));
  }
  return std::move(builder).Build();
}

}  // namespace kandinsky
