#include "clients/cpp/generate_command.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clients/cpp/progress_display.h"
#include "clients/cpp/rich_error.h"

namespace kandinsky {
namespace {

namespace fs = std::filesystem;

// A file that was written.
struct WrittenImage {
  std::string path;
  v1::GeneratedImage facts;  // without its data
};

// Found before the server works for minutes.
absl::Status CheckOutput(const std::string& output) {
  std::error_code error;
  const fs::path folder = fs::path(output).parent_path();
  if (!folder.empty() && !fs::is_directory(folder, error)) {
    return absl::NotFoundError(absl::StrCat("there is no folder ", folder.string(), " for the output"));
  }
  if (fs::is_directory(output, error))
    return absl::InvalidArgumentError(absl::StrCat(output, " is a folder"));
  return absl::OkStatus();
}

absl::Status WriteFile(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (file) return absl::OkStatus();
  return absl::UnknownError(absl::StrCat("cannot write ", path));
}

std::string Dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

double ToSeconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + 1e-9 * duration.nanos();
}

void PrintError(const GenerateCommand& command, const absl::Status& status, std::ostream& out,
                std::ostream& err) {
  const std::string code = absl::StatusCodeToString(status.code());
  const std::string message(status.message());
  err << "kandinsky: " << code << ": " << message << std::endl;
  if (!command.json) return;
  const RichError details = DetailsOf(status);
  nlohmann::ordered_json error = {{"code", code}, {"message", message}};
  if (!details.reason.empty()) error["reason"] = details.reason;
  for (const RichError::Violation& violation : details.violations) {
    error["violations"].push_back({{"field", violation.field}, {"rule", violation.rule}});
  }
  if (details.retry_after) error["retry_after_seconds"] = absl::ToDoubleSeconds(*details.retry_after);
  if (!details.error_id.empty()) error["error_id"] = details.error_id;
  out << Dump({{"error", error}}) << std::endl;
}

void PrintJson(const v1::GenerationSummary& summary, const std::vector<WrittenImage>& images,
               std::ostream& out) {
  nlohmann::ordered_json json = {{"request_id", summary.request_id()},
                                 {"model", summary.model()},
                                 {"seconds", ToSeconds(summary.timings().total())},
                                 {"queued_seconds", ToSeconds(summary.timings().queued())},
                                 {"images", nlohmann::ordered_json::array()}};
  for (const WrittenImage& image : images) {
    json["images"].push_back({{"index", image.facts.index()},
                              {"file", image.path},
                              {"seed", image.facts.seed()},
                              {"width", image.facts.width()},
                              {"height", image.facts.height()}});
  }
  for (const v1::PromptTruncation& truncation : summary.truncations()) {
    json["truncations"].push_back({{"field", truncation.field()},
                                   {"tokens", truncation.tokens()},
                                   {"kept_tokens", truncation.kept_tokens()}});
  }
  out << Dump(json) << std::endl;
}

void PrintText(const v1::GenerationSummary& summary, const std::vector<WrittenImage>& images,
               std::ostream& out, std::ostream& err) {
  for (const v1::PromptTruncation& truncation : summary.truncations()) {
    err << "kandinsky: " << truncation.field() << " was cut from " << truncation.tokens() << " to "
        << truncation.kept_tokens() << " tokens" << std::endl;
  }
  for (const WrittenImage& image : images) {
    out << image.path << " " << image.facts.width() << "x" << image.facts.height() << " seed "
        << image.facts.seed() << std::endl;
  }
}

}  // namespace

std::string ImagePath(const std::string& output, int index, int count) {
  if (count <= 1) return output;
  fs::path path(output);
  const std::string name = absl::StrCat(path.stem().string(), "-", index, path.extension().string());
  return path.replace_filename(name).string();
}

int RunGenerate(const GenerateCommand& command, ImageClient& client, std::ostream& out, std::ostream& err) {
  if (const absl::Status status = CheckOutput(command.output); !status.ok()) {
    PrintError(command, status, out, err);
    return kExitError;
  }
  const int count = command.request.has_image_count() ? command.request.image_count() : 1;
  ProgressDisplay display(err, command.terminal, count);
  std::vector<WrittenImage> images;
  absl::Status written;
  GenerateCallbacks callbacks;
  callbacks.on_queued = [&](const v1::QueuedEvent& event) { display.OnQueued(event); };
  callbacks.on_started = [&](const v1::StartedEvent& event) { display.OnStarted(event); };
  callbacks.on_progress = [&](const v1::ProgressEvent& event) { display.OnProgress(event); };
  callbacks.on_image = [&](v1::GeneratedImage image) {
    const std::string path = ImagePath(command.output, image.index(), count);
    written.Update(WriteFile(path, image.data()));
    image.clear_payload();
    images.push_back({path, std::move(image)});
  };
  const absl::StatusOr<v1::GenerationSummary> summary =
      client.Generate(command.request, callbacks, command.call);
  display.Clear();

  const absl::Status status = summary.ok() ? written : summary.status();
  if (!status.ok()) {
    PrintError(command, status, out, err);
    const bool interrupted = command.call.cancellation != nullptr && command.call.cancellation->cancelled();
    return interrupted && absl::IsCancelled(status) ? kExitInterrupted : kExitError;
  }
  std::sort(images.begin(), images.end(),
            [](const WrittenImage& a, const WrittenImage& b) { return a.facts.index() < b.facts.index(); });
  if (command.json) {
    PrintJson(*summary, images, out);
  } else {
    PrintText(*summary, images, out, err);
  }
  return 0;
}

}  // namespace kandinsky
