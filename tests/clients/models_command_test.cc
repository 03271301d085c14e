#include "clients/cpp/models_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/clients/program_test.h"

namespace kandinsky::client {
namespace {

using ::testing::HasSubstr;

v1::Model Shapes() {
  v1::Model model;
  model.set_name("shapes");
  model.set_state(v1::MODEL_STATE_READY);
  model.set_family("2.2");
  for (const char* network : {"decoder", "inpaint"}) model.add_networks(network);
  for (const char* task : {"text_to_image", "inpaint", "embed_text", "encode_latents"}) model.add_tasks(task);
  model.add_samplers(v1::SAMPLER_DDPM);
  model.add_samplers(v1::SAMPLER_EULER_ANCESTRAL);
  v1::ModelLimits& limits = *model.mutable_limits();
  limits.set_size_multiple(16);
  limits.set_min_size(16);
  limits.set_max_size(2048);
  limits.set_max_steps(1000);
  limits.set_max_prior_steps(900);
  limits.set_max_images(8);
  limits.set_max_mix_parts(16);
  limits.set_max_megapixel_steps(1000);
  limits.set_max_prompt_bytes(4096);
  limits.set_max_image_bytes(8388608);
  limits.set_max_image_pixels(16000000);
  limits.set_max_request_bytes(16859136);
  limits.set_max_unary_reply_bytes(3670016);
  limits.mutable_default_deadline()->set_seconds(120);
  limits.mutable_max_deadline()->set_seconds(300);
  v1::ModelDefaults& defaults = *model.mutable_defaults();
  defaults.set_width(64);
  defaults.set_height(64);
  defaults.set_steps(25);
  defaults.set_guidance_scale(2);
  defaults.set_prior_steps(20);
  defaults.set_prior_guidance_scale(1.3f);
  v1::TextWindow& window = *model.add_text_windows();
  window.set_network("text_encoder");
  window.set_tokens(77);
  model.set_embeds_images(true);
  model.set_embedding_dim(128);
  model.set_latent_scale(4);
  model.set_device("cpu");
  model.set_dtype("float32");
  model.set_weight_bytes(19'760'000);
  model.set_workers(2);
  model.set_ready_workers(1);
  model.mutable_estimated_wait()->set_seconds(12);
  return model;
}

v1::Model Loading() {
  v1::Model model;
  model.set_name("large");
  model.set_state(v1::MODEL_STATE_LOADING);
  return model;
}

class ModelsCommandTest : public ProgramTest {
 protected:
  nlohmann::json JsonOf(const std::vector<std::string>& arguments) const {
    return nlohmann::json::parse(Run(arguments)->Output());
  }
};

TEST_F(ModelsCommandTest, PrintsATableOfAllModels) {
  Serve({.models = {Shapes(), Loading()}});
  EXPECT_EQ(
      Run({"models", "--client-id", "studio"})->Output(),
      "MODEL   FAMILY  STATE    NETWORKS          TASKS                   SIZE   STEPS  ADAPTERS  DEVICE  "
      "DTYPE    WEIGHTS\n"
      "shapes  2.2     ready    decoder, inpaint  text_to_image, inpaint  64x64  25     -         cpu     "
      "float32  19.8 MB\n"
      "large   -       loading  -                 -                       -      -      -         -       "
      "-        -\n");
  EXPECT_EQ(server_->received().client_id, "studio");
}

TEST_F(ModelsCommandTest, PrintsEverythingAboutOneModel) {
  Serve({.models = {Loading(), Shapes()}});
  EXPECT_EQ(Run({"models", "shapes"})->Output(),
            "model          shapes\n"
            "state          ready\n"
            "family         2.2\n"
            "networks       decoder, inpaint\n"
            "tasks          text_to_image, inpaint, embed_text, encode_latents\n"
            "samplers       ddpm, euler_ancestral\n"
            "adapters       -\n"
            "size           64x64; multiples of 16 from 16 to 2048\n"
            "steps          25; at most 1000\n"
            "guidance       2\n"
            "prior steps    20; at most 900\n"
            "prior guidance 1.3\n"
            "images         at most 8 of a request, 16 parts of a mixture, 1000 megapixels x images x steps\n"
            "input images   at most 8.4 MB, 16000000 pixels; can be embedded\n"
            "text           77 tokens are read by text_encoder\n"
            "device         cpu\n"
            "dtype          float32\n"
            "weights        19.8 MB\n"
            "workers        1 of 2 ready\n"
            "wait           about 12.0 s\n");
  EXPECT_EQ(server_->received().get_model.name(), "shapes");
}

TEST_F(ModelsCommandTest, PrintsNoMoreThanIsKnownOfAModelThatIsBeingLoaded) {
  Serve({.models = {Loading()}});
  EXPECT_EQ(Run({"models", "large"})->Output(), "model          large\nstate          loading\n");
  EXPECT_EQ(Run({"models", "large", "--json"})->Output(), "{\"name\":\"large\",\"state\":\"loading\"}\n");
}

TEST_F(ModelsCommandTest, SaysWhyAModelTakesNoRequests) {
  v1::Model lost = Shapes();
  lost.set_state(v1::MODEL_STATE_NOT_READY);
  lost.set_not_ready_reason("NO_WORKER");
  Serve({.models = {lost}});
  EXPECT_THAT(Run({"models"})->Output(), HasSubstr("  not_ready (NO_WORKER)  "));
  EXPECT_THAT(Run({"models", "shapes"})->Output(), HasSubstr("state          not_ready (NO_WORKER)\n"));
  EXPECT_EQ(JsonOf({"models", "shapes", "--json"})["not_ready_reason"], "NO_WORKER");
}

TEST_F(ModelsCommandTest, HasTheSameAsJson) {
  Serve({.models = {Shapes(), Loading()}});
  const nlohmann::json list = JsonOf({"models", "--json"});
  ASSERT_EQ(list["models"].size(), 2u);
  const nlohmann::json one = JsonOf({"models", "shapes", "--json"});
  EXPECT_EQ(list["models"][0], one);
  EXPECT_EQ(one, nlohmann::json::parse(R"({
      "name": "shapes", "state": "ready", "family": "2.2", "networks": ["decoder", "inpaint"],
      "tasks": ["text_to_image", "inpaint", "embed_text", "encode_latents"],
      "samplers": ["ddpm", "euler_ancestral"],
      "limits": {"size_multiple": 16, "min_size": 16, "max_size": 2048, "max_steps": 1000,
                 "max_prior_steps": 900, "max_images": 8, "max_mix_parts": 16, "max_megapixel_steps": 1000.0,
                 "max_prompt_bytes": 4096, "max_image_bytes": 8388608, "max_image_pixels": "16000000",
                 "max_request_bytes": 16859136, "max_unary_reply_bytes": 3670016,
                 "default_deadline_seconds": 120.0, "max_deadline_seconds": 300.0},
      "defaults": {"width": 64, "height": 64, "steps": 25, "guidance_scale": 2.0, "prior_steps": 20,
                   "prior_guidance_scale": 1.3},
      "text_windows": [{"network": "text_encoder", "tokens": 77}], "adapters": [], "embeds_images": true,
      "embedding_dim": 128, "latent_scale": 4, "device": "cpu", "dtype": "float32",
      "weight_bytes": "19760000", "workers": 2, "ready_workers": 1, "estimated_wait_seconds": 12.0})"));
}

TEST_F(ModelsCommandTest, ErrorsAreThoseOfTheOtherCommands) {
  Serve({.status = {grpc::StatusCode::NOT_FOUND, "no such resource"}});
  const auto program = Start({"models", "other"});
  EXPECT_EQ(program->Wait(), kExitError);
  EXPECT_THAT(program->ErrorOutput(), HasSubstr("kandinsky: NOT_FOUND: no such resource"));
  EXPECT_EQ(program->Output(), "");
  EXPECT_THAT(UsageError({"models", "one", "two"}), HasSubstr("unexpected argument \"two\""));
}

TEST_F(ModelsCommandTest, NamesOfTheServerPrintAsOneLine) {
  v1::Model model = Shapes();
  model.set_name("two\nlines");
  model.add_adapters("a\nb");
  Serve({.models = {model}});
  const std::string table = Run({"models"})->Output();
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 2) << table;
}

}  // namespace
}  // namespace kandinsky::client
