#include "clients/cpp/generation_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "clients/cpp/npy.h"
#include "tests/clients/scripted_server.h"

namespace kandinsky::client {
namespace {

namespace fs = std::filesystem;

using ::testing::HasSubstr;
using ::testing::IsEmpty;

v1::Generation Running(const std::string& id) {
  v1::Generation generation;
  generation.set_request_id(id);
  generation.set_client_id("studio");
  generation.set_state(v1::GENERATION_STATE_RUNNING);
  generation.set_priority(v1::PRIORITY_HIGH);
  generation.set_image_count(2);
  generation.set_finished_images(1);
  generation.mutable_create_time()->set_seconds(1767225600);
  v1::ProgressEvent& progress = *generation.mutable_progress();
  progress.set_image_index(1);
  progress.set_stage(v1::STAGE_DENOISE);
  progress.set_step(12);
  progress.set_total_steps(50);
  progress.set_batch_rows(4);
  progress.mutable_estimated_remaining()->set_seconds(3);
  return generation;
}

v1::Generation Queued(const std::string& id) {
  v1::Generation generation;
  generation.set_request_id(id);
  generation.set_state(v1::GENERATION_STATE_QUEUED);
  generation.set_priority(v1::PRIORITY_LOW);
  generation.set_image_count(1);
  generation.mutable_create_time()->set_seconds(1767225661);
  generation.mutable_queued()->set_position(3);
  generation.mutable_queued()->mutable_estimated_wait()->set_seconds(12);
  return generation;
}

v1::Generation Succeeded(const std::string& id) {
  v1::Generation generation;
  generation.set_request_id(id);
  generation.set_state(v1::GENERATION_STATE_SUCCEEDED);
  generation.set_priority(v1::PRIORITY_NORMAL);
  generation.set_image_count(2);
  generation.set_finished_images(2);
  generation.mutable_summary()->add_seeds(UINT64_MAX);
  generation.mutable_create_time()->set_seconds(1767225600);
  generation.mutable_end_time()->set_seconds(1767225610);
  generation.mutable_expire_time()->set_seconds(1767225910);
  for (int i = 0; i < 2; ++i) {
    v1::GeneratedImage& image = *generation.add_images();
    image.set_index(i);
    image.set_format(v1::OUTPUT_FORMAT_PNG);
    image.set_mime_type("image/png");
    image.set_data("image " + std::to_string(i));
  }
  return generation;
}

v1::Generation Failed(const std::string& id) {
  v1::Generation generation;
  generation.set_request_id(id);
  generation.set_state(v1::GENERATION_STATE_FAILED);
  generation.set_priority(v1::PRIORITY_NORMAL);
  generation.set_image_count(1);
  generation.mutable_error()->set_code(13);
  generation.mutable_error()->set_reason("INTERNAL");
  generation.mutable_error()->set_message("a step\nfailed");
  return generation;
}

class GenerationCommandsTest : public testing::Test {
 protected:
  GenerationCommandsTest() {
    std::string pattern = (fs::path(testing::TempDir()) / "commands_XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~GenerationCommandsTest() override { fs::remove_all(folder_); }

  ImageClient Serve(Script script) {
    server_ = std::make_unique<ScriptedServer>(std::move(script));
    return ImageClient::Connect(server_->address());
  }

  CommandOutput Output(bool json = false) { return {.out = out_, .err = err_, .json = json}; }
  nlohmann::json Json() const { return nlohmann::json::parse(out_.str()); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  static std::string Read(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  std::string folder_;
  std::unique_ptr<ScriptedServer> server_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(GenerationCommandsTest, GetTellsHowFarARunningRequestIs) {
  ImageClient client = Serve({.generations = {Running("mine")}});
  EXPECT_EQ(RunGet({.id = "mine", .call = {.client_id = "studio"}}, client, Output()), 0) << err_.str();
  EXPECT_EQ(out_.str(),
            "request    mine\nclient     studio\nstate      running\npriority   high\nimages     1/2\n"
            "created    2026-01-01T00:00:00Z\n"
            "progress   denoise 12/50 of image 1, batch of 4, about 3.0 s\n");
  EXPECT_EQ(server_->received().client_id, "studio");
  EXPECT_FALSE(server_->received().get.include_images());
}

TEST_F(GenerationCommandsTest, GetTellsThePlaceOfAWaitingRequest) {
  ImageClient client = Serve({.generations = {Queued("mine")}});
  EXPECT_EQ(RunGet({.id = "mine"}, client, Output()), 0);
  EXPECT_THAT(out_.str(), HasSubstr("progress   queued, 3 ahead, about 12.0 s\n"));
}

TEST_F(GenerationCommandsTest, GetTellsWhyARequestFailedOnOneLine) {
  ImageClient client = Serve({.generations = {Failed("mine")}});
  EXPECT_EQ(RunGet({.id = "mine"}, client, Output()), 0);
  EXPECT_THAT(out_.str(), HasSubstr("state      failed\n"));
  EXPECT_THAT(out_.str(), HasSubstr("error      a step failed\n"));
}

TEST_F(GenerationCommandsTest, GetWritesTheImagesOfAFinishedRequest) {
  ImageClient client = Serve({.generations = {Succeeded("mine")}});
  EXPECT_EQ(RunGet({.id = "mine", .output = Path("cat.png")}, client, Output()), 0) << err_.str();
  EXPECT_EQ(Read(Path("cat-0.png")), "image 0");
  EXPECT_EQ(Read(Path("cat-1.png")), "image 1");
  EXPECT_THAT(out_.str(), HasSubstr("kept until 2026-01-01T00:05:10Z\n"));
  EXPECT_THAT(out_.str(), HasSubstr(Path("cat-1.png") + "\n"));
}

TEST_F(GenerationCommandsTest, GetForImagesOfAnUnfinishedRequestIsAnError) {
  ImageClient client = Serve({.generations = {Running("mine")}});
  EXPECT_EQ(RunGet({.id = "mine", .output = Path("cat.png")}, client, Output()), kExitError);
  EXPECT_EQ(err_.str(), "kandinsky: FAILED_PRECONDITION: the request is running, 1/2 images done\n");
  EXPECT_TRUE(server_->received().get.include_images());
}

TEST_F(GenerationCommandsTest, GetWritesEveryFormatAndLatentsAsATensorFile) {
  v1::Generation generation = Succeeded("mine");
  generation.mutable_images(0)->set_mime_type("image/webp");
  generation.mutable_images(1)->mutable_latents()->add_shape(1);
  generation.mutable_images(1)->mutable_latents()->set_data("abcd");
  ImageClient client = Serve({.generations = {generation}});
  EXPECT_EQ(RunGet({.id = "mine", .output = Path("cat.bin")}, client, Output()), 0) << err_.str();
  EXPECT_EQ(Read(Path("cat-0.bin")), "image 0");
  EXPECT_EQ(Read(Path("cat-1.bin")), *ToNpy(generation.images(1).latents()));
}

TEST_F(GenerationCommandsTest, GetWritesNothingForAResultThatIsOnlyFacts) {
  v1::Generation generation = Succeeded("mine");
  generation.mutable_images(0)->clear_payload();
  ImageClient client = Serve({.generations = {generation}});
  EXPECT_EQ(RunGet({.id = "mine", .output = Path("cat.png")}, client, Output()), kExitError);
  EXPECT_THAT(err_.str(), HasSubstr("image 0 came without data"));
  EXPECT_FALSE(fs::exists(Path("cat-0.png")));
}

TEST_F(GenerationCommandsTest, GetGivesNoFileTheNameOfAnotherFormat) {
  v1::Generation generation = Succeeded("mine");
  generation.mutable_images(0)->set_format(v1::OUTPUT_FORMAT_WEBP);
  ImageClient client = Serve({.generations = {generation}});
  EXPECT_EQ(RunGet({.id = "mine", .output = Path("cat.png")}, client, Output()), kExitError);
  EXPECT_EQ(err_.str(), "kandinsky: FAILED_PRECONDITION: --output: " + Path("cat.png") +
                            ": its content would not be what .png says; name it .webp\n");
  EXPECT_FALSE(fs::exists(Path("cat-0.png")));
}

TEST_F(GenerationCommandsTest, GetWritesNotSeveralImagesIntoOneStream) {
  ImageClient client = Serve({.generations = {Succeeded("mine")}});
  EXPECT_EQ(RunGet({.id = "mine", .output = "/dev/fd/99"}, client, Output()), kExitError);
  EXPECT_THAT(err_.str(), HasSubstr("takes one image, and the request has 2"));
}

TEST_F(GenerationCommandsTest, GetFindsAMissingFolderBeforeItCalls) {
  ImageClient client = Serve({});
  EXPECT_EQ(RunGet({.id = "mine", .output = Path("missing/cat.png")}, client, Output()), kExitError);
  EXPECT_EQ(server_->received().get.id(), "");
}

TEST_F(GenerationCommandsTest, GetHasTheSameAsJson) {
  ImageClient client = Serve({.generations = {Running("a"), Queued("b"), Succeeded("c"), Failed("d")}});
  const auto get = [&](const std::string& id) {
    out_.str("");
    EXPECT_EQ(RunGet({.id = id}, client, Output(true)), 0);
    return Json();
  };
  const nlohmann::json running = get("a");
  EXPECT_EQ(running["state"], "running");
  EXPECT_EQ(running["priority"], "high");
  EXPECT_EQ(running["progress"]["stage"], "denoise");
  EXPECT_EQ(running["progress"]["batch_rows"], 4);
  EXPECT_EQ(running["progress"]["estimated_remaining_seconds"], 3);
  EXPECT_EQ(get("b")["position"], 3);
  EXPECT_EQ(get("b")["estimated_wait_seconds"], 12);
  EXPECT_EQ(get("c")["seeds"][0], "18446744073709551615");
  EXPECT_EQ(get("c")["expire_time"], "2026-01-01T00:05:10Z");
  EXPECT_EQ(get("d")["error"]["code"], "INTERNAL");
}

TEST_F(GenerationCommandsTest, ListPrintsATable) {
  ImageClient client = Serve({.generations = {Running("a-long-name"), Queued("b")}});
  EXPECT_EQ(RunList({}, client, Output()), 0) << err_.str();
  EXPECT_EQ(out_.str(),
            "REQUEST      CLIENT  STATE    PRIORITY  IMAGES  CREATED\n"
            "a-long-name  studio  running  high      1/2     2026-01-01T00:00:00Z\n"
            "b            -       queued   low       0/1     2026-01-01T00:01:01Z\n");
}

TEST_F(GenerationCommandsTest, ListOfNothingIsATableAndAnEmptyArray) {
  ImageClient client = Serve({});
  EXPECT_EQ(RunList({}, client, Output()), 0);
  EXPECT_EQ(out_.str(), "REQUEST  CLIENT  STATE  PRIORITY  IMAGES  CREATED\n");
  out_.str("");
  EXPECT_EQ(RunList({}, client, Output(true)), 0);
  EXPECT_THAT(Json()["generations"], IsEmpty());
}

TEST_F(GenerationCommandsTest, ListFollowsThePagesUpToItsLimit) {
  Script script;
  for (int i = 0; i < 2500; ++i) script.generations.push_back(Queued(std::to_string(i)));
  ImageClient client = Serve(std::move(script));
  EXPECT_EQ(RunList({.limit = 2200}, client, Output(true)), 0);
  const nlohmann::json json = Json();
  ASSERT_EQ(json["generations"].size(), 2200u);
  EXPECT_EQ(json["generations"][2199]["request_id"], "2199");
  const std::vector<v1::ListGenerationsRequest> lists = server_->received().lists;
  ASSERT_EQ(lists.size(), 3u);
  for (const v1::ListGenerationsRequest& request : lists) EXPECT_EQ(request.page_size(), 1000);
}

TEST_F(GenerationCommandsTest, ListAsksForOneClientAndOneState) {
  ImageClient client = Serve({});
  EXPECT_EQ(
      RunList({.of_client = "studio", .state = v1::GENERATION_STATE_FAILED, .limit = 7}, client, Output()),
      0);
  const v1::ListGenerationsRequest request = server_->received().lists.at(0);
  EXPECT_EQ(request.client_id(), "studio");
  EXPECT_EQ(request.state(), v1::GENERATION_STATE_FAILED);
  EXPECT_EQ(request.page_size(), 7);
}

TEST_F(GenerationCommandsTest, CancelNamesTheRequestAndItsClient) {
  ImageClient client = Serve({});
  EXPECT_EQ(RunCancel("mine", {.client_id = "studio"}, client, Output()), 0);
  EXPECT_EQ(out_.str(), "cancelled mine\n");
  EXPECT_EQ(server_->received().cancel.id(), "mine");
  EXPECT_EQ(server_->received().client_id, "studio");
  out_.str("");
  EXPECT_EQ(RunCancel("mine", {}, client, Output(true)), 0);
  EXPECT_EQ(Json()["cancelled"], true);
  EXPECT_EQ(server_->received().client_id, "");
}

TEST_F(GenerationCommandsTest, ErrorsAreOneLineAndAnExitCode) {
  ImageClient client = Serve({.status = grpc::Status(grpc::StatusCode::NOT_FOUND, "unknown generation")});
  EXPECT_EQ(RunGet({.id = "x"}, client, Output()), kExitError);
  EXPECT_EQ(RunList({}, client, Output()), kExitError);
  EXPECT_EQ(RunCancel("x", {}, client, Output()), kExitError);
  const std::string line = "kandinsky: NOT_FOUND: unknown generation\n";
  EXPECT_EQ(err_.str(), line + line + line);
  EXPECT_THAT(out_.str(), IsEmpty());
}

TEST_F(GenerationCommandsTest, ACallThatWasInterruptedHasItsOwnExitCode) {
  ImageClient client = Serve({});
  Cancellation cancellation;
  cancellation.Cancel();
  const CallOptions call = {.cancellation = &cancellation};
  EXPECT_EQ(RunGet({.id = "x", .call = call}, client, Output()), kExitInterrupted);
  EXPECT_EQ(RunList({.call = call}, client, Output()), kExitInterrupted);
  EXPECT_EQ(RunCancel("x", call, client, Output()), kExitInterrupted);
  EXPECT_EQ(server_->calls(), 0);
}

}  // namespace
}  // namespace kandinsky::client
