#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "server/error_kinds.h"
#include "server/metrics.h"

namespace kandinsky::server {
namespace {

RpcMethod MethodNamed(const char* name) {
  const bool streams = std::string(name) == "Generate";
  return {"kandinsky.v1.ImageGenerationService", name, streams ? "server_stream" : "unary"};
}

using testing::HasSubstr;
using testing::Not;

ServingSnapshot FullSnapshot() {
  ServingSnapshot now;
  now.ready = true;
  now.live_calls = 2;
  now.preparing_requests = 19;
  now.inflight_bytes = 3;
  now.kept_results = 4;
  now.engine.queued_requests = 18;
  now.engine.queued_by_priority = {5, 6, 7};
  now.engine.running_requests = 8;
  now.engine.active_generations = 9;
  now.engine.ready_workers = 1;
  now.engine.workers = 2;
  now.engine.oldest_wait = absl::Milliseconds(1500);
  now.engine.estimated_wait = absl::Seconds(20);
  now.engine.estimated_drain = absl::Seconds(30);
  now.engine.busy_ratio = 0.25;
  now.engine.cancelled_queued_total = 10;
  now.engine.cancelled_running_total = 11;
  now.engine.expired_queued_total = 12;
  now.engine.expired_running_total = 13;
  now.engine.rejected_total = 14;
  now.engine.shed_total = 15;
  now.engine.steps_saved_total = 16;
  now.engine.worker_restarts_total = 17;
  now.engine.capped_keys = 18;
  return now;
}

// Something of everything.
void RecordAll(Metrics& metrics) {
  metrics.RecordStarted(MethodNamed("Generate"));
  metrics.RecordRequest(MethodNamed("Generate"), "OK", "", absl::Seconds(3));
  metrics.RecordFirstEvent(absl::Milliseconds(1));
  metrics.RecordFirstImage(absl::Seconds(2));
  GenerationStatistics statistics;
  statistics.stage_durations.fill(absl::Seconds(1));
  metrics.RecordGeneration(statistics);
  StepRecord step;
  step.rows = 1;
  metrics.RecordStep(step);
  metrics.RecordImage("png");
  metrics.SetModel(Capabilities(), absl::Seconds(1));
}

std::string FullText() {
  Metrics metrics(FullSnapshot);
  RecordAll(metrics);
  return metrics.Text();
}

// A family of the text format: its type, and the lines of its samples.
struct Family {
  std::string type;
  std::string help;
  std::vector<std::string> samples;
};

std::string NameOf(const std::string& sample) { return sample.substr(0, sample.find_first_of("{ ")); }

bool IsNamed(const std::string& sample, const std::string& family, const std::string& type) {
  if (NameOf(sample) == family) return type != "histogram";
  const std::string suffix = NameOf(sample).substr(std::min(family.size(), NameOf(sample).size()));
  return type == "histogram" && NameOf(sample) == family + suffix &&
         (suffix == "_bucket" || suffix == "_sum" || suffix == "_count");
}

// Families by name; what breaks the format is a failure.
std::map<std::string, Family> Parse(const std::string& text) {
  static const std::regex kSample(
      R"re([a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_]\w*="[^"\\\n]*"(,[a-zA-Z_]\w*="[^"\\\n]*")*\})? [-+0-9.eEInfaN]+)re");
  std::map<std::string, Family> families;
  std::string current;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, kind, name;
    words >> hash >> kind >> name;
    if (hash == "#") {
      if (kind == "HELP") {
        EXPECT_FALSE(families.contains(name)) << line;
        families[name].help = line;
        current = name;
      } else {
        EXPECT_EQ(kind, "TYPE") << line;
        EXPECT_EQ(name, current) << line;
        words >> families[name].type;
      }
      continue;
    }
    EXPECT_TRUE(std::regex_match(line, kSample)) << line;
    EXPECT_TRUE(IsNamed(line, current, families[current].type)) << line << " in " << current;
    families[current].samples.push_back(line);
  }
  return families;
}

TEST(MetricsText, HasHelpTypeAndSamplesForEachFamilyOnce) {
  const std::map<std::string, Family> families = Parse(FullText());
  EXPECT_GT(families.size(), 40u);
  std::set<std::string> series;
  for (const auto& [name, family] : families) {
    EXPECT_THAT(family.help, Not(testing::EndsWith(" "))) << name;
    EXPECT_THAT(family.type, testing::AnyOf("counter", "gauge", "histogram")) << name;
    EXPECT_FALSE(family.samples.empty()) << name;
    for (const std::string& sample : family.samples) {
      EXPECT_TRUE(series.insert(sample.substr(0, sample.rfind(' '))).second) << sample;
    }
  }
}

TEST(MetricsText, NamesFamiliesByTheRules) {
  const std::set<std::string> not_base_units = {"milliseconds", "ms",        "microseconds", "minutes",
                                                "kilobytes",    "megabytes", "percent"};
  for (const auto& [name, family] : Parse(FullText())) {
    EXPECT_TRUE(name.starts_with("kandinsky_") || name.starts_with("process_") ||
                name.starts_with("grpc_server_"))
        << name;
    EXPECT_EQ(family.type == "counter", name.ends_with("_total")) << name;
    if (family.type == "histogram" && name != "kandinsky_batch_rows") {
      EXPECT_TRUE(name.ends_with("_seconds")) << name;
    }
    std::istringstream words(name);
    for (std::string word; std::getline(words, word, '_');)
      EXPECT_FALSE(not_base_units.contains(word)) << name;
  }
}

TEST(MetricsText, ShowsWhatTheSnapshotSays) {
  const std::string text = FullText();
  for (const char* line : {
           "kandinsky_ready 1\n",
           "kandinsky_draining 0\n",
           "kandinsky_inflight_calls 2\n",
           "kandinsky_preparing_requests 19\n",
           "kandinsky_inflight_bytes 3\n",
           "kandinsky_kept_results 4\n",
           "kandinsky_queue_depth{priority=\"low\"} 5\n",
           "kandinsky_queue_depth{priority=\"normal\"} 6\n",
           "kandinsky_queue_depth{priority=\"high\"} 7\n",
           "kandinsky_inflight_requests 8\n",
           "kandinsky_inflight_generations 9\n",
           "kandinsky_workers_ready 1\n",
           "kandinsky_workers 2\n",
           "kandinsky_oldest_age_seconds 1.5\n",
           "kandinsky_estimated_wait_seconds 20\n",
           "kandinsky_estimated_drain_seconds 30\n",
           "kandinsky_worker_busy_ratio 0.25\n",
           "kandinsky_cancelled_total{phase=\"queued\"} 10\n",
           "kandinsky_cancelled_total{phase=\"running\"} 11\n",
           "kandinsky_expired_total{phase=\"queued\"} 12\n",
           "kandinsky_expired_total{phase=\"running\"} 13\n",
           "kandinsky_rejected_total 14\n",
           "kandinsky_shed_total 15\n",
           "kandinsky_steps_saved_by_cancel_total 16\n",
           "kandinsky_worker_restarts_total 17\n",
           "kandinsky_memory_capped_keys 18\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(MetricsText, CountsCallsAsCommonDashboardsReadThem) {
  Metrics metrics([] { return ServingSnapshot(); });
  metrics.RecordStarted(MethodNamed("Generate"));
  metrics.RecordStarted(MethodNamed("GetGeneration"));
  metrics.RecordRequest(MethodNamed("Generate"), "DEADLINE_EXCEEDED", "DEADLINE", absl::Seconds(3));
  metrics.RecordRequest(MethodNamed("GetGeneration"), "OK", "", absl::Seconds(1));
  metrics.RecordRequest(MethodNamed("CancelGeneration"), "CANCELLED", "", absl::Seconds(1));
  const std::string text = metrics.Text();
  const std::string service = "grpc_service=\"kandinsky.v1.ImageGenerationService\",";
  for (const std::string& line : {
           "grpc_server_started_total{grpc_method=\"Generate\"," + service +
               "grpc_type=\"server_stream\"} 1\n",
           "grpc_server_started_total{grpc_method=\"GetGeneration\"," + service + "grpc_type=\"unary\"} 1\n",
           "grpc_server_handled_total{grpc_code=\"DeadlineExceeded\",grpc_method=\"Generate\"," + service +
               "grpc_type=\"server_stream\"} 1\n",
           "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"GetGeneration\"," + service +
               "grpc_type=\"unary\"} 1\n",
           "grpc_server_handled_total{grpc_code=\"Canceled\",grpc_method=\"CancelGeneration\"," + service +
               "grpc_type=\"unary\"} 1\n",
           "grpc_server_handling_seconds_sum{grpc_method=\"Generate\"," + service +
               "grpc_type=\"server_stream\"} 3\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(MetricsText, HasEverySeriesOfKnownLabelsFromTheStartAtZero) {
  std::map<std::string, size_t> series;
  Metrics metrics([] { return ServingSnapshot(); });
  metrics.AddMethod(MethodNamed("Generate"));
  metrics.AddMethod(MethodNamed("GetGeneration"));
  for (const auto& [name, family] : Parse(metrics.Text())) {
    for (const std::string& sample : family.samples) {
      ++series[NameOf(sample)];
      const bool counts = family.type == "counter" || NameOf(sample).ends_with("_count");
      if (counts && !name.starts_with("process_")) {
        EXPECT_TRUE(sample.ends_with(" 0")) << sample;
      }
    }
  }
  constexpr size_t kMethods = 2, kCodes = 17;
  EXPECT_EQ(series["kandinsky_requests_total"], kMethods * (1 + ErrorKinds().size()));
  EXPECT_EQ(series["kandinsky_request_duration_seconds_count"], kMethods);
  EXPECT_EQ(series["grpc_server_started_total"], kMethods);
  EXPECT_EQ(series["grpc_server_handled_total"], kMethods * kCodes);
  EXPECT_EQ(series["grpc_server_handling_seconds_count"], kMethods);
  EXPECT_EQ(series["kandinsky_queue_depth"], kPriorities);
  EXPECT_EQ(series["kandinsky_expired_total"], 2u);
  EXPECT_EQ(series["kandinsky_cancelled_total"], 2u);
  EXPECT_EQ(series["kandinsky_stage_duration_seconds_count"], 4u);
  EXPECT_EQ(series["kandinsky_images_total"], 6u);
  EXPECT_EQ(series["kandinsky_image_decode_rejected_total"], 5u);
  EXPECT_EQ(series["kandinsky_steps_total"], 4u);
  EXPECT_EQ(series["kandinsky_batch_close_reason_total"], 6u);
  EXPECT_EQ(series["kandinsky_not_merged_reason_total"], kNotMergedReasons);
  EXPECT_EQ(series["kandinsky_step_duration_seconds_count"], 2u + 3u * 7u);
}

// Events add to the series that are there already: none is new.
TEST(MetricsText, GetsNoSeriesLater) {
  Metrics metrics([] { return ServingSnapshot(); });
  metrics.AddMethod(MethodNamed("Generate"));
  const std::map<std::string, Family> before = Parse(metrics.Text());
  RecordAll(metrics);
  metrics.RecordRequest(MethodNamed("Generate"), "UNAVAILABLE", "MODEL_LOADING", absl::Seconds(1));
  metrics.RecordRejectedImage("header");
  for (const auto& [name, family] : Parse(metrics.Text())) {
    if (name == "kandinsky_model_info") continue;  // its labels are the model's
    EXPECT_EQ(family.samples.size(), before.at(name).samples.size()) << name;
  }
}

TEST(MetricsText, HasBucketsUpToTheLongestDeadline) {
  Metrics metrics([] { return ServingSnapshot(); }, absl::Seconds(450));
  metrics.AddMethod(MethodNamed("Generate"));
  const std::string text = metrics.Text();
  for (const char* family : {"kandinsky_queue_wait_seconds_bucket{", "kandinsky_first_image_seconds_bucket{",
                             "kandinsky_request_duration_seconds_bucket{method=\"Generate\",",
                             "kandinsky_stage_duration_seconds_bucket{stage=\"denoise\",",
                             "kandinsky_step_duration_seconds_bucket{size=\"512\",stage=\"denoise\","}) {
    EXPECT_THAT(text, HasSubstr(std::string(family) + "le=\"300\"} 0\n" + family + "le=\"450\"} 0\n" +
                                family + "le=\"+Inf\"} 0\n"));
  }
  Metrics shorter([] { return ServingSnapshot(); }, absl::Seconds(20));
  EXPECT_THAT(shorter.Text(), HasSubstr("kandinsky_queue_wait_seconds_bucket{le=\"20\"} 0\n"));
  EXPECT_THAT(shorter.Text(), Not(HasSubstr("le=\"25\"")));
}

TEST(MetricsText, NamesSizesByTheModelsLatentScale) {
  Metrics metrics(FullSnapshot);
  Capabilities capabilities;
  capabilities.latent_scale = 4;
  metrics.SetModel(capabilities, absl::Seconds(1));
  StepRecord step;
  step.key.stage = Stage::kDenoise;
  step.key.latent_height = step.key.latent_width = 64;
  metrics.RecordStep(step);
  EXPECT_THAT(metrics.Text(), HasSubstr("kandinsky_step_duration_seconds_count{size=\"256\""));
}

TEST(MetricsText, MeasuresFirstEventAndFirstImage) {
  const std::string text = FullText();
  EXPECT_THAT(text, HasSubstr("kandinsky_first_event_seconds_bucket{le=\"0.005\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("kandinsky_first_image_seconds_sum 2\n"));
}

}  // namespace
}  // namespace kandinsky::server
