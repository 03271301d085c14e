#include "clients/cpp/models_command.h"

#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "clients/cpp/rich_error.h"
#include "clients/cpp/text_table.h"
#include "clients/cpp/usage.h"

namespace kandinsky::client {
namespace {

using Names = google::protobuf::RepeatedPtrField<std::string>;

// Of a model that is being loaded only the name is known.
bool IsDescribed(const v1::Model& model) { return !model.family().empty(); }

std::string Joined(const Names& names) { return names.empty() ? "-" : OneLine(absl::StrJoin(names, ", ")); }

// "SAMPLER_EULER_ANCESTRAL" -> "euler_ancestral"; of one that this client does not know its number.
std::string SamplerName(int sampler) {
  if (!v1::Sampler_IsValid(sampler)) return absl::StrCat(sampler);
  const std::string name = v1::Sampler_Name(static_cast<v1::Sampler>(sampler));
  return absl::AsciiStrToLower(absl::StripPrefix(name, "SAMPLER_"));
}

std::vector<std::string> SamplerNames(const v1::Model& model) {
  std::vector<std::string> names;
  for (const int sampler : model.samplers()) names.push_back(SamplerName(sampler));
  return names;
}

// Those that make images; the others are of the networks by themselves, and much the same for every model.
std::string ImageTasks(const v1::Model& model) {
  Names names;
  for (const std::string& task : model.tasks()) {
    const bool of_a_network = absl::StartsWith(task, "embed_") || absl::EndsWith(task, "_latents");
    if (!of_a_network) *names.Add() = task;
  }
  return Joined(names);
}

std::string StateText(const v1::Model& model) {
  const std::string state = StateName(model.state());
  return model.not_ready_reason().empty() ? state
                                          : absl::StrCat(state, " (", OneLine(model.not_ready_reason()), ")");
}

// "19.8 MB".
std::string BytesText(int64_t bytes) {
  constexpr const char* kUnits[] = {"kB", "MB", "GB"};
  double value = static_cast<double>(bytes) / 1000;
  size_t unit = 0;
  for (; value >= 999.95 && unit + 1 < std::size(kUnits); ++unit) value /= 1000;
  return absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string DefaultSize(const v1::Model& model) {
  return absl::StrCat(model.defaults().width(), "x", model.defaults().height());
}

TableRow RowOf(const v1::Model& model) {
  TableRow row = {OneLine(model.name()), "-", StateText(model)};
  if (!IsDescribed(model)) {
    row.resize(11, "-");
    return row;
  }
  row[1] = OneLine(model.family());
  row.insert(row.end(), {Joined(model.networks()), ImageTasks(model), DefaultSize(model),
                         absl::StrCat(model.defaults().steps()), Joined(model.adapters()),
                         OneLine(model.device()), OneLine(model.dtype()), BytesText(model.weight_bytes())});
  return row;
}

void PrintText(const v1::Model& model, std::ostream& out) {
  const auto line = [&](const char* name, const std::string& value) {
    out << absl::StreamFormat("%-14s %s\n", name, value);
  };
  line("model", OneLine(model.name()));
  line("state", StateText(model));
  if (!IsDescribed(model)) {
    out << std::flush;
    return;
  }
  const v1::ModelLimits& limits = model.limits();
  const v1::ModelDefaults& defaults = model.defaults();
  line("family", OneLine(model.family()));
  line("networks", Joined(model.networks()));
  line("tasks", Joined(model.tasks()));
  line("samplers", absl::StrJoin(SamplerNames(model), ", "));
  line("adapters", Joined(model.adapters()));
  line("size", absl::StrCat(DefaultSize(model), "; multiples of ", limits.size_multiple(), " from ",
                            limits.min_size(), " to ", limits.max_size()));
  line("steps", absl::StrCat(defaults.steps(), "; at most ", limits.max_steps()));
  line("guidance", absl::StrCat(defaults.guidance_scale()));
  line("prior steps", absl::StrCat(defaults.prior_steps(), "; at most ", limits.max_prior_steps()));
  line("prior guidance", absl::StrCat(defaults.prior_guidance_scale()));
  line("images",
       absl::StrCat("at most ", limits.max_images(), " of a request, ", limits.max_mix_parts(),
                    " parts of a mixture, ", limits.max_megapixel_steps(), " megapixels x images x steps"));
  line("input images",
       absl::StrCat("at most ", BytesText(limits.max_image_bytes()), ", ", limits.max_image_pixels(),
                    " pixels; ", model.embeds_images() ? "can be embedded" : "cannot be embedded"));
  for (const v1::TextWindow& window : model.text_windows()) {
    line("text", absl::StrCat(window.tokens(), " tokens are read by ", OneLine(window.network())));
  }
  line("device", OneLine(model.device()));
  line("dtype", OneLine(model.dtype()));
  line("weights", BytesText(model.weight_bytes()));
  line("workers", absl::StrCat(model.ready_workers(), " of ", model.workers(), " ready"));
  if (model.has_estimated_wait()) {
    line("wait", absl::StrFormat("about %.1f s", ToSeconds(model.estimated_wait())));
  }
  out << std::flush;
}

nlohmann::ordered_json ToJson(const v1::ModelLimits& limits) {
  return {{"size_multiple", limits.size_multiple()},
          {"min_size", limits.min_size()},
          {"max_size", limits.max_size()},
          {"max_steps", limits.max_steps()},
          {"max_prior_steps", limits.max_prior_steps()},
          {"max_images", limits.max_images()},
          {"max_mix_parts", limits.max_mix_parts()},
          {"max_megapixel_steps", limits.max_megapixel_steps()},
          {"max_prompt_bytes", limits.max_prompt_bytes()},
          {"max_image_bytes", limits.max_image_bytes()},
          {"max_image_pixels", NumberToJson(static_cast<uint64_t>(limits.max_image_pixels()))},
          {"max_request_bytes", limits.max_request_bytes()},
          {"max_unary_reply_bytes", limits.max_unary_reply_bytes()},
          {"default_deadline_seconds", ToSeconds(limits.default_deadline())},
          {"max_deadline_seconds", ToSeconds(limits.max_deadline())}};
}

// A float as a short decimal: 1.3, not 1.2999999523162842.
double Decimal(float value) {
  double decimal = 0;
  return absl::SimpleAtod(absl::StrCat(value), &decimal) ? decimal : value;
}

nlohmann::ordered_json ToJson(const v1::ModelDefaults& defaults) {
  return {{"width", defaults.width()},
          {"height", defaults.height()},
          {"steps", defaults.steps()},
          {"guidance_scale", Decimal(defaults.guidance_scale())},
          {"prior_steps", defaults.prior_steps()},
          {"prior_guidance_scale", Decimal(defaults.prior_guidance_scale())}};
}

nlohmann::ordered_json ToJson(const Names& names) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const std::string& name : names) json.push_back(name);
  return json;
}

nlohmann::ordered_json ToJson(const v1::Model& model) {
  nlohmann::ordered_json json = {{"name", model.name()}, {"state", StateName(model.state())}};
  if (!model.not_ready_reason().empty()) json["not_ready_reason"] = model.not_ready_reason();
  if (!IsDescribed(model)) return json;
  json["family"] = model.family();
  json["networks"] = ToJson(model.networks());
  json["tasks"] = ToJson(model.tasks());
  json["samplers"] = SamplerNames(model);
  json["limits"] = ToJson(model.limits());
  json["defaults"] = ToJson(model.defaults());
  json["text_windows"] = nlohmann::ordered_json::array();
  for (const v1::TextWindow& window : model.text_windows()) {
    json["text_windows"].push_back({{"network", window.network()}, {"tokens", window.tokens()}});
  }
  json["adapters"] = ToJson(model.adapters());
  json["embeds_images"] = model.embeds_images();
  json["embedding_dim"] = model.embedding_dim();
  json["latent_scale"] = model.latent_scale();
  json["device"] = model.device();
  json["dtype"] = model.dtype();
  json["weight_bytes"] = NumberToJson(static_cast<uint64_t>(model.weight_bytes()));
  json["workers"] = model.workers();
  json["ready_workers"] = model.ready_workers();
  if (model.has_estimated_wait()) json["estimated_wait_seconds"] = ToSeconds(model.estimated_wait());
  return json;
}

int PrintAll(const v1::ListModelsResponse& response, const CommandOutput& output) {
  if (output.json) {
    nlohmann::ordered_json json = {{"models", nlohmann::ordered_json::array()}};
    for (const v1::Model& model : response.models()) json["models"].push_back(ToJson(model));
    PrintJson(json, output.out);
    return 0;
  }
  std::vector<TableRow> rows = {{"MODEL", "FAMILY", "STATE", "NETWORKS", "TASKS", "SIZE", "STEPS", "ADAPTERS",
                                 "DEVICE", "DTYPE", "WEIGHTS"}};
  for (const v1::Model& model : response.models()) rows.push_back(RowOf(model));
  PrintTable(rows, output.out);
  return 0;
}

}  // namespace

void AddModelsCommand(CommandSet& commands) {
  const auto name = std::make_shared<std::string>();
  CLI::App& app =
      commands.Add("models", "Tells what the server has loaded, what it can do and how it is",
                   [name](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
                     return RunModels({.name = *name, .call = call}, client, output);
                   });
  app.add_option("name", *name, "The model to tell everything about (default: a table of all)")
      ->check(Utf8Text());
}

int RunModels(const ModelsCommand& command, ImageClient& client, const CommandOutput& output) {
  if (command.name.empty()) {
    const absl::StatusOr<v1::ListModelsResponse> models = client.ListModels(command.call);
    return models.ok() ? PrintAll(*models, output) : PrintCallError(models.status(), command.call, output);
  }
  const absl::StatusOr<v1::Model> model = client.GetModel(command.name, command.call);
  if (!model.ok()) return PrintCallError(model.status(), command.call, output);
  if (output.json) {
    PrintJson(ToJson(*model), output.out);
  } else {
    PrintText(*model, output.out);
  }
  return 0;
}

std::string StateName(v1::ModelState state) {
  switch (state) {
    case v1::MODEL_STATE_LOADING:
      return "loading";
    case v1::MODEL_STATE_READY:
      return "ready";
    case v1::MODEL_STATE_NOT_READY:
      return "not_ready";
    case v1::MODEL_STATE_DRAINING:
      return "draining";
    default:
      return "unknown";
  }
}

}  // namespace kandinsky::client
