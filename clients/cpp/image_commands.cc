#include "clients/cpp/image_commands.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "clients/cpp/generation_flags.h"
#include "clients/cpp/input_files.h"
#include "clients/cpp/number_flags.h"
#include "clients/cpp/usage.h"

namespace kandinsky::client {
namespace {

struct EditFlags {
  GenerationFlags generation;
  std::string image;
  std::optional<double> strength;
};

struct InpaintFlags {
  GenerationFlags generation;
  std::string image;
  std::string mask;
  bool white_keeps = false;
  bool soft = false;
  bool paste_back = false;
  std::optional<int> feather;
};

struct ControlFlags {
  GenerationFlags generation;
  std::string depth;
  std::string image;
  std::optional<double> strength;
};

constexpr NumberRange<double> kStrengths = {.min = 0, .max = 1, .above_min = true};
constexpr char kStrengthHelp[] = "How much of the image may change, above 0 to 1 (default 0.3)";

absl::Status SetImageToImage(const EditFlags& flags, v1::GenerateRequest& request) {
  absl::StatusOr<std::string> image = ReadImageFile("--image", flags.image);
  if (!image.ok()) return image.status();
  v1::ImageToImage& task = *request.mutable_image_to_image();
  task.set_image(*std::move(image));
  if (flags.strength) task.set_strength(*flags.strength);
  return absl::OkStatus();
}

absl::Status SetInpaint(const InpaintFlags& flags, v1::GenerateRequest& request) {
  absl::StatusOr<std::string> image = ReadImageFile("--image", flags.image);
  if (!image.ok()) return image.status();
  absl::StatusOr<std::string> mask = ReadImageFile("--mask", flags.mask);
  if (!mask.ok()) return mask.status();
  v1::Inpaint& task = *request.mutable_inpaint();
  task.set_image(*std::move(image));
  task.set_mask(*std::move(mask));
  if (flags.white_keeps) task.set_mask_polarity(v1::MASK_POLARITY_WHITE_KEEPS);
  if (flags.soft) task.set_mask_mode(v1::MASK_MODE_SOFT);
  if (flags.paste_back) task.set_paste_back(true);
  if (flags.feather) task.set_feather_pixels(*flags.feather);
  return absl::OkStatus();
}

absl::Status SetControlNet(const ControlFlags& flags, v1::GenerateRequest& request) {
  absl::StatusOr<ImageOrTensor> depth = ReadImageOrTensorFile("--depth", flags.depth, TensorKind::kDepth);
  if (!depth.ok()) return depth.status();
  v1::ControlNet& task = *request.mutable_control_net();
  if (depth->is_tensor) {
    *task.mutable_depth() = std::move(depth->tensor);
  } else {
    task.set_depth_image(std::move(depth->image));
  }
  if (!flags.image.empty()) {
    absl::StatusOr<std::string> image = ReadImageFile("--image", flags.image);
    if (!image.ok()) return image.status();
    task.set_image(*std::move(image));
  }
  if (flags.strength) task.set_strength(*flags.strength);
  return absl::OkStatus();
}

// A new command whose own fields `set` puts into the request.
template <typename Flags>
CLI::App& AddTask(CommandSet& commands, const std::string& name, const std::string& description,
                  const std::shared_ptr<Flags>& flags,
                  absl::Status (*set)(const Flags&, v1::GenerateRequest&)) {
  return commands.Add(
      name, description,
      [flags, set](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
        return RunTask(
            flags->generation, [&](v1::GenerateRequest& request) { return set(*flags, request); }, client,
            call, output);
      });
}

void AddGenerate(CommandSet& commands) {
  const auto flags = std::make_shared<GenerationFlags>();
  CLI::App& app =
      commands.Add("generate", "Makes images from a prompt or a mixture",
                   [flags](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
                     // Without a task a request is text to image.
                     return RunTask(
                         *flags, [](v1::GenerateRequest&) { return absl::OkStatus(); }, client, call, output);
                   });
  app.footer(
      "Example: kandinsky generate --mix-text \"a cat\" --mix-weight 0.3 --mix-image sea.png --mix-weight "
      "0.7");
  AddGenerationFlags(app, *flags);
}

void AddEdit(CommandSet& commands) {
  const auto flags = std::make_shared<EditFlags>();
  CLI::App& app =
      AddTask(commands, "edit", "Changes an image by a prompt or a mixture", flags, SetImageToImage);
  app.add_option("--image", flags->image, "The image: a PNG, JPEG or WebP file")->required();
  AddNumberFlag(app, "--strength", flags->strength, kStrengths, kStrengthHelp);
  AddGenerationFlags(app, flags->generation);
}

void AddInpaint(CommandSet& commands) {
  const auto flags = std::make_shared<InpaintFlags>();
  CLI::App& app =
      AddTask(commands, "inpaint", "Paints a part of an image by a prompt or a mixture", flags, SetInpaint);
  app.add_option("--image", flags->image, "The image: a PNG, JPEG or WebP file")->required();
  app.add_option("--mask", flags->mask, "The part: an image file of the same size, white where to paint")
      ->required();
  app.add_flag("--mask-white-keeps", flags->white_keeps, "The mask is black where to paint instead");
  app.add_flag("--soft-mask", flags->soft, "Between black and white, the image is blended");
  CLI::Option* const paste =
      app.add_flag("--paste-back", flags->paste_back,
                   "Copies the kept pixels over the result, in which they differ slightly");
  AddNumberFlag<int>(app, "--feather", flags->feather, {.min = 0, .max = kAnyCount.max},
                     "Pixels over which that copy fades out (default 0)")
      ->needs(paste);
  AddGenerationFlags(app, flags->generation);
}

void AddControl(CommandSet& commands) {
  const auto flags = std::make_shared<ControlFlags>();
  CLI::App& app = AddTask(commands, "control", "Makes images from a prompt or a mixture and a depth map",
                          flags, SetControlNet);
  app.add_option("--depth", flags->depth,
                 "The depth map, near is bright: an image file, or a .npy file of floats in 0..1")
      ->required();
  CLI::Option* const image =
      app.add_option("--image", flags->image, "Image file to start from (default: noise)")->check(FileName());
  AddNumberFlag(app, "--strength", flags->strength, kStrengths, kStrengthHelp)->needs(image);
  AddGenerationFlags(app, flags->generation);
}

}  // namespace

void AddImageCommands(CommandSet& commands) {
  AddGenerate(commands);
  AddEdit(commands);
  AddInpaint(commands);
  AddControl(commands);
}

}  // namespace kandinsky::client
