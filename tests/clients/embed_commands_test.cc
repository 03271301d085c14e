#include <filesystem>
#include <nlohmann/json.hpp>

#include "clients/cpp/embedding_file.h"
#include "clients/cpp/npy.h"
#include "tests/clients/program_test.h"

namespace kandinsky::client {
namespace {

namespace fs = std::filesystem;

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class EmbedCommandsTest : public ProgramTest {
 protected:
  static v1::Embedding Embedding(const std::vector<float>& values) {
    v1::Embedding embedding;
    for (const float value : values) embedding.add_values(value);
    return embedding;
  }

  // Two texts, the second of which was cut.
  static Script Texts() {
    Script script;
    for (int i = 0; i < 2; ++i) {
      v1::TextEmbedding& text = *script.embed_text.add_embeddings();
      *text.mutable_embedding() = Embedding({0.1f, static_cast<float>(i)});
      text.add_token_ids(49406);
      text.set_tokens(i == 0 ? 3 : 80);
      text.set_kept_tokens(i == 0 ? 3 : 77);
      text.mutable_hidden_states()->add_shape(1);
      text.mutable_hidden_states()->set_data("abcd");
    }
    return script;
  }

  static Script Generated(int count) {
    Script script;
    for (int i = 0; i < count; ++i) {
      v1::GeneratedImageEmbedding& generated = *script.generate_image_embedding.add_embeddings();
      generated.set_seed(UINT64_MAX);
      *generated.mutable_embedding() = Embedding({0.1f, -2});
      *generated.mutable_negative_embedding() = Embedding({static_cast<float>(i)});
    }
    return script;
  }
};

TEST_F(EmbedCommandsTest, EachArgumentOfTextIsOneText) {
  Serve(Texts());
  const auto program =
      Run({"embed", "text", "a red cat", "[a, b]", "--model", "mine", "--strict-text", "--json"});
  const v1::EmbedTextRequest request = server_->received().embed_text;
  EXPECT_THAT(request.texts(), ElementsAre("a red cat", "[a, b]"));
  EXPECT_EQ(request.model(), "mine");
  EXPECT_TRUE(request.strict_text());
  EXPECT_FALSE(request.has_include_hidden_states());
  const nlohmann::json json = nlohmann::json::parse(program->Output());
  ASSERT_EQ(json["embeddings"].size(), 2u);
  EXPECT_EQ(json["embeddings"][0]["text_embedding"][0].get<float>(), 0.1f);
  EXPECT_EQ(json["embeddings"][1]["tokens"], 80);
  EXPECT_EQ(json["embeddings"][1]["token_ids"][0], 49406);
  EXPECT_EQ(json["truncations"][0]["kept_tokens"], 77);
}

TEST_F(EmbedCommandsTest, WithoutFilesEachEmbeddingIsALine) {
  Serve(Texts());
  const auto program = Run({"embed", "text", "cat", "dog"});
  std::istringstream lines(program->Output());
  std::string line;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(std::getline(lines, line));
    EXPECT_EQ(nlohmann::json::parse(line)["text_embedding"][1], i);
  }
  EXPECT_THAT(program->ErrorOutput(), HasSubstr("text 1 was cut from 80 to 77 tokens"));
}

TEST_F(EmbedCommandsTest, HiddenStatesAreTensorFiles) {
  Serve(Texts());
  Run({"embed", "text", "cat", "dog", "--hidden-states", Path("h.npy"), "-o", Path("e.json")});
  EXPECT_TRUE(server_->received().embed_text.include_hidden_states());
  EXPECT_EQ(ParseNpy(Read("h-1.npy"))->data(), "abcd");
  EXPECT_TRUE(fs::exists(Path("e-0.json")));
}

TEST_F(EmbedCommandsTest, TextEmbeddingsAreRefusedAsImageEmbeddings) {
  Serve(Texts());
  Run({"embed", "text", "cat", "dog", "-o", Path("e.json")});
  const auto program =
      Start({"generate", "--image-embedding", Path("e-0.json"), "--output", Path("cat.png")});
  EXPECT_EQ(program->Wait(), kExitError);
  EXPECT_THAT(program->ErrorOutput(), HasSubstr("--image-embedding: " + Path("e-0.json")));
  EXPECT_THAT(program->ErrorOutput(), HasSubstr("embedding of a text"));
}

TEST_F(EmbedCommandsTest, ImagesAreSentAndTheirFilesReadBack) {
  Script script;
  *script.embed_images.add_embeddings() = Embedding({0.1f, 2});
  *script.embed_images.add_embeddings() = Embedding({3});
  script.events = {Completed()};
  Serve(script);
  const auto program = Run({"embed", "image", File("a.png", "first"), File("b.png", "second"), "--output",
                            Path("e.json"), "--json"});
  EXPECT_THAT(server_->received().embed_images.images(), ElementsAre("first", "second"));
  EXPECT_EQ(nlohmann::json::parse(program->Output())["embeddings"][1]["file"], Path("e-1.json"));
  Run({"generate", "--mix-embedding", Path("e-0.json"), "--output", Path("cat.png")});
  EXPECT_THAT(server_->received().generate.mix().parts(0).embedding().values(), ElementsAre(0.1f, 2));
}

TEST_F(EmbedCommandsTest, PromptSendsWhatThePriorIsToDo) {
  Serve(Generated(3));
  Run({"embed",
       "prompt",
       "a",
       "cat",
       "--negative-prompt",
       "dog",
       "--negative-prior-prompt",
       "",
       "--prior-image",
       File("a.png", "image"),
       "--prior-strength",
       "0.5",
       "--prior-steps",
       "9",
       "--prior-guidance-scale",
       "2",
       "--count",
       "3",
       "--seed",
       "7",
       "--adapter",
       "ink",
       "--strict-prompt"});
  const v1::GenerateImageEmbeddingRequest request = server_->received().generate_image_embedding;
  EXPECT_EQ(request.prompt(), "a cat");
  EXPECT_EQ(request.negative_prompt(), "dog");
  EXPECT_TRUE(request.has_negative_prior_prompt());
  EXPECT_EQ(request.prior_start().image(), "image");
  EXPECT_EQ(request.prior_start().strength(), 0.5);
  EXPECT_EQ(request.prior_steps(), 9);
  EXPECT_EQ(request.prior_guidance_scale(), 2);
  EXPECT_EQ(request.count(), 3);
  EXPECT_EQ(request.seed(), 7u);
  EXPECT_EQ(request.adapter(), "ink");
  EXPECT_TRUE(request.strict_prompt());
}

TEST_F(EmbedCommandsTest, PromptTakesAMixtureInstead) {
  Serve(Generated(1));
  Run({"embed", "prompt", "--mix-text", "a cat", "--mix-weight", "0.3", "--mix-image", File("a.png", "image"),
       "--negative-prior-prompt", "fog"});
  const v1::GenerateImageEmbeddingRequest request = server_->received().generate_image_embedding;
  EXPECT_EQ(request.prompt(), "");
  ASSERT_EQ(request.mix().parts_size(), 2);
  EXPECT_EQ(request.mix().parts(0).text(), "a cat");
  EXPECT_EQ(request.mix().parts(0).weight(), 0.3f);
  EXPECT_EQ(request.mix().parts(1).image(), "image");
  EXPECT_FALSE(request.mix().parts(1).has_weight());
  EXPECT_EQ(request.negative_prior_prompt(), "fog");
}

TEST_F(EmbedCommandsTest, WhatAPromptGaveServesBothHalvesOfTheGuidance) {
  Script script = Generated(1);
  script.events = {Completed()};
  Serve(script);
  const auto program = Run({"embed", "prompt", "cat", "-o", Path("e.json")});
  EXPECT_EQ(program->Output(), Path("e.json") + "\n");
  EXPECT_EQ(nlohmann::json::parse(Read("e.json"))["seed"], "18446744073709551615");
  Run({"generate", "--image-embedding", Path("e.json"), "--negative-image-embedding", Path("e.json"),
       "--output", Path("cat.png")});
  EXPECT_THAT(server_->received().generate.image_embedding().values(), ElementsAre(0.1f, -2));
  EXPECT_THAT(server_->received().generate.negative_image_embedding().values(), ElementsAre(0));
}

TEST_F(EmbedCommandsTest, ALineOfStandardOutputIsAnEmbeddingFile) {
  Serve(Generated(1));
  const auto program = Run({"embed", "prompt", "cat"});
  const absl::StatusOr<v1::Embedding> embedding = ParseEmbedding(program->Output(), EmbeddingRole::kImage);
  ASSERT_TRUE(embedding.ok()) << embedding.status();
  EXPECT_THAT(embedding->values(), ElementsAre(0.1f, -2));
}

TEST_F(EmbedCommandsTest, ErrorsComeBeforeTheCallOrAreTheServers) {
  Serve({.status = grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "texts[0]: must be UTF-8")});
  const auto missing = Start({"embed", "image", Path("missing.png")});
  EXPECT_EQ(missing->Wait(), kExitError);
  EXPECT_EQ(missing->ErrorOutput(), "kandinsky: NOT_FOUND: image: cannot read " + Path("missing.png") +
                                        ": No such file or directory\n");
  for (const char* command : {"text", "prompt"}) {
    const auto folder = Start({"embed", command, "cat", "-o", Path("missing/e.json")});
    EXPECT_EQ(folder->Wait(), kExitError);
    EXPECT_THAT(folder->ErrorOutput(), HasSubstr("kandinsky: NOT_FOUND: "));
  }
  EXPECT_EQ(server_->calls(), 0);
  const auto refused = Start({"embed", "text", "cat", "--json"});
  EXPECT_EQ(refused->Wait(), kExitError);
  EXPECT_EQ(refused->ErrorOutput(), "kandinsky: INVALID_ARGUMENT: texts[0]: must be UTF-8\n");
  EXPECT_EQ(nlohmann::json::parse(refused->Output())["error"]["code"], "INVALID_ARGUMENT");
}

TEST_F(EmbedCommandsTest, AnAnswerThatLacksEmbeddingsIsDataLoss) {
  Serve({});
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"embed", "text", "cat"},
                                                    {"embed", "image", File("a.png", "image")},
                                                    {"embed", "prompt", "cat"}}) {
    const auto program = Start(arguments);
    EXPECT_EQ(program->Wait(), kExitError);
    EXPECT_THAT(program->ErrorOutput(), HasSubstr("DATA_LOSS: 0 embeddings came, 1 were asked for"));
    EXPECT_THAT(program->Output(), IsEmpty());
  }
}

TEST_F(EmbedCommandsTest, WrongUsageHasItsOwnExitCode) {
  const std::vector<std::vector<std::string>> wrong = {{"embed"},
                                                       {"embed", "video", "a"},
                                                       {"embed", "text"},
                                                       {"embed", "image"},
                                                       {"embed", "prompt"},
                                                       {"embed", "prompt", "cat", "--prior-strength", "0.5"},
                                                       {"embed", "prompt", "cat", "--mix-text", "dog"}};
  for (const std::vector<std::string>& arguments : wrong) {
    EXPECT_EQ(Start(arguments)->Wait(), kExitUsage) << testing::PrintToString(arguments);
  }
}

}  // namespace
}  // namespace kandinsky::client
