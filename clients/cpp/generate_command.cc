#include "clients/cpp/generate_command.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "clients/cpp/image_files.h"
#include "clients/cpp/output_file.h"
#include "clients/cpp/output_format.h"
#include "clients/cpp/progress_display.h"
#include "clients/cpp/rich_error.h"

namespace kandinsky::client {
namespace {

// A file that was written.
struct WrittenImage {
  std::string path;
  v1::GeneratedImage facts;  // without its data
};

int ImageCount(const v1::GenerateRequest& request) {
  if (request.has_image_count()) return request.image_count();
  return std::max(request.seeds_size(), 1);
}

absl::Status CheckFiles(const GenerateCommand& command) {
  const int count = ImageCount(command.request);
  absl::Status status;
  for (int i = 0; i < std::min(count, kMostCheckedFiles); ++i) {
    status.Update(CheckOutput("--output", ImagePath(command.output, i, count)));
  }
  if (!command.preview.empty()) {
    status.Update(CheckOutput("--preview-to", PreviewPath(command.preview, {}, count)));
  }
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
                              {"format", FormatName(image.facts.format())},
                              {"seed", NumberToJson(image.facts.seed())},
                              {"width", image.facts.width()},
                              {"height", image.facts.height()}});
  }
  AddTruncations(summary.truncations(), json);
  PrintJson(json, out);
}

void PrintResult(const v1::GenerationSummary& summary, const std::vector<WrittenImage>& images,
                 const CommandOutput& output) {
  if (output.json) {
    PrintResultAsJson(summary, images, output.out);
    return;
  }
  PrintTruncations(summary.truncations(), output);
  for (const WrittenImage& image : images) {
    ResultStream(image.path, output) << image.path << " " << image.facts.width() << "x"
                                     << image.facts.height() << " seed " << image.facts.seed() << std::endl;
  }
}

// E.g. ", wait about 1.5 s".
std::string About(const char* what, const google::protobuf::Duration& duration) {
  return absl::StrFormat(", %s about %.1f s", what, ToSeconds(duration));
}

// Of --validate-only.
void PrintValidity(const v1::GenerationSummary& summary, const CommandOutput& output) {
  if (output.json) {
    nlohmann::ordered_json json = {{"valid", true}, {"model", summary.model()}};
    for (const uint64_t seed : summary.seeds()) json["seeds"].push_back(NumberToJson(seed));
    if (summary.has_estimated_wait()) json["estimated_wait_seconds"] = ToSeconds(summary.estimated_wait());
    if (summary.has_estimated_work()) json["estimated_work_seconds"] = ToSeconds(summary.estimated_work());
    AddTruncations(summary.truncations(), json);
    PrintJson(json, output.out);
    return;
  }
  PrintTruncations(summary.truncations(), output);
  output.out << "valid: model " << OneLine(summary.model()) << ", seed "
             << absl::StrJoin(summary.seeds(), " ");
  if (summary.has_estimated_wait()) output.out << About("wait", summary.estimated_wait());
  if (summary.has_estimated_work()) output.out << About("work", summary.estimated_work());
  output.out << std::endl;
}

// The exit code of a request that ended with `status`.
int PrintFailure(const GenerateCommand& command, const absl::Status& status, const CommandOutput& output) {
  const int code = PrintCallError(status, command.call, output);
  if (code == kExitInterrupted && command.request.detach()) {
    output.err << "kandinsky: the server goes on with it; `kandinsky get " << command.request.request_id()
               << "` tells how it stands" << std::endl;
  }
  return code;
}

// The exit code when the images came but their files could not be written.
int PrintLost(const GenerateCommand& command, const absl::Status& written, const CommandOutput& output) {
  const int code = PrintError(written, output);
  if (command.request.has_request_id()) {
    output.err << "kandinsky: the server keeps the images for a while; `kandinsky get "
               << command.request.request_id() << " --output FILE` fetches them" << std::endl;
  }
  return code;
}

}  // namespace

int RunGenerate(const GenerateCommand& command, ImageClient& client, const CommandOutput& output) {
  if (!command.request.validate_only()) {
    if (const absl::Status status = CheckFiles(command); !status.ok()) return PrintError(status, output);
  }
  const int count = ImageCount(command.request);
  ProgressDisplay display(output.err, command.terminal, count);
  std::vector<WrittenImage> images;
  absl::Status written;
  GenerateCallbacks callbacks;
  callbacks.on_queued = [&](const v1::QueuedEvent& event) { display.OnQueued(event); };
  callbacks.on_started = [&](const v1::StartedEvent& event) { display.OnStarted(event); };
  callbacks.on_progress = [&](const v1::ProgressEvent& event) { display.OnProgress(event); };
  callbacks.on_preview = [&](const v1::PreviewEvent& event) {
    if (command.preview.empty()) return;
    written.Update(WriteFile(PreviewPath(command.preview, event, count), event.data()));
  };
  callbacks.on_image = [&](v1::GeneratedImage image) {
    const std::string path = ImagePath(command.output, image.index(), count);
    const absl::StatusOr<std::string> content = FileContent(image);
    written.Update(content.ok() ? WriteFile(path, *content) : content.status());
    image.clear_payload();
    images.push_back({path, std::move(image)});
  };
  const absl::StatusOr<v1::GenerationSummary> summary =
      client.Generate(command.request, callbacks, command.call);
  display.Clear();

  if (!summary.ok()) return PrintFailure(command, summary.status(), output);
  if (!written.ok()) return PrintLost(command, written, output);
  if (command.request.validate_only()) {
    PrintValidity(*summary, output);
    return 0;
  }
  if (images.size() < static_cast<size_t>(summary->seeds_size())) {
    return PrintError(
        absl::DataLossError(absl::StrFormat("%d of %d images came", images.size(), summary->seeds_size())),
        output);
  }
  std::sort(images.begin(), images.end(),
            [](const WrittenImage& a, const WrittenImage& b) { return a.facts.index() < b.facts.index(); });
  PrintResult(*summary, images, output);
  return 0;
}

}  // namespace kandinsky::client
