#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kandinsky/v1/server_config.pb.h"

namespace kandinsky::server {

// Reads a ServerConfig from a file of at most 1 MiB; its extension tells the format: .json, or .textproto,
// .txtpb, .pbtxt. Fields that are not in the text stay unset. INVALID_ARGUMENT with the place of the error
// for anything that is not a well-formed ServerConfig, unknown fields included.
absl::StatusOr<v1::ServerConfig> ReadConfigFile(const std::string& path);

// Applies "path=value", e.g. "engine.max_batch_rows=4": path is the dotted name of a field that is no group,
// value a number, a text, true or false, or the name of an enum value; for a list (model.devices) the whole
// list, its entries separated by commas. INVALID_ARGUMENT naming the override otherwise.
absl::Status ApplyOverride(const std::string& override_text, v1::ServerConfig& config);

// Fills every field that is unset with its documented default; an empty list counts as unset. model.path has
// none.
v1::ServerConfig WithDefaults(const v1::ServerConfig& config);

// Checks a config that WithDefaults made. INVALID_ARGUMENT with one line that names the first wrong field,
// its value and its limits.
absl::Status ValidateConfig(const v1::ServerConfig& config);

// What the largest request that the other limits allow holds besides its images, tensors and embeddings,
// and with two images, in bytes. For complete limits, of any range.
int64_t MostTextBytes(const v1::LimitsConfig& limits);
int64_t MostMessageBytes(const v1::LimitsConfig& limits);

// The config as text proto, one field a line; ReadConfigFile reads it back.
std::string PrintConfig(const v1::ServerConfig& config);

// Whether `name` has 1 to 128 characters of A-Z a-z 0-9 . _ - (model names and request ids).
bool IsValidName(const std::string& name);

}  // namespace kandinsky::server
