#include "server/generation_parameters.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace kandinsky::server {
namespace {

nlohmann::json ParametersOf(const GenerationRequest& request) {
  return nlohmann::json::parse(GenerationParameters(request, UINT64_MAX, "my-model"));
}

TEST(GenerationParameters, TellHowAnImageWasMade) {
  GenerationRequest request;
  request.prompt = "a \"red\" cat\né";
  request.negative_prompt = "";
  request.sampler = SamplerKind::kDdim;
  request.eta = 0.1f;
  request.guidance_scale = 4.7f;
  const nlohmann::json json = ParametersOf(request);
  EXPECT_EQ(json["prompt"], request.prompt);
  EXPECT_EQ(json["negative_prompt"], "");
  EXPECT_FALSE(json.contains("negative_prior_prompt"));
  EXPECT_EQ(json["task"], "text_to_image");
  EXPECT_EQ(json["seed"], "18446744073709551615") << "a string, which no reader rounds";
  EXPECT_EQ(json["width"], 512);
  EXPECT_EQ(json["steps"], 50);
  EXPECT_EQ(json["guidance_scale"], 4.7) << "the decimal that was meant";
  EXPECT_EQ(json["prior_steps"], 25);
  EXPECT_EQ(json["sampler"], "ddim");
  EXPECT_EQ(json["eta"], 0.1);
  EXPECT_EQ(json["model"], "my-model");
  EXPECT_FALSE(json.contains("adapter"));
  request.adapter = "watercolour";
  EXPECT_EQ(ParametersOf(request)["adapter"], "watercolour");
}

TEST(GenerationParameters, HaveTheNumbersOfTheTask) {
  GenerationRequest request;
  request.task = ImageToImage{.init = {.image = nullptr, .strength = 0.3}};
  EXPECT_EQ(ParametersOf(request)["strength"], 0.3);
  EXPECT_FALSE(ParametersOf(request).contains("mix"));
  request.mix = Mix{{{.content = "a cat", .weight = 0.25f}, {.content = InputImage(), .weight = 0.75f}}};
  const nlohmann::json mixed = ParametersOf(request);
  EXPECT_EQ(mixed["mix"][0]["text"], "a cat");
  EXPECT_EQ(mixed["mix"][0]["weight"], 0.25);
  EXPECT_EQ(mixed["mix"][1]["content"], "image");
  EXPECT_EQ(mixed["task"], "image_to_image");
  EXPECT_EQ(mixed["strength"], 0.3);
  request.task = Inpaint{.image = nullptr, .mask = nullptr, .paste_back = true, .feather = 3};
  EXPECT_EQ(ParametersOf(request)["feather_pixels"], 3);
}

}  // namespace
}  // namespace kandinsky::server
