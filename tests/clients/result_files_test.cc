#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "clients/cpp/npy.h"
#include "tests/clients/program_test.h"

namespace kandinsky::client {
namespace {

namespace fs = std::filesystem;

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What the commands that make images write.
class ResultFilesTest : public ProgramTest {
 protected:
  static v1::GenerateEvent Image(const std::string& data, v1::OutputFormat format) {
    v1::GenerateEvent event;
    event.mutable_image()->set_format(format);
    event.mutable_image()->set_width(64);
    event.mutable_image()->set_height(64);
    event.mutable_image()->set_total_bytes(static_cast<int>(data.size()));
    event.mutable_image()->set_data(data);
    return event;
  }

  // The events of an image in parts of `part_bytes`.
  static std::vector<v1::GenerateEvent> InParts(const v1::GenerateEvent& whole, size_t part_bytes) {
    const bool latent = whole.image().has_latents();
    const std::string data = latent ? whole.image().latents().data() : whole.image().data();
    std::vector<v1::GenerateEvent> events;
    for (size_t offset = 0; offset < data.size(); offset += part_bytes) {
      v1::GeneratedImage& part = *events.emplace_back(whole).mutable_image();
      part.set_data_offset(static_cast<int>(offset));
      (latent ? *part.mutable_latents()->mutable_data() : *part.mutable_data()) =
          data.substr(offset, part_bytes);
    }
    events.push_back(Completed());
    return events;
  }

  v1::OutputFormat FormatFor(const std::vector<std::string>& flags) {
    Serve({.events = {Completed()}});
    std::vector<std::string> arguments = {"generate", "cat"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    Run(arguments);
    return server_->received().generate.output().format();
  }
};

TEST_F(ResultFilesTest, AnImageInPartsBecomesOneFile) {
  const std::string data(100'000, 'x');
  Serve({.events = InParts(Image(data, v1::OUTPUT_FORMAT_WEBP), 4096)});
  const auto program = Run({"generate", "cat", "--output", Path("cat.webp"), "--json"});
  EXPECT_EQ(Read("cat.webp"), data);
  EXPECT_EQ(nlohmann::json::parse(program->Output())["images"][0]["format"], "webp");
}

TEST_F(ResultFilesTest, LatentsInPartsBecomeOneTensorFile) {
  v1::GenerateEvent event;
  event.mutable_image()->set_format(v1::OUTPUT_FORMAT_LATENT);
  v1::FloatTensor& latents = *event.mutable_image()->mutable_latents();
  for (const int size : {4, 8, 8}) latents.add_shape(size);
  for (int i = 0; i < 4 * 4 * 8 * 8; ++i) *latents.mutable_data() += static_cast<char>(i);
  event.mutable_image()->set_total_bytes(static_cast<int>(latents.data().size()));
  Serve({.events = InParts(event, 1000)});
  Run({"generate", "cat", "--output", Path("cat.npy")});
  const absl::StatusOr<v1::FloatTensor> written = ParseNpy(Read("cat.npy"));
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->SerializeAsString(), latents.SerializeAsString());
  EXPECT_EQ(server_->received().generate.output().format(), v1::OUTPUT_FORMAT_LATENT);
}

TEST_F(ResultFilesTest, LatentsOfAnotherSizeThanTheirShapeAreAnError) {
  v1::GenerateEvent event;
  event.mutable_image()->mutable_latents()->add_shape(2);
  event.mutable_image()->mutable_latents()->set_data("abcd");
  event.mutable_image()->set_total_bytes(4);
  Serve({.events = {event, Completed()}});
  const auto program = Start({"generate", "cat", "--output", Path("cat.npy")});
  EXPECT_EQ(program->Wait(), kExitError);
  EXPECT_THAT(program->ErrorOutput(), HasSubstr("kandinsky: DATA_LOSS: "));
  EXPECT_FALSE(fs::exists(Path("cat.npy")));
}

TEST_F(ResultFilesTest, TheFormatIsThatOfTheExtensionUnlessItIsGiven) {
  EXPECT_EQ(FormatFor({"-o", Path("a.png")}), v1::OUTPUT_FORMAT_PNG);
  EXPECT_EQ(FormatFor({"-o", Path("a.JPG")}), v1::OUTPUT_FORMAT_JPEG);
  EXPECT_EQ(FormatFor({"-o", Path("a.jpeg")}), v1::OUTPUT_FORMAT_JPEG);
  EXPECT_EQ(FormatFor({"-o", Path("a.webp")}), v1::OUTPUT_FORMAT_WEBP);
  EXPECT_EQ(FormatFor({"-o", Path("a.rgb")}), v1::OUTPUT_FORMAT_RAW_RGB);
  EXPECT_EQ(FormatFor({"-o", Path("a.npy")}), v1::OUTPUT_FORMAT_LATENT);
  EXPECT_EQ(FormatFor({"-o", Path("a")}), v1::OUTPUT_FORMAT_PNG);
  EXPECT_EQ(FormatFor({"-o", "/dev/null"}), v1::OUTPUT_FORMAT_PNG);
  EXPECT_EQ(FormatFor({"-o", Path("a.b"), "--format", "raw"}), v1::OUTPUT_FORMAT_RAW_RGB);
  EXPECT_EQ(FormatFor({"-o", Path("a.jpeg"), "--format", "jpeg"}), v1::OUTPUT_FORMAT_JPEG);
}

TEST_F(ResultFilesTest, AFileIsNeverCalledWhatItIsNot) {
  Serve({.events = {Completed()}});
  const std::string extensions = ".png, .jpg, .jpeg, .webp, .rgb, .raw or .npy";
  for (const char* extension :
       {".avif", ".gif", ".tif", ".TIFF", ".bmp", ".heic", ".jxl", ".b", ".json", ".pnng"}) {
    const std::string path = Path(std::string("a") + extension);
    const std::string lower = absl::AsciiStrToLower(extension);
    EXPECT_EQ(UsageError({"generate", "cat", "-o", path}),
              "kandinsky: --output: " + path + ": " + lower + " is not an extension that is known; name it " +
                  extensions + ", or give --format\n");
  }
  EXPECT_EQ(UsageError({"generate", "cat", "-o", "a.avif", "--format", "png"}),
            "kandinsky: --output: a.avif: its content would not be what .avif says; name it .png\n");
  EXPECT_EQ(UsageError({"generate", "cat", "-o", "a.png", "--format", "jpeg"}),
            "kandinsky: --output: a.png: its content would not be what .png says; name it .jpg or .jpeg\n");
  const std::vector<std::vector<std::string>> wrong = {
      {"generate", "cat", "--preview-to", "p-{step}.jpg"},
      {"generate", "--mix-text", "cat", "-o", "a.gif"},
      {"latents", "encode", "a.png", "-o", "a.png"},
      {"latents", "encode", "a.png", "-o", "a.npz"},
      {"latents", "decode", "a.npy", "-o", "a.tiff"},
      {"latents", "decode", "a.npy", "-o", "a.png", "--format", "float"},
      {"latents", "decode", "a.npy", "-o", "a.npy", "--format", "png"},
      {"embed", "text", "cat", "-o", "a.npy"},
      {"embed", "text", "cat", "--hidden-states", "a.json"},
      {"embed", "image", "a.png", "-o", "a.png"},
      {"embed", "prompt", "cat", "-o", "a.jpg"},
      {"get", "a", "-o", "a.avif"}};
  for (const std::vector<std::string>& arguments : wrong) {
    EXPECT_THAT(UsageError(arguments), HasSubstr("; name it ")) << testing::PrintToString(arguments);
  }
}

TEST_F(ResultFilesTest, SeedsCountTheFiles) {
  std::vector<v1::GenerateEvent> events = {Image("first", v1::OUTPUT_FORMAT_PNG),
                                           Image("second", v1::OUTPUT_FORMAT_PNG), Completed()};
  events[1].mutable_image()->set_index(1);
  Serve({.events = events});
  Run({"generate", "cat", "--seeds", "5,9", "--output", Path("cat.png")});
  EXPECT_EQ(Read("cat-0.png"), "first");
  EXPECT_EQ(Read("cat-1.png"), "second");
}

TEST_F(ResultFilesTest, AnEndWithoutEveryImageIsAnError) {
  v1::GenerateEvent completed = Completed();
  completed.mutable_completed()->add_seeds(7);
  completed.mutable_completed()->add_seeds(8);
  Serve({.events = {Image("first", v1::OUTPUT_FORMAT_PNG), completed}});
  const auto program = Start({"generate", "cat", "--count", "2", "--output", Path("cat.png")});
  EXPECT_EQ(program->Wait(), kExitError);
  EXPECT_EQ(program->ErrorOutput(), "kandinsky: DATA_LOSS: 1 of 2 images came\n");
  EXPECT_EQ(Read("cat-0.png"), "first");
}

TEST_F(ResultFilesTest, PreviewsWithAStepInTheirNameAreAllKept) {
  Serve({.events = {Preview(0, 5, "a"), Preview(0, 10, "b"), Preview(1, 5, "c"), Completed()}});
  Run({"generate", "cat", "--count", "2", "--preview-to", Path("p-{image}-{step}.png"), "--output",
       Path("cat.png")});
  EXPECT_EQ(Read("p-0-0005.png"), "a");
  EXPECT_EQ(Read("p-0-0010.png"), "b");
  EXPECT_EQ(Read("p-1-0005.png"), "c");
  EXPECT_EQ(server_->received().generate.preview().every_steps(), 5);
}

TEST_F(ResultFilesTest, ARequestThatIsOnlyValidatedSaysWhatItWouldTake) {
  v1::GenerateEvent event;
  v1::GenerationSummary& summary = *event.mutable_completed();
  summary.set_model("tiny");
  summary.add_seeds(7);
  summary.add_seeds(8);
  summary.mutable_estimated_wait()->set_seconds(3);
  summary.mutable_estimated_work()->set_nanos(500'000'000);
  v1::PromptTruncation& truncation = *summary.add_truncations();
  truncation.set_field("prompt");
  truncation.set_tokens(90);
  truncation.set_kept_tokens(77);
  Serve({.events = {event}});
  const auto text = Run({"generate", "cat", "--validate-only"});
  EXPECT_TRUE(server_->received().generate.validate_only());
  EXPECT_EQ(text->Output(), "valid: model tiny, seed 7 8, wait about 3.0 s, work about 0.5 s\n");
  EXPECT_THAT(text->ErrorOutput(), HasSubstr("prompt was cut from 90 to 77 tokens\n"));
  const nlohmann::json json =
      nlohmann::json::parse(Run({"generate", "cat", "--validate-only", "--json"})->Output());
  EXPECT_EQ(json["valid"], true);
  EXPECT_THAT(json["seeds"], ElementsAre("7", "8"));
  EXPECT_EQ(json["estimated_wait_seconds"], 3);
  EXPECT_EQ(json["estimated_work_seconds"], 0.5);
  EXPECT_EQ(json["truncations"][0]["tokens"], 90);
  EXPECT_FALSE(fs::exists(Path("image.png")));
  // No file is written, so it does not matter whether one could be.
  fs::create_directory(Path("image.png"));
  Run({"generate", "cat", "--validate-only"});
}

}  // namespace
}  // namespace kandinsky::client
