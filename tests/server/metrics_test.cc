#include "server/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/raw_rpc.h"
#include "tests/server/test_server.h"

namespace kandinsky::server {
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

  // Calls are counted when gRPC has sent their ends.
  server.WaitForMetric("kandinsky_inflight_calls 0");
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
           "kandinsky_first_event_seconds_count 3\n",
           "kandinsky_first_image_seconds_count 3\n",
           "kandinsky_steps_total{stage=\"denoise\"} 12\n",
           "kandinsky_batch_close_reason_total{reason=\"complete\"} 27\n",
           "kandinsky_not_merged_reason_total{reason=\"alone\"} 27\n",
           "grpc_server_started_total{grpc_method=\"Generate\",grpc_service=\"kandinsky.v1."
           "ImageGenerationService\",grpc_type=\"server_stream\"} 3\n",
           "grpc_server_handled_total{grpc_code=\"InvalidArgument\",grpc_method=\"GenerateImages\",grpc_"
           "service="
           "\"kandinsky.v1.ImageGenerationService\",grpc_type=\"unary\"} 1\n",
           "kandinsky_queue_depth{priority=\"normal\"} 0\n",
           "kandinsky_workers 1\n",
           "kandinsky_workers_ready 1\n",
           "kandinsky_inflight_generations 0\n",
           "kandinsky_ready 1\n",
           "kandinsky_draining 0\n",
           "kandinsky_model_info{device=\"cpu\",dtype=\"float32\",family=\"2.2\",name=\"fake\",networks="
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

}  // namespace
}  // namespace kandinsky::server
