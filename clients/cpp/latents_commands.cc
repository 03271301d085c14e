#include "clients/cpp/latents_commands.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_join.h"
#include "clients/cpp/generation_flags.h"
#include "clients/cpp/image_files.h"
#include "clients/cpp/input_files.h"
#include "clients/cpp/npy.h"
#include "clients/cpp/output_file.h"
#include "clients/cpp/output_format.h"
#include "clients/cpp/usage.h"

namespace kandinsky::client {
namespace {

constexpr char kFloatFormat[] = "float";  // of pixels as a .npy file

struct EncodeFlags {
  std::string image;
  std::string output = "latents.npy";
  std::optional<int> width;
  std::optional<int> height;
  std::string model;
};

struct DecodeFlags {
  std::string latents;
  OutputFlags output;
  std::string model;
};

// Writes a tensor and says so. The name of a tensor file tells all but the shape.
int DeliverTensor(const v1::FloatTensor& tensor, const std::string& path, const CommandOutput& output) {
  const absl::StatusOr<std::string> content = ToNpy(tensor);
  absl::Status status =
      content.ok() ? WriteFile(path, *content) : absl::DataLossError(content.status().message());
  if (!status.ok()) return PrintError(status, output);
  if (output.json) {
    PrintJson({{"file", path}, {"shape", tensor.shape()}}, output.out);
  } else {
    ResultStream(path, output) << path << " [" << absl::StrJoin(tensor.shape(), ", ") << "]" << std::endl;
  }
  return 0;
}

int DeliverImage(const v1::GeneratedImage& image, const std::string& path, const CommandOutput& output) {
  const absl::StatusOr<std::string> content = FileContent(image);
  const absl::Status status = content.ok() ? WriteFile(path, *content) : content.status();
  if (!status.ok()) return PrintError(status, output);
  if (output.json) {
    PrintJson({{"file", path},
               {"format", FormatName(image.format())},
               {"width", image.width()},
               {"height", image.height()}},
              output.out);
  } else {
    ResultStream(path, output) << path << " " << image.width() << "x" << image.height() << std::endl;
  }
  return 0;
}

int RunEncode(const EncodeFlags& flags, ImageClient& client, const CallOptions& call,
              const CommandOutput& output) {
  if (const absl::Status status = CheckOutput("--output", flags.output); !status.ok())
    return PrintError(status, output);
  absl::StatusOr<ImageOrTensor> source = ReadImageOrTensorFile("image", flags.image, TensorKind::kPixels);
  if (!source.ok()) return PrintError(source.status(), output);
  v1::EncodeLatentsRequest request;
  request.set_model(flags.model);
  if (source->is_tensor) {
    *request.mutable_pixels() = std::move(source->tensor);
  } else {
    request.set_image(std::move(source->image));
  }
  if (flags.width) request.set_width(*flags.width);
  if (flags.height) request.set_height(*flags.height);
  const absl::StatusOr<v1::EncodeLatentsResponse> response = client.EncodeLatents(request, call);
  if (!response.ok()) return PrintCallError(response.status(), call, output);
  return DeliverTensor(response->latents(), flags.output, output);
}

// Whether pixels are wanted: by --format, or else by the file's extension.
bool WantsPixels(const OutputFlags& flags) {
  if (!flags.format.empty()) return flags.format == kFloatFormat;
  return FormatOfExtension(flags.output) == v1::OUTPUT_FORMAT_LATENT;
}

int RunDecode(const DecodeFlags& flags, ImageClient& client, const CallOptions& call,
              const CommandOutput& output) {
  v1::DecodeLatentsRequest request;
  request.set_model(flags.model);
  std::string path = flags.output.output;
  if (WantsPixels(flags.output)) {
    request.set_float_pixels(true);
    if (path.empty()) path = "pixels.npy";
  } else {
    SetOutput(flags.output, *request.mutable_output());
    if (path.empty()) path = DefaultImageFile(request.output().format());
  }
  if (const absl::Status status = CheckOutput("--output", path); !status.ok())
    return PrintError(status, output);
  absl::StatusOr<v1::FloatTensor> latents = ReadTensorFile("latents", flags.latents, TensorKind::kLatents);
  if (!latents.ok()) return PrintError(latents.status(), output);
  *request.mutable_latents() = *std::move(latents);
  const absl::StatusOr<v1::DecodeLatentsResponse> response = client.DecodeLatents(request, call);
  if (!response.ok()) return PrintCallError(response.status(), call, output);
  return request.float_pixels() ? DeliverTensor(response->pixels(), path, output)
                                : DeliverImage(response->image(), path, output);
}

void AddEncode(CommandSet& commands, CLI::App& group) {
  const auto flags = std::make_shared<EncodeFlags>();
  CLI::App& app =
      commands.Add(group, "encode", "An image to latents, as a .npy file",
                   [flags](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
                     return RunEncode(*flags, client, call, output);
                   });
  app.add_option("image", flags->image,
                 "The image: a PNG, JPEG or WebP file, or a .npy file of floats [3, height, width] in -1..1")
      ->required();
  app.add_option("-o,--output", flags->output, ".npy file to write, - for the standard output")
      ->capture_default_str()
      ->check(FileName());
  AddSizeFlags(app, flags->width, flags->height);
  AddModelFlag(app, flags->model);
  app.callback([flags, &app] {
    RefuseUnlessOk("--output", CheckFileName(flags->output, ExtensionsOf(v1::OUTPUT_FORMAT_LATENT)));
    RefuseJsonBesideFile(app, flags->output);
  });
}

void AddDecode(CommandSet& commands, CLI::App& group) {
  const auto flags = std::make_shared<DecodeFlags>();
  CLI::App& app =
      commands.Add(group, "decode", "Latents to an image, or to a .npy file of its pixels",
                   [flags](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
                     return RunDecode(*flags, client, call, output);
                   });
  app.add_option("latents", flags->latents, "The latents: a .npy file of floats [4, height, width]")
      ->required();
  AddOutputFlags(app, flags->output, {"png", "jpeg", "webp", "raw", kFloatFormat});
  app.callback([flags, &app] {
    RefuseJsonBesideFile(app, flags->output.output);
    if (!WantsPixels(flags->output)) {
      CheckOutputFlags(flags->output);
      return;
    }
    RefuseUnlessOk("--output", CheckFileName(flags->output.output, ExtensionsOf(v1::OUTPUT_FORMAT_LATENT)));
    RefuseTogether(app, "--quality", flags->output.format.empty() ? "--output" : "--format",
                   "a file of float pixels has none");
  });
  AddModelFlag(app, flags->model);
}

}  // namespace

void AddLatentsCommands(CommandSet& commands) {
  CLI::App& group = commands.AddGroup("latents", "The image autoencoder alone");
  AddEncode(commands, group);
  AddDecode(commands, group);
}

}  // namespace kandinsky::client
