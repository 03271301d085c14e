

#include <map>

#include "clients/cpp/npy.h"
#include "tests/clients/float_tensors.h"
#include "tests/clients/program_test.h"

namespace kandinsky::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A file that `kandinsky embed prompt` could have written.
constexpr char kEmbeddingFile[] =
    R"({"seed": 7, "image_embedding": [1, 2.5], "negative_image_embedding": [-3]})";

// The commands that make images: what their flags become.
class TaskFlagsTest : public ProgramTest {
 protected:
  // The request of a run that must succeed.
  v1::GenerateRequest Request(std::vector<std::string> arguments) {
    Serve({.events = {Completed()}});
    arguments.insert(arguments.begin() + 1, {"--output", Path("out.png")});
    Run(arguments);
    return server_->received().generate;
  }

  // The error text of a run that must fail, before any call, with `code`.
  std::string Error(const std::vector<std::string>& arguments, int code = kExitError) {
    Serve({.events = {Completed()}});
    const auto program = Start(arguments);
    EXPECT_EQ(program->Wait(), code) << testing::PrintToString(arguments);
    EXPECT_EQ(server_->calls(), 0);
    return program->ErrorOutput();
  }
};

TEST_F(TaskFlagsTest, GenerateSendsWhatThePriorIsToDo) {
  const v1::GenerateRequest request =
      Request({"generate", "cat", "--negative-prompt", "", "--negative-prior-prompt", "dog",
               "--strict-prompt", "--prior-steps", "9", "--prior-guidance-scale", "2.5", "--model", "mine",
               "--adapter", "ink", "--prior-image", File("start.png", "image"), "--prior-strength", "0.5"});
  EXPECT_TRUE(request.has_negative_prompt());
  EXPECT_EQ(request.negative_prompt(), "");
  EXPECT_EQ(request.negative_prior_prompt(), "dog");
  EXPECT_TRUE(request.strict_prompt());
  EXPECT_EQ(request.prior_steps(), 9);
  EXPECT_EQ(request.prior_guidance_scale(), 2.5f);
  EXPECT_EQ(request.model(), "mine");
  EXPECT_EQ(request.adapter(), "ink");
  EXPECT_EQ(request.prior_start().image(), "image");
  EXPECT_EQ(request.prior_start().strength(), 0.5);
  EXPECT_EQ(request.task_case(), v1::GenerateRequest::TASK_NOT_SET);
}

TEST_F(TaskFlagsTest, ThePriorCanStartFromAnEmbeddingWithTheServersStrength) {
  const v1::GenerateRequest request =
      Request({"generate", "cat", "--prior-embedding", File("e.json", kEmbeddingFile)});
  EXPECT_THAT(request.prior_start().embedding().values(), ElementsAre(1, 2.5));
  EXPECT_FALSE(request.prior_start().has_strength());
}

TEST_F(TaskFlagsTest, AnImageEmbeddingTakesThePromptsPlace) {
  const std::string file = File("e.json", kEmbeddingFile);
  const v1::GenerateRequest request =
      Request({"generate", "--image-embedding", file, "--negative-image-embedding", file});
  EXPECT_EQ(request.prompt(), "");
  EXPECT_THAT(request.image_embedding().values(), ElementsAre(1, 2.5));
  EXPECT_THAT(request.negative_image_embedding().values(), ElementsAre(-3));
}

TEST_F(TaskFlagsTest, EverySamplerHasAName) {
  const std::map<std::string, v1::Sampler> samplers = {
      {"ddpm", v1::SAMPLER_DDPM},
      {"ddim", v1::SAMPLER_DDIM},
      {"ddpm-learned-range", v1::SAMPLER_DDPM_LEARNED_RANGE},
      {"euler", v1::SAMPLER_EULER},
      {"euler-ancestral", v1::SAMPLER_EULER_ANCESTRAL},
      {"dpm-solver-multistep", v1::SAMPLER_DPM_SOLVER_MULTISTEP}};
  EXPECT_EQ(static_cast<int>(samplers.size()), v1::Sampler_descriptor()->value_count() - 1);
  for (const auto& [name, sampler] : samplers) {
    EXPECT_EQ(Request({"generate", "cat", "--sampler", name}).sampler(), sampler);
  }
}

TEST_F(TaskFlagsTest, GenerateSendsSizesSeedsAndOutput) {
  const v1::GenerateRequest request = Request({"generate",
                                               "cat",
                                               "--width",
                                               "128",
                                               "--height",
                                               "64",
                                               "--steps",
                                               "3",
                                               "--guidance-scale",
                                               "1.5",
                                               "--sampler",
                                               "ddim",
                                               "--eta",
                                               "0.25",
                                               "--seeds",
                                               "3,18446744073709551615",
                                               "--output",
                                               Path("out.jpg"),
                                               "--format",
                                               "jpeg",
                                               "--quality",
                                               "80"});
  EXPECT_EQ(request.width(), 128);
  EXPECT_EQ(request.height(), 64);
  EXPECT_EQ(request.steps(), 3);
  EXPECT_EQ(request.guidance_scale(), 1.5f);
  EXPECT_EQ(request.eta(), 0.25f);
  EXPECT_THAT(request.seeds(), ElementsAre(3, UINT64_MAX));
  EXPECT_FALSE(request.has_seed());
  EXPECT_EQ(request.output().format(), v1::OUTPUT_FORMAT_JPEG);
  EXPECT_EQ(request.output().quality(), 80);
  EXPECT_TRUE(Request({"generate", "cat", "--embed-parameters"}).output().embed_parameters());
}

TEST_F(TaskFlagsTest, EditSendsTheImage) {
  const v1::GenerateRequest request =
      Request({"edit", "a", "red", "cat", "--image", File("cat.png", "image"), "--strength", "0.75"});
  EXPECT_EQ(request.prompt(), "a red cat");
  EXPECT_EQ(request.image_to_image().image(), "image");
  EXPECT_EQ(request.image_to_image().strength(), 0.75);
  EXPECT_FALSE(Request({"edit", "cat", "--image", Path("cat.png")}).image_to_image().has_strength());
}

TEST_F(TaskFlagsTest, InpaintSendsImageAndMask) {
  File("cat.png", "image");
  File("mask.png", "mask");
  const v1::GenerateRequest plain =
      Request({"inpaint", "hat", "--image", Path("cat.png"), "--mask", Path("mask.png")});
  v1::Inpaint expected;
  expected.set_image("image");
  expected.set_mask("mask");
  EXPECT_EQ(plain.inpaint().SerializeAsString(), expected.SerializeAsString());
  const v1::GenerateRequest all =
      Request({"inpaint", "hat", "--image", Path("cat.png"), "--mask", Path("mask.png"), "--mask-white-keeps",
               "--soft-mask", "--paste-back", "--feather", "12"});
  EXPECT_EQ(all.inpaint().mask_polarity(), v1::MASK_POLARITY_WHITE_KEEPS);
  EXPECT_EQ(all.inpaint().mask_mode(), v1::MASK_MODE_SOFT);
  EXPECT_TRUE(all.inpaint().paste_back());
  EXPECT_EQ(all.inpaint().feather_pixels(), 12);
}

TEST_F(TaskFlagsTest, ControlSendsADepthImage) {
  const v1::GenerateRequest request = Request({"control", "cat", "--depth", File("depth.png", "depth"),
                                               "--image", File("cat.png", "image"), "--strength", "0.5"});
  EXPECT_EQ(request.control_net().depth_image(), "depth");
  EXPECT_EQ(request.control_net().image(), "image");
  EXPECT_EQ(request.control_net().strength(), 0.5);
}

TEST_F(TaskFlagsTest, ControlSendsADepthTensor) {
  const v1::GenerateRequest request =
      Request({"control", "cat", "--depth", File("depth.npy", *ToNpy(Tensor({3, 2, 4})))});
  EXPECT_EQ(request.control_net().depth().SerializeAsString(), Tensor({3, 2, 4}).SerializeAsString());
  EXPECT_EQ(request.control_net().image(), "");
  EXPECT_FALSE(request.control_net().has_strength());
}

TEST_F(TaskFlagsTest, AMixtureKeepsTheOrderAndGivesEachPartTheWeightBehindIt) {
  const v1::GenerateRequest request = Request({"generate",
                                               "--mix-text",
                                               "a: cat",
                                               "--mix-image",
                                               File("a:b.png", "image"),
                                               "--mix-weight",
                                               "-0.5",
                                               "--mix-embedding",
                                               File("e.json", kEmbeddingFile),
                                               "--mix-weight=2",
                                               "--mix-text",
                                               "--dog",
                                               "--mix-text",
                                               "[x, y]",
                                               "--mix-weight",
                                               "0.25",
                                               "--negative-prompt",
                                               "blur",
                                               "--seed",
                                               "7"});
  ASSERT_EQ(request.mix().parts_size(), 5);
  EXPECT_EQ(request.mix().parts(0).text(), "a: cat");
  EXPECT_FALSE(request.mix().parts(0).has_weight());
  EXPECT_EQ(request.mix().parts(1).image(), "image");
  EXPECT_EQ(request.mix().parts(1).weight(), -0.5f);
  EXPECT_THAT(request.mix().parts(2).embedding().values(), ElementsAre(1, 2.5));
  EXPECT_EQ(request.mix().parts(2).weight(), 2);
  EXPECT_EQ(request.mix().parts(3).text(), "--dog");
  EXPECT_FALSE(request.mix().parts(3).has_weight());
  EXPECT_EQ(request.mix().parts(4).text(), "[x, y]");
  EXPECT_EQ(request.mix().parts(4).weight(), 0.25f);
  EXPECT_EQ(request.prompt(), "");
  EXPECT_EQ(request.negative_prompt(), "blur");
  EXPECT_EQ(request.seed(), 7u);
}

TEST_F(TaskFlagsTest, AMixtureGoesWithEveryStart) {
  const std::string cat = File("cat.png", "image");
  const std::string part = File("sea.png", "sea");
  const auto mixed = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--mix-text", "a cat", "--mix-weight", "0.3", "--mix-image", part});
    const v1::GenerateRequest request = Request(arguments);
    EXPECT_EQ(request.mix().parts(0).text(), "a cat");
    EXPECT_EQ(request.mix().parts(0).weight(), 0.3f);
    EXPECT_EQ(request.mix().parts(1).image(), "sea");
    return request;
  };
  EXPECT_EQ(mixed({"generate"}).task_case(), v1::GenerateRequest::TASK_NOT_SET);
  EXPECT_EQ(mixed({"edit", "--image", cat, "--strength", "0.5"}).image_to_image().image(), "image");
  EXPECT_EQ(mixed({"inpaint", "--image", cat, "--mask", cat}).inpaint().mask(), "image");
  EXPECT_EQ(mixed({"control", "--depth", cat, "--image", cat}).control_net().image(), "image");
}

TEST_F(TaskFlagsTest, AWeightNeedsAPartBeforeItOfItsOwn) {
  EXPECT_THAT(Error({"generate", "--mix-weight", "1", "--mix-text", "cat"}, kExitUsage),
              HasSubstr("--mix-weight"));
  EXPECT_THAT(Error({"generate", "--mix-text", "cat", "--mix-weight", "1", "--mix-weight", "2"}, kExitUsage),
              HasSubstr("--mix-weight"));
  EXPECT_THAT(Error({"generate"}, kExitUsage), HasSubstr("--mix-text"));
}

TEST_F(TaskFlagsTest, PromptsKeepBracketsAndCommas) {
  EXPECT_EQ(Request({"generate", "[a", "cat]", "[red,", "[big,dog]", "[ink]"}).prompt(),
            "[a cat] [red, [big,dog] [ink]");
  EXPECT_EQ(Request({"generate", "--negative-prompt", "[a, b]", "list", "get"}).negative_prompt(), "[a, b]");
  EXPECT_EQ(Request({"generate", "--", "cat", "--dog"}).prompt(), "cat --dog");
}

TEST_F(TaskFlagsTest, ImagesOfAnySizeThatServersTakeAreSent) {
  const std::string image(7 << 20, 'x');
  EXPECT_EQ(
      Request({"edit", "cat", "--image", File("large.png", image + image)}).image_to_image().image().size(),
      2 * image.size());
  const v1::GenerateRequest request =
      Request({"inpaint", "hat", "--image", File("cat.png", image), "--mask", File("mask.png", image)});
  EXPECT_EQ(request.inpaint().image().size(), image.size());
  EXPECT_EQ(request.inpaint().mask().size(), image.size());
}

TEST_F(TaskFlagsTest, AFileThatCannotBeReadIsNamedWithItsFlagBeforeAnyCall) {
  const std::string cat = File("cat.png", "image");
  const std::string missing = Path("missing.png");
  const std::string embedding = File("e.json", kEmbeddingFile);
  const std::vector<std::pair<std::string, std::vector<std::string>>> runs = {
      {"--image", {"edit", "cat", "--image", missing}},
      {"--image", {"inpaint", "hat", "--image", missing, "--mask", cat}},
      {"--mask", {"inpaint", "hat", "--image", cat, "--mask", missing}},
      {"--depth", {"control", "cat", "--depth", missing}},
      {"--image", {"control", "cat", "--depth", cat, "--image", missing}},
      {"--mix-image", {"generate", "--mix-image", cat, "--mix-image", missing}},
      {"--mix-image", {"edit", "--image", cat, "--mix-image", missing}},
      {"--mix-embedding", {"generate", "--mix-embedding", embedding, "--mix-embedding", missing}},
      {"--prior-image", {"generate", "cat", "--prior-image", missing}},
      {"--prior-embedding", {"generate", "cat", "--prior-embedding", missing}},
      {"--image-embedding", {"generate", "--image-embedding", missing}},
      {"--negative-image-embedding", {"generate", "cat", "--negative-image-embedding", missing}}};
  for (const auto& [flag, arguments] : runs) {
    EXPECT_EQ(Error(arguments),
              "kandinsky: NOT_FOUND: " + flag + ": cannot read " + missing + ": No such file or directory\n");
  }
}

TEST_F(TaskFlagsTest, AnImageThatIsTooLargeIsNotSent) {
  const std::string file = File("cat.png", std::string((64 << 20) + 1, 'x'));
  EXPECT_EQ(Error({"edit", "cat", "--image", file}),
            "kandinsky: INVALID_ARGUMENT: --image: " + file + " is larger than 64 MiB\n");
}

TEST_F(TaskFlagsTest, FlagsThatDoNotGoTogetherAreWrongUsage) {
  const std::string cat = File("cat.png", "image");
  const std::vector<std::vector<std::string>> wrong = {
      {"generate"},
      {"edit", "cat"},
      {"edit", "--image", cat},
      {"inpaint", "hat", "--image", cat},
      {"inpaint", "hat", "--image", cat, "--mask", cat, "--feather", "3"},
      {"inpaint", "hat", "--image", cat, "--mask", cat, "--paste-back", "--feather", "-1"},
      {"control", "cat"},
      {"control", "cat", "--depth", cat, "--strength", "0.5"},
      {"generate", "cat", "--image-embedding", cat},
      {"generate", "cat", "--prior-strength", "0.5"},
      {"generate", "cat", "--prior-image", cat, "--prior-embedding", cat},
      {"generate", "cat", "--seed", "1", "--seeds", "1,2"},
      {"generate", "cat", "--seeds", "1,-2"},
      {"generate", "cat", "--format", "gif"},
      {"generate", "cat", "--quality", "0"},
      {"generate", "cat", "--sampler", "heun"},
      {"edit", "--mix-text", "cat"},
      {"inpaint", "--image", cat, "--mix-text", "cat"},
      {"generate", "--mix-text", "dog", "--mix-weight", "heavy"}};
  for (const std::vector<std::string>& arguments : wrong) Error(arguments, kExitUsage);
}

}  // namespace
}  // namespace kandinsky::client
