#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "pipeline/components/config_reader.h"
#include "pipeline/components/model_configs.h"

namespace kandinsky {
namespace {

using nlohmann::json;

constexpr int kBicubic = 3;  // of Pillow's resampling filters
constexpr int kMaxEdge = 1 << 14;

// What a size means to transformers' CLIPImageProcessor.
struct Size {
  int64_t height = 0;
  int64_t width = 0;
  bool shortest_edge = false;  // height, and the longer edge follows it; otherwise the image is squeezed
};

// As transformers 5's get_size_dict reads a number, a list or an object; absent for what it refuses, and for
// what cannot be told from the file alone.
std::optional<Size> SizeOf(const json& value, bool number_is_square) {
  json edges = json::object();
  if (value.is_number_integer()) {
    edges = number_is_square ? json{{"height", value}, {"width", value}} : json{{"shortest_edge", value}};
  } else if (value.is_array() && value.size() == 2) {
    edges = {{"height", value[0]}, {"width", value[1]}};
  } else if (value.is_object()) {
    for (const auto& [key, edge] : value.items()) {
      if (!edge.is_null()) edges[key] = edge;
    }
  }
  for (const json& edge : edges) {
    if (!edge.is_number_integer() || edge < 1 || edge > kMaxEdge) return std::nullopt;
  }
  if (edges.size() == 1 && edges.contains("shortest_edge")) {
    return Size{.height = edges["shortest_edge"].get<int64_t>(),
                .width = edges["shortest_edge"].get<int64_t>(),
                .shortest_edge = true};
  }
  if (edges.size() == 2 && edges.contains("height") && edges.contains("width")) {
    return Size{.height = edges["height"].get<int64_t>(), .width = edges["width"].get<int64_t>()};
  }
  return std::nullopt;
}

// Reads how an image becomes a square.
class SquareReader {
 public:
  SquareReader(const std::string& file, const json& object) : file_(file), object_(object) {}

  absl::Status Read(ClipProcessorConfig& config) const {
    bool number_is_square = false;
    bool use_square_size = false;
    bool crops = true;
    ConfigReader reader(file_, object_);
    reader.Read("default_to_square", number_is_square)
        .Read("use_square_size", use_square_size)
        .Read("do_center_crop", crops);
    if (!reader.status().ok()) return reader.status();
    // use_square_size takes the place of whatever else the file says of the size.
    const json square = {{"height", 224}, {"width", 224}};
    const json size_value = use_square_size ? square : ValueOr("size", {{"shortest_edge", 224}});
    const json crop_value = ValueOr("crop_size", square);
    const std::optional<Size> size = SizeOf(size_value, number_is_square);
    const std::optional<Size> crop = SizeOf(crop_value, /*number_is_square=*/true);
    if (!size.has_value() || size->height != size->width) {
      return Refuse("size", size_value,
                    "must be a square: a number, a shortest_edge, or equal height and width");
    }
    if (!crops && size->shortest_edge) {
      return Refuse("do_center_crop", false,
                    "must be true where size is a shortest_edge: images become squares");
    }
    if (crops && (!crop.has_value() || crop->shortest_edge || crop->height != crop->width)) {
      return Refuse("crop_size", crop_value, "must be a square: a number, or equal height and width");
    }
    if (crops && crop->height != size->height) {
      return Refuse("size", size_value, absl::StrCat("must be crop_size, ", TextOf(crop_value)));
    }
    config.image_size = static_cast<int>(size->height);
    config.squeezes = !size->shortest_edge;
    return absl::OkStatus();
  }

  absl::Status Refuse(const char* key, const json& value, absl::string_view rule) const {
    return absl::InvalidArgumentError(
        absl::StrCat(file_, ": ", key, " ", TextOf(value), " is not supported, it ", rule));
  }

  json ValueOr(const char* key, const json& otherwise) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? otherwise : *found;
  }

 private:
  const std::string& file_;
  const json& object_;
};

}  // namespace

absl::StatusOr<ClipProcessorConfig> ParseClipProcessorConfig(const std::string& file, const json& object) {
  ClipProcessorConfig config;
  int resample = kBicubic;
  ConfigReader reader(file, object);
  reader.Read("image_mean", config.image_mean).Read("image_std", config.image_std).Read("resample", resample);
  if (!reader.status().ok()) return reader.status();
  const SquareReader square(file, object);
  for (const auto& [step, needed] : {std::pair{"do_resize", true}, std::pair{"do_rescale", true},
                                     std::pair{"do_normalize", true}, std::pair{"do_pad", false}}) {
    bool done = needed;
    if (!reader.Read(step, done).status().ok()) return reader.status();
    if (done != needed) return square.Refuse(step, done, needed ? "must be true" : "must be false");
  }
  if (absl::Status read = square.Read(config); !read.ok()) return read;
  const json factor = square.ValueOr("rescale_factor", 1 / 255.0);
  if (!factor.is_number() || !(std::abs(factor.get<double>() * 255 - 1) < 1e-6)) {
    return square.Refuse("rescale_factor", factor, "must be 1 / 255");
  }
  if (config.image_mean.size() != 3) {
    return square.Refuse("image_mean", config.image_mean, "must have 3 numbers");
  }
  const auto is_divisor = [](float value) { return value > 0; };
  if (config.image_std.size() != 3 ||
      !std::all_of(config.image_std.begin(), config.image_std.end(), is_divisor)) {
    return square.Refuse("image_std", config.image_std, "must have 3 numbers above 0");
  }
  if (resample != kBicubic) return square.Refuse("resample", resample, "must be 3, bicubic");
  return config;
}

}  // namespace kandinsky
