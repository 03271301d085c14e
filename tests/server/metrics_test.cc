#include "server/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "tests/server/raw_rpc.h"
#include "tests/server/test_server.h"

namespace kandinsky {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Metrics, CountCallsImagesAndStepsExactly) {
  TestServer server({.overrides = {"metrics_address=127.0.0.1:0"}});
  for (int i = 0; i < 3; ++i) {
    grpc::ClientContext context;
    const auto reader = server.stub().Generate(&context, SmallRequest());
    ReadAll(*reader);
    EXPECT_TRUE(reader->Finish().ok());
  }
  grpc::ClientContext context;
  v1::GenerateImagesResponse response;
  v1::GenerateRequest bad = SmallRequest("SECRET_PROMPT");
  bad.set_width(1);
  bad.set_request_id("SECRET_ID");
  EXPECT_FALSE(server.stub().GenerateImages(&context, bad, &response).ok());

  const std::string text = HttpGet(server.server().metrics_port(), "/metrics");
  for (const char* line : {
           "kandinsky_requests_total{code=\"OK\",method=\"Generate\",reason=\"\"} 3\n",
           "kandinsky_requests_total{code=\"INVALID_ARGUMENT\",method=\"GenerateImages\",reason=\"INVALID_"
           "REQUEST\"} 1\n",
           "kandinsky_request_duration_seconds_count{method=\"Generate\"} 3\n",
           "kandinsky_queue_wait_seconds_count 3\n",
           "kandinsky_stage_duration_seconds_count{stage=\"denoise\"} 3\n",
           "kandinsky_step_duration_seconds_count{size=\"256\",stage=\"denoise\"} 12\n",
           "kandinsky_step_duration_seconds_count{size=\"none\",stage=\"prior\"} 9\n",
           "kandinsky_batch_rows_count 27\n",
           "kandinsky_images_total{format=\"png\"} 3\n",
           "kandinsky_queue_depth 0\n",
           "kandinsky_inflight_generations 0\n",
           "kandinsky_ready 1\n",
           "kandinsky_draining 0\n",
           "kandinsky_model_info{device=\"cpu\",dtype=\"float32\",family=\"2.2\",name=\"fake\",network="
           "\"decoder\"} 1\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  for (const char* name :
       {"kandinsky_build_info{", "process_cpu_seconds_total ", "process_resident_memory_bytes ",
        "process_open_fds ", "process_max_fds ", "process_threads ", "process_start_time_seconds "}) {
    EXPECT_THAT(text, HasSubstr(name));
  }
  EXPECT_THAT(text, Not(HasSubstr("SECRET")));
}

TEST(Metrics, HaveHelpAndTypeForEachFamilyOnce) {
  TestServer server;
  std::istringstream lines(server.server().MetricsText());
  std::set<std::string> helped;
  std::set<std::string> typed;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, kind, name;
    words >> hash >> kind >> name;
    if (hash != "#") continue;
    std::set<std::string>& seen = kind == "HELP" ? helped : typed;
    EXPECT_TRUE(seen.insert(name).second) << line;
  }
  EXPECT_EQ(helped, typed);
  EXPECT_GT(helped.size(), 15u);
}

TEST(Metrics, HaveFewSizeLabels) {
  std::set<std::string> labels;
  for (int height = 8; height <= 256; height += 8) {
    for (int width = 8; width <= 256; width += 8) {
      BatchKey key;
      key.latent_height = height;
      key.latent_width = width;
      labels.insert(SizeLabel(key));
    }
  }
  EXPECT_EQ(labels, (std::set<std::string>{"256", "512", "768", "1024", "1536", "2048"}));
}

TEST(Metrics, PutASizeIntoTheSmallestSquareThatHoldsIt) {
  BatchKey key;
  EXPECT_EQ(SizeLabel(key), "none");
  key.latent_height = key.latent_width = 64;
  EXPECT_EQ(SizeLabel(key), "512");
  key.latent_width = 65;
  EXPECT_EQ(SizeLabel(key), "768");
  key.latent_height = key.latent_width = 1024;
  EXPECT_EQ(SizeLabel(key), "larger");
}

}  // namespace
}  // namespace kandinsky
