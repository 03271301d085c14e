#include <nlohmann/json.hpp>

#include "clients/cpp/npy.h"
#include "tests/clients/float_tensors.h"
#include "tests/clients/program_test.h"

namespace kandinsky::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LatentsCommandsTest : public ProgramTest {
 protected:
  static Script Decoded(const std::string& data, v1::OutputFormat format) {
    Script script;
    script.decode_latents.mutable_image()->set_format(format);
    script.decode_latents.mutable_image()->set_width(64);
    script.decode_latents.mutable_image()->set_height(128);
    script.decode_latents.mutable_image()->set_data(data);
    return script;
  }

  std::string Latents() const { return File("latents.npy", *ToNpy(Tensor({4, 16, 8}))); }
};

TEST_F(LatentsCommandsTest, EncodeSendsAnImageAndWritesItsLatents) {
  Script script;
  *script.encode_latents.mutable_latents() = Tensor({4, 16, 8});
  Serve(script);
  const std::vector<std::string> arguments = {"latents", "encode",   File("cat.png", "image"),
                                              "--width", "64",       "--height",
                                              "128",     "--output", Path("cat.npy")};
  const auto program = Run(arguments);
  const v1::EncodeLatentsRequest request = server_->received().encode_latents;
  EXPECT_EQ(request.image(), "image");
  EXPECT_EQ(request.width(), 64);
  EXPECT_EQ(request.height(), 128);
  EXPECT_EQ(ParseNpy(Read("cat.npy"))->SerializeAsString(), Tensor({4, 16, 8}).SerializeAsString());
  EXPECT_EQ(program->Output(), Path("cat.npy") + " [4, 16, 8]\n");
}

TEST_F(LatentsCommandsTest, EncodeSendsPixelsOfATensorFile) {
  Script script;
  *script.encode_latents.mutable_latents() = Tensor({4, 1, 1});
  Serve(script);
  const auto program = Run({"latents", "encode", File("pixels.npy", *ToNpy(Tensor({3, 8, 8}))), "--output",
                            Path("cat.npy"), "--json"});
  const v1::EncodeLatentsRequest request = server_->received().encode_latents;
  EXPECT_EQ(request.pixels().SerializeAsString(), Tensor({3, 8, 8}).SerializeAsString());
  EXPECT_FALSE(request.has_width());
  EXPECT_THAT(nlohmann::json::parse(program->Output())["shape"], ElementsAre(4, 1, 1));
}

TEST_F(LatentsCommandsTest, DecodeSendsLatentsAndWritesTheImage) {
  Serve(Decoded("jpeg", v1::OUTPUT_FORMAT_JPEG));
  const auto program = Run({"latents", "decode", Latents(), "-o", Path("cat.jpg"), "--quality", "75"});
  const v1::DecodeLatentsRequest request = server_->received().decode_latents;
  EXPECT_EQ(request.latents().SerializeAsString(), Tensor({4, 16, 8}).SerializeAsString());
  EXPECT_EQ(request.output().format(), v1::OUTPUT_FORMAT_JPEG);
  EXPECT_EQ(request.output().quality(), 75);
  EXPECT_FALSE(request.float_pixels());
  EXPECT_EQ(Read("cat.jpg"), "jpeg");
  EXPECT_EQ(program->Output(), Path("cat.jpg") + " 64x128\n");
}

TEST_F(LatentsCommandsTest, DecodeToATensorFileAsksForFloatPixels) {
  Script script;
  *script.decode_latents.mutable_pixels() = Tensor({3, 128, 64});
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{"-o", Path("p.npy")}, {"-o", Path("p"), "--format", "float"}}) {
    Serve(script);
    std::vector<std::string> arguments = {"latents", "decode", Latents()};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    Run(arguments);
    EXPECT_TRUE(server_->received().decode_latents.float_pixels());
    EXPECT_FALSE(server_->received().decode_latents.has_output());
  }
  EXPECT_EQ(ParseNpy(Read("p.npy"))->SerializeAsString(), Tensor({3, 128, 64}).SerializeAsString());
  EXPECT_EQ(Read("p"), Read("p.npy"));
}

TEST_F(LatentsCommandsTest, QualityOfATensorFileIsWrongUsage) {
  Serve({});
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{"-o", Path("p.npy")}, {"-o", Path("p"), "--format", "float"}}) {
    std::vector<std::string> arguments = {"latents", "decode", Latents(), "--quality", "5"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const auto program = Start(arguments);
    EXPECT_EQ(program->Wait(), kExitUsage);
    EXPECT_THAT(program->ErrorOutput(), HasSubstr("--quality"));
  }
  EXPECT_EQ(server_->calls(), 0);
}

TEST_F(LatentsCommandsTest, AnswersOfManyMebibytesAreReceived) {
  const std::string data(13 << 20, 'x');  // 2048 x 2048 raw pixels are 12 MiB
  Serve(Decoded(data, v1::OUTPUT_FORMAT_RAW_RGB));
  const auto program =
      Run({"latents", "decode", Latents(), "--format", "raw", "-o", Path("cat.rgb"), "--json"});
  EXPECT_EQ(Read("cat.rgb").size(), data.size());
  EXPECT_EQ(nlohmann::json::parse(program->Output())["format"], "raw");
}

TEST_F(LatentsCommandsTest, ErrorsNameTheFileBeforeAnyCall) {
  Serve({});
  const std::string text = File("latents.txt", "no tensor");
  const std::vector<std::pair<std::vector<std::string>, std::string>> runs = {
      {{"latents", "encode", Path("missing.png")}, "NOT_FOUND: image: cannot read " + Path("missing.png")},
      {{"latents", "decode", Path("missing.npy")}, "NOT_FOUND: latents: cannot read " + Path("missing.npy")},
      {{"latents", "decode", text}, "INVALID_ARGUMENT: latents: " + text + ": no .npy file"},
      {{"latents", "encode", text, "-o", Path("missing/a.npy")}, "NOT_FOUND: --output: there is no folder"}};
  for (const auto& [arguments, error] : runs) {
    const auto program = Start(arguments);
    EXPECT_EQ(program->Wait(), kExitError);
    EXPECT_THAT(program->ErrorOutput(), HasSubstr(error));
  }
  EXPECT_EQ(server_->calls(), 0);
}

TEST_F(LatentsCommandsTest, AnAnswerWithoutAnImageOrTensorOfItsShapeIsAnError) {
  Script script;
  script.encode_latents.mutable_latents()->add_shape(5);
  Serve(script);
  const auto encode = Start({"latents", "encode", File("cat.png", "image"), "-o", Path("cat.npy")});
  EXPECT_EQ(encode->Wait(), kExitError);
  EXPECT_THAT(encode->ErrorOutput(), HasSubstr("DATA_LOSS: "));
  const auto decode = Start({"latents", "decode", Latents(), "-o", Path("cat.png")});
  EXPECT_EQ(decode->Wait(), kExitError);
  EXPECT_THAT(decode->ErrorOutput(), HasSubstr("came without data"));
}

}  // namespace
}  // namespace kandinsky::client
