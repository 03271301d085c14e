#include "clients/cpp/generation_commands.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "clients/cpp/image_files.h"
#include "clients/cpp/number_flags.h"
#include "clients/cpp/output_file.h"
#include "clients/cpp/output_format.h"
#include "clients/cpp/progress_display.h"
#include "clients/cpp/rich_error.h"
#include "clients/cpp/standard_streams.h"
#include "clients/cpp/text_table.h"
#include "clients/cpp/usage.h"

namespace kandinsky::client {
namespace {

constexpr int kMaxPage = 1000;  // of ListGenerations

const char* PriorityName(v1::Priority priority) {
  switch (priority) {
    case v1::PRIORITY_LOW:
      return "low";
    case v1::PRIORITY_NORMAL:
      return "normal";
    case v1::PRIORITY_HIGH:
      return "high";
    default:
      return "unknown";
  }
}

// How far it is, or how it ended, in a few words.
std::string Standing(const v1::Generation& generation) {
  switch (generation.state()) {
    case v1::GENERATION_STATE_QUEUED:
      return DescribeQueued(generation.queued());
    case v1::GENERATION_STATE_RUNNING:
      return generation.has_progress() ? DescribeProgress(generation.progress(), generation.image_count())
                                       : "";
    case v1::GENERATION_STATE_FAILED:
    case v1::GENERATION_STATE_CANCELLED:
      return OneLine(generation.error().message());
    default:
      return "";
  }
}

std::string ImageCounts(const v1::Generation& generation) {
  return absl::StrCat(generation.finished_images(), "/", generation.image_count());
}

nlohmann::ordered_json ToJson(const v1::Generation& generation) {
  nlohmann::ordered_json json = {{"request_id", generation.request_id()},
                                 {"client_id", generation.client_id()},
                                 {"state", StateName(generation.state())},
                                 {"priority", PriorityName(generation.priority())},
                                 {"detached", generation.detached()},
                                 {"image_count", generation.image_count()},
                                 {"finished_images", generation.finished_images()},
                                 {"create_time", ToText(generation.create_time())}};
  if (generation.has_end_time()) json["end_time"] = ToText(generation.end_time());
  if (generation.has_expire_time()) json["expire_time"] = ToText(generation.expire_time());
  if (generation.has_queued()) {
    json["position"] = generation.queued().position();
    if (generation.queued().has_estimated_wait()) {
      json["estimated_wait_seconds"] = ToSeconds(generation.queued().estimated_wait());
    }
  }
  if (generation.has_progress()) {
    const v1::ProgressEvent& progress = generation.progress();
    json["progress"] = {{"image", progress.image_index()},
                        {"stage", StageName(progress.stage())},
                        {"step", progress.step()},
                        {"total_steps", progress.total_steps()},
                        {"batch_rows", progress.batch_rows()}};
    if (progress.has_estimated_remaining()) {
      json["progress"]["estimated_remaining_seconds"] = ToSeconds(progress.estimated_remaining());
    }
  }
  for (const uint64_t seed : generation.summary().seeds()) json["seeds"].push_back(NumberToJson(seed));
  if (generation.has_error()) {
    json["error"] = {
        {"code", absl::StatusCodeToString(static_cast<absl::StatusCode>(generation.error().code()))},
        {"reason", generation.error().reason()},
        {"message", generation.error().message()}};
  }
  return json;
}

void PrintText(const v1::Generation& generation, std::ostream& out) {
  const auto line = [&](const char* name, const std::string& value) {
    if (!value.empty()) out << absl::StreamFormat("%-10s %s\n", name, OneLine(value));
  };
  line("request", generation.request_id());
  line("client", generation.client_id());
  line("state", StateName(generation.state()));
  line("priority", PriorityName(generation.priority()));
  line("images", ImageCounts(generation));
  line("created", ToText(generation.create_time()));
  if (generation.has_end_time()) line("ended", ToText(generation.end_time()));
  if (generation.has_expire_time()) line("kept until", ToText(generation.expire_time()));
  line(generation.has_error() ? "error" : "progress", Standing(generation));
  out << std::flush;
}

// Writes the images that came with `generation`.
absl::StatusOr<std::vector<std::string>> WriteImages(const v1::Generation& generation,
                                                     const std::string& output) {
  if (generation.images_size() > 1 && OutputDescriptor(output) >= 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "--output: ", output, " takes one image, and the request has ", generation.images_size()));
  }
  std::vector<std::string> paths;
  for (const v1::GeneratedImage& image : generation.images()) {
    const absl::StatusOr<std::string> content = FileContent(image);
    if (!content.ok()) return content.status();
    const absl::Status named = CheckFileName(output, ExtensionsOf(image.format()));
    if (!named.ok()) return absl::FailedPreconditionError(absl::StrCat("--output: ", named.message()));
    paths.push_back(ImagePath(output, image.index(), generation.image_count()));
    const absl::Status written = WriteFile(paths.back(), *content);
    if (!written.ok()) return written;
  }
  return paths;
}

// All pages up to the limit.
absl::StatusOr<std::vector<v1::Generation>> FetchList(const ListCommand& command, ImageClient& client) {
  std::vector<v1::Generation> generations;
  v1::ListGenerationsRequest request;
  request.set_state(command.state);
  request.set_client_id(command.of_client);
  // The page size is a part of the request that must stay the same.
  request.set_page_size(std::min(command.limit, kMaxPage));
  while (true) {
    absl::StatusOr<v1::ListGenerationsResponse> page = client.ListGenerations(request, command.call);
    if (!page.ok()) return page.status();
    for (v1::Generation& generation : *page->mutable_generations())
      generations.push_back(std::move(generation));
    if (generations.size() >= static_cast<size_t>(command.limit)) {
      generations.resize(static_cast<size_t>(command.limit));
      return generations;
    }
    if (page->next_page_token().empty()) return generations;
    request.set_page_token(page->next_page_token());
  }
}

const std::map<std::string, v1::GenerationState>& States() {
  static const auto* const states =
      new std::map<std::string, v1::GenerationState>{{"queued", v1::GENERATION_STATE_QUEUED},
                                                     {"running", v1::GENERATION_STATE_RUNNING},
                                                     {"succeeded", v1::GENERATION_STATE_SUCCEEDED},
                                                     {"failed", v1::GENERATION_STATE_FAILED},
                                                     {"cancelled", v1::GENERATION_STATE_CANCELLED}};
  return *states;
}

void AddGet(CommandSet& commands) {
  const auto command = std::make_shared<GetCommand>();
  CLI::App& app =
      commands.Add("get", "Tells how a request stands, and collects its images",
                   [command](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
                     command->call = call;
                     return RunGet(*command, client, output);
                   });
  app.add_option("id", command->id, "The request's id")->required()->check(Utf8Text());
  app.add_option("-o,--output", command->output,
                 "File for its image, in the format that was asked for, - for the standard output; several "
                 "become FILE-0, "
                 "FILE-1, ... before the extension")
      ->check(FileName());
  app.callback([command, &app] {
    RefuseUnlessOk("--output", CheckAnyFileName(command->output));
    RefuseJsonBesideFile(app, command->output);
  });
}

void AddList(CommandSet& commands) {
  const auto command = std::make_shared<ListCommand>();
  const auto state = std::make_shared<std::string>();
  const auto limit = std::make_shared<std::optional<int>>();
  CLI::App& app = commands.Add(
      "list", "Lists the requests that are live or kept, the oldest first",
      [command, state, limit](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
        command->call = call;
        if (!state->empty()) command->state = States().at(*state);
        if (limit->has_value()) command->limit = **limit;
        return RunList(*command, client, output);
      });
  app.add_option("--of-client", command->of_client,
                 "For the operator: only those of this client (default: of all)")
      ->check(Utf8Text());
  app.add_option("--state", *state, "Only those in this state")->check(CLI::IsMember(&States()));
  AddNumberFlag<int>(app, "--limit", *limit, {.min = 1, .max = 1000000},
                     "Most requests to list (default 100)");
}

void AddCancel(CommandSet& commands) {
  const auto id = std::make_shared<std::string>();
  CLI::App& app =
      commands.Add("cancel", "Ends a request that waits or runs",
                   [id](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
                     return RunCancel(*id, call, client, output);
                   });
  app.add_option("id", *id, "The request's id")->required()->check(Utf8Text());
}

}  // namespace

void AddGenerationCommands(CommandSet& commands) {
  AddGet(commands);
  AddList(commands);
  AddCancel(commands);
}

int RunGet(const GetCommand& command, ImageClient& client, const CommandOutput& output) {
  const bool wants_images = !command.output.empty();
  if (wants_images) {
    if (const absl::Status status = CheckOutput("--output", command.output); !status.ok())
      return PrintError(status, output);
  }
  const absl::StatusOr<v1::Generation> generation =
      client.GetGeneration(command.id, wants_images, command.call);
  if (!generation.ok()) return PrintCallError(generation.status(), command.call, output);
  const absl::StatusOr<std::vector<std::string>> files = WriteImages(*generation, command.output);
  if (!files.ok()) return PrintError(files.status(), output);
  if (wants_images && generation->state() != v1::GENERATION_STATE_SUCCEEDED) {
    return PrintError(
        absl::FailedPreconditionError(absl::StrCat("the request is ", StateName(generation->state()), ", ",
                                                   ImageCounts(*generation), " images done")),
        output);
  }
  if (output.json) {
    nlohmann::ordered_json json = ToJson(*generation);
    for (const std::string& file : *files) json["files"].push_back(file);
    PrintJson(json, output.out);
    return 0;
  }
  std::ostream& out = ResultStream(command.output, output);
  PrintText(*generation, out);
  for (const std::string& file : *files) out << file << std::endl;
  return 0;
}

int RunList(const ListCommand& command, ImageClient& client, const CommandOutput& output) {
  const absl::StatusOr<std::vector<v1::Generation>> generations = FetchList(command, client);
  if (!generations.ok()) return PrintCallError(generations.status(), command.call, output);
  if (output.json) {
    nlohmann::ordered_json json = {{"generations", nlohmann::ordered_json::array()}};
    for (const v1::Generation& generation : *generations) json["generations"].push_back(ToJson(generation));
    PrintJson(json, output.out);
    return 0;
  }
  std::vector<TableRow> rows = {{"REQUEST", "CLIENT", "STATE", "PRIORITY", "IMAGES", "CREATED"}};
  for (const v1::Generation& generation : *generations) {
    rows.push_back({OneLine(generation.request_id()),
                    generation.client_id().empty() ? "-" : OneLine(generation.client_id()),
                    StateName(generation.state()), PriorityName(generation.priority()),
                    ImageCounts(generation), ToText(generation.create_time())});
  }
  PrintTable(rows, output.out);
  return 0;
}

int RunCancel(const std::string& id, const CallOptions& call, ImageClient& client,
              const CommandOutput& output) {
  const absl::Status status = client.CancelGeneration(id, call);
  if (!status.ok()) return PrintCallError(status, call, output);
  if (output.json) {
    PrintJson({{"request_id", id}, {"cancelled", true}}, output.out);
  } else {
    output.out << "cancelled " << id << std::endl;
  }
  return 0;
}

std::string StateName(v1::GenerationState state) {
  for (const auto& [name, value] : States()) {
    if (value == state) return name;
  }
  return "unknown";
}

}  // namespace kandinsky::client
