#include "clients/cpp/embed_commands.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clients/cpp/embedding_file.h"
#include "clients/cpp/image_files.h"
#include "clients/cpp/input_files.h"
#include "clients/cpp/npy.h"
#include "clients/cpp/output_file.h"
#include "clients/cpp/output_format.h"
#include "clients/cpp/prior_flags.h"
#include "clients/cpp/standard_streams.h"
#include "clients/cpp/usage.h"

namespace kandinsky::client {
namespace {

constexpr char kOutputHelp[] =
    "Embedding file to write; several become FILE-0, FILE-1, ... before the extension (default: the standard "
    "output, one line each, as for -)";

struct TextFlags {
  std::vector<std::string> texts;
  std::string output;
  std::string hidden_states;
  bool strict = false;
  std::string model;
};

struct ImageFlags {
  std::vector<std::string> images;
  std::string output;
  std::string model;
};

struct PromptFlags {
  PriorFlags prior;
  std::string output;
};

// Writes each embedding to its file, or prints it. With --json standard output is one object, in which files
// take the place of the numbers.
int Deliver(std::vector<nlohmann::ordered_json> embeddings, const std::string& path,
            const Truncations& truncations, const CommandOutput& output) {
  const int count = static_cast<int>(embeddings.size());
  nlohmann::ordered_json result = {{"embeddings", nlohmann::ordered_json::array()}};
  if (!output.json) PrintTruncations(truncations, output);
  for (int i = 0; i < count; ++i) {
    nlohmann::ordered_json& embedding = embeddings[static_cast<size_t>(i)];
    if (path.empty() || IsStandardOutput(path)) {
      if (!output.json) PrintJson(embedding, output.out);
      result["embeddings"].push_back(std::move(embedding));
      continue;
    }
    const std::string file = ImagePath(path, i, count);
    const absl::Status written = WriteFile(file, embedding.dump() + "\n");
    if (!written.ok()) return PrintError(written, output);
    if (!output.json) output.out << file << std::endl;
    result["embeddings"].push_back({{"file", file}});
  }
  AddTruncations(truncations, result);
  if (output.json) PrintJson(result, output.out);
  return 0;
}

// Whether the files of `count` results could be written.
absl::Status CheckOutputs(const std::string& flag, const std::string& path, int count, bool binary) {
  absl::Status status;
  for (int i = 0; i < std::min(count, kMostCheckedFiles) && !path.empty(); ++i) {
    status.Update(CheckOutput(flag, ImagePath(path, i, count), binary));
  }
  return status;
}

// Throws CLI::ParseError for names of files that promise something else than an embedding.
void CheckEmbeddingName(const std::string& path) {
  RefuseUnlessOk("--output", CheckFileName(path, {".json", ".txt"}));
}

void CheckTextFlags(const TextFlags& flags) {
  CheckEmbeddingName(flags.output);
  RefuseUnlessOk("--hidden-states",
                 CheckFileName(flags.hidden_states, ExtensionsOf(v1::OUTPUT_FORMAT_LATENT)));
  if (IsStandardOutput(flags.hidden_states)) {
    throw CLI::ValidationError("--hidden-states", "the embeddings go to the standard output; name a file");
  }
  if (!flags.output.empty() && flags.output == flags.hidden_states) {
    throw CLI::ValidationError("--output and --hidden-states contradict each other: they are the same file");
  }
}

absl::Status CheckCount(int received, int expected) {
  if (received == expected) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(received, " embeddings came, ", expected, " were asked for"));
}

absl::Status WriteHiddenStates(const std::string& path, const v1::EmbedTextResponse& response) {
  for (int i = 0; i < response.embeddings_size(); ++i) {
    const absl::StatusOr<std::string> content = ToNpy(response.embeddings(i).hidden_states());
    if (!content.ok()) return absl::DataLossError(content.status().message());
    absl::Status written = WriteFile(ImagePath(path, i, response.embeddings_size()), *content);
    if (!written.ok()) return written;
  }
  return absl::OkStatus();
}

int RunEmbedText(const TextFlags& flags, ImageClient& client, const CallOptions& call,
                 const CommandOutput& output) {
  const int count = static_cast<int>(flags.texts.size());
  absl::Status status = CheckOutputs("--output", flags.output, count, false);
  status.Update(CheckOutputs("--hidden-states", flags.hidden_states, count, true));
  v1::EmbedTextRequest request;
  request.set_model(flags.model);
  for (const std::string& given : flags.texts) {
    if (!status.ok()) break;
    absl::StatusOr<std::string> text = ReadText("text", given);
    status = text.status();
    if (text.ok()) request.add_texts(*std::move(text));
  }
  if (!status.ok()) return PrintError(status, output);
  if (!flags.hidden_states.empty()) request.set_include_hidden_states(true);
  if (flags.strict) request.set_strict_text(true);
  const absl::StatusOr<v1::EmbedTextResponse> response = client.EmbedText(request, call);
  if (!response.ok()) return PrintCallError(response.status(), call, output);
  status = CheckCount(response->embeddings_size(), request.texts_size());
  if (status.ok() && !flags.hidden_states.empty()) status = WriteHiddenStates(flags.hidden_states, *response);
  if (!status.ok()) return PrintError(status, output);
  std::vector<nlohmann::ordered_json> embeddings;
  Truncations truncations;
  for (const v1::TextEmbedding& text : response->embeddings()) {
    if (text.kept_tokens() < text.tokens()) {
      v1::PromptTruncation& truncation = *truncations.Add();
      truncation.set_field(absl::StrCat("text ", embeddings.size()));
      truncation.set_tokens(text.tokens());
      truncation.set_kept_tokens(text.kept_tokens());
    }
    embeddings.push_back({{"tokens", text.tokens()},
                          {"kept_tokens", text.kept_tokens()},
                          {"token_ids", text.token_ids()},
                          {"text_embedding", ToJson(text.embedding())}});
  }
  return Deliver(std::move(embeddings), flags.output, truncations, output);
}

int RunEmbedImage(const ImageFlags& flags, ImageClient& client, const CallOptions& call,
                  const CommandOutput& output) {
  absl::Status status = CheckOutputs("--output", flags.output, static_cast<int>(flags.images.size()), false);
  v1::EmbedImagesRequest request;
  request.set_model(flags.model);
  for (const std::string& path : flags.images) {
    if (!status.ok()) break;
    absl::StatusOr<std::string> image = ReadImageFile("image", path);
    status = image.status();
    if (image.ok()) request.add_images(*std::move(image));
  }
  if (!status.ok()) return PrintError(status, output);
  const absl::StatusOr<v1::EmbedImagesResponse> response = client.EmbedImages(request, call);
  if (!response.ok()) return PrintCallError(response.status(), call, output);
  status = CheckCount(response->embeddings_size(), request.images_size());
  if (!status.ok()) return PrintError(status, output);
  std::vector<nlohmann::ordered_json> embeddings;
  for (const v1::Embedding& embedding : response->embeddings()) {
    embeddings.push_back({{"image_embedding", ToJson(embedding)}});
  }
  return Deliver(std::move(embeddings), flags.output, {}, output);
}

int RunEmbedPrompt(const PromptFlags& flags, ImageClient& client, const CallOptions& call,
                   const CommandOutput& output) {
  v1::GenerateImageEmbeddingRequest request;
  const int count = flags.prior.count.value_or(std::max(static_cast<int>(flags.prior.seeds.size()), 1));
  absl::Status status = CheckOutputs("--output", flags.output, count, false);
  if (status.ok()) status = SetPrior(flags.prior, request);
  if (!status.ok()) return PrintError(status, output);
  const absl::StatusOr<v1::GenerateImageEmbeddingResponse> response =
      client.GenerateImageEmbedding(request, call);
  if (!response.ok()) return PrintCallError(response.status(), call, output);
  status = CheckCount(response->embeddings_size(), count);
  if (!status.ok()) return PrintError(status, output);
  std::vector<nlohmann::ordered_json> embeddings;
  for (const v1::GeneratedImageEmbedding& generated : response->embeddings()) {
    embeddings.push_back({{"seed", NumberToJson(generated.seed())},
                          {"image_embedding", ToJson(generated.embedding())},
                          {"negative_image_embedding", ToJson(generated.negative_embedding())}});
  }
  return Deliver(std::move(embeddings), flags.output, response->truncations(), output);
}

void AddEmbedText(CommandSet& commands, CLI::App& group) {
  const auto flags = std::make_shared<TextFlags>();
  CLI::App& app =
      commands.Add(group, "text", "CLIP embeddings of texts",
                   [flags](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
                     return RunEmbedText(*flags, client, call, output);
                   });
  app.add_option("text", flags->texts, "The texts: each argument is one, - is the standard input")
      ->required();
  app.add_option("-o,--output", flags->output, kOutputHelp)->check(FileName());
  app.add_option("--hidden-states", flags->hidden_states,
                 ".npy file for the last hidden state of every token; several as for --output")
      ->check(FileName());
  app.add_flag("--strict-text", flags->strict, "A text that is too long is an error instead of being cut");
  AddModelFlag(app, flags->model);
  app.callback([flags] { CheckTextFlags(*flags); });
}

void AddEmbedImage(CommandSet& commands, CLI::App& group) {
  const auto flags = std::make_shared<ImageFlags>();
  CLI::App& app =
      commands.Add(group, "image", "CLIP embeddings of images",
                   [flags](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
                     return RunEmbedImage(*flags, client, call, output);
                   });
  app.add_option("image", flags->images, "The image files")->required();
  app.add_option("-o,--output", flags->output, kOutputHelp)->check(FileName());
  AddModelFlag(app, flags->model);
  app.callback([flags] { CheckEmbeddingName(flags->output); });
}

void AddEmbedPrompt(CommandSet& commands, CLI::App& group) {
  const auto flags = std::make_shared<PromptFlags>();
  CLI::App& app =
      commands.Add(group, "prompt",
                   "Image embeddings that the prior makes of a prompt or a mixture, for --image-embedding",
                   [flags](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
                     return RunEmbedPrompt(*flags, client, call, output);
                   });
  app.add_option("-o,--output", flags->output, kOutputHelp)->check(FileName());
  AddPriorFlags(app, flags->prior, "Embeddings");
  app.callback([flags, &app] {
    if (!HasPrompt(flags->prior)) {
      throw CLI::RequiredError("a prompt, --mix-text, --mix-image or --mix-embedding");
    }
    CheckPriorFlags(app, flags->prior);
    CheckEmbeddingName(flags->output);
  });
}

}  // namespace

void AddEmbedCommands(CommandSet& commands) {
  CLI::App& group = commands.AddGroup("embed", "Makes embeddings of texts, images and prompts");
  AddEmbedText(commands, group);
  AddEmbedImage(commands, group);
  AddEmbedPrompt(commands, group);
}

}  // namespace kandinsky::client
