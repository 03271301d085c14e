#include "clients/cpp/generate_command.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "clients/cpp/image_files.h"
#include "clients/cpp/progress_display.h"

namespace kandinsky {
namespace {

// A file that was written.
struct WrittenImage {
  std::string path;
  v1::GeneratedImage facts;  // without its data
};

absl::Status CheckFiles(const GenerateCommand& command) {
  absl::Status status = CheckOutput(command.output);
  if (!command.preview.empty()) status.Update(CheckOutput(command.preview));
  return status;
}

void PrintResultAsJson(const v1::GenerationSummary& summary, const std::vector<WrittenImage>& images,
                       std::ostream& out) {
  nlohmann::ordered_json json = {{"request_id", summary.request_id()},
                                 {"model", summary.model()},
                                 {"seconds", ToSeconds(summary.timings().total())},
                                 {"queued_seconds", ToSeconds(summary.timings().queued())},
                                 {"mean_batch_rows", summary.batch().mean_rows()},
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
  PrintJson(json, out);
}

void PrintResult(const v1::GenerationSummary& summary, const std::vector<WrittenImage>& images,
                 const CommandOutput& output) {
  if (output.json) {
    PrintResultAsJson(summary, images, output.out);
    return;
  }
  for (const v1::PromptTruncation& truncation : summary.truncations()) {
    output.err << "kandinsky: " << truncation.field() << " was cut from " << truncation.tokens() << " to "
               << truncation.kept_tokens() << " tokens" << std::endl;
  }
  for (const WrittenImage& image : images) {
    output.out << image.path << " " << image.facts.width() << "x" << image.facts.height() << " seed "
               << image.facts.seed() << std::endl;
  }
}

// The exit code of a request that ended with `status`.
int PrintFailure(const GenerateCommand& command, const absl::Status& status, const CommandOutput& output) {
  const int code = PrintError(status, output);
  const bool interrupted = command.call.cancellation != nullptr && command.call.cancellation->cancelled();
  if (!interrupted || !absl::IsCancelled(status)) return code;
  if (command.request.detach()) {
    output.err << "kandinsky: the server goes on with it; `kandinsky get " << command.request.request_id()
               << "` tells how it stands" << std::endl;
  }
  return kExitInterrupted;
}

}  // namespace

int RunGenerate(const GenerateCommand& command, ImageClient& client, const CommandOutput& output) {
  if (const absl::Status status = CheckFiles(command); !status.ok()) return PrintError(status, output);
  const int count = command.request.has_image_count() ? command.request.image_count() : 1;
  ProgressDisplay display(output.err, command.terminal, count);
  std::vector<WrittenImage> images;
  absl::Status written;
  GenerateCallbacks callbacks;
  callbacks.on_queued = [&](const v1::QueuedEvent& event) { display.OnQueued(event); };
  callbacks.on_started = [&](const v1::StartedEvent& event) { display.OnStarted(event); };
  callbacks.on_progress = [&](const v1::ProgressEvent& event) { display.OnProgress(event); };
  callbacks.on_preview = [&](const v1::PreviewEvent& event) {
    if (command.preview.empty()) return;
    written.Update(ReplaceFile(ImagePath(command.preview, event.image_index(), count), event.data()));
  };
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
  if (!status.ok()) return PrintFailure(command, status, output);
  std::sort(images.begin(), images.end(),
            [](const WrittenImage& a, const WrittenImage& b) { return a.facts.index() < b.facts.index(); });
  PrintResult(*summary, images, output);
  return 0;
}

}  // namespace kandinsky
