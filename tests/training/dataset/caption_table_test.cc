#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/training/dataset/dataset_folder.h"
#include "training/dataset/caption_dataset.h"

namespace kandinsky::training {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

class CaptionTableTest : public testing::Test {
 protected:
  CaptionTableTest() {
    folder_.SomeImage("a.png");
    folder_.SomeImage("pics/b.jpg");
  }

  std::vector<TrainingSample> Read(const DataSource& source) {
    auto dataset = ReadCaptionDataset(source);
    EXPECT_TRUE(dataset.ok()) << dataset.status();
    return dataset.ok() ? std::move(dataset->samples) : std::vector<TrainingSample>();
  }

  // The error of a table with this content, with "T" for its path.
  std::string ErrorOf(const std::string& name, const std::string& content, DataSource source = {}) {
    source.path = folder_.Write(name, content);
    const absl::Status status = ReadCaptionDataset(source).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    std::string message(status.message());
    for (size_t at; (at = message.find(source.path)) != std::string::npos;) {
      message.replace(at, source.path.size(), "T");
    }
    return message;
  }

  DatasetFolder folder_;
};

TEST_F(CaptionTableTest, ReadsCsvRelativeToItself) {
  const std::string table =
      folder_.Write("t.csv", "id,image,text\n1,a.png,A cat\n2,pics/b.jpg,\"One, two\nand \"\"three\"\"\"\n");
  const auto samples = Read({.path = table});
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[0].image_path, folder_.Path("a.png"));
  EXPECT_THAT(samples[0].captions, ElementsAre("A cat"));
  EXPECT_EQ(samples[1].image_path, folder_.Path("pics/b.jpg"));
  EXPECT_THAT(samples[1].captions, ElementsAre("One, two\nand \"three\""));
  EXPECT_EQ(samples[1].source, table);
  EXPECT_EQ(samples[1].line, 3);
  EXPECT_EQ(PlaceOf(samples[1]), table + ":3");
}

TEST_F(CaptionTableTest, ReadsJsonLinesWithOneCaptionOrMore) {
  const std::string table = folder_.Write("t.jsonl",
                                          "{\"image\": \"a.png\", \"text\": \"A cat\", \"other\": [1]}\n\n"
                                          "{\"image\": \"pics/b.jpg\", \"text\": [\" x \", \"caf\\u00e9\"]}");
  const auto samples = Read({.path = table});
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_THAT(samples[0].captions, ElementsAre("A cat"));
  EXPECT_THAT(samples[1].captions, ElementsAre("x", "caf\xC3\xA9"));
  EXPECT_EQ(samples[1].image_path, folder_.Path("pics/b.jpg"));
  EXPECT_EQ(samples[1].line, 3);
}

TEST_F(CaptionTableTest, TakesAbsolutePathsAndPathsAboveTheTable) {
  const std::string absolute = folder_.Path("a.png");
  const auto samples =
      Read({.path = folder_.Write("tables/t.csv", "image,text\n" + absolute + ",x\n../pics/b.jpg,y\n")});
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[0].image_path, absolute);
  EXPECT_EQ(samples[1].image_path, folder_.Path("tables/../pics/b.jpg"));
}

TEST_F(CaptionTableTest, FindsTheNamedColumns) {
  const DataSource source = {.path = "", .image_column = "photo", .caption_column = "words"};
  DataSource csv = source;
  csv.path = folder_.Write("t.csv", "image,text,words,photo\nno,no,yes,a.png\n");
  EXPECT_THAT(Read(csv).at(0).captions, ElementsAre("yes"));
  DataSource json = source;
  json.path = folder_.Write("t.jsonl", R"({"image": "no", "photo": "a.png", "words": "yes"})");
  EXPECT_THAT(Read(json).at(0).captions, ElementsAre("yes"));
}

TEST_F(CaptionTableTest, TakesTheNamesOfTheReferenceImplementation) {
  EXPECT_THAT(Read({.path = folder_.Write("t.csv", "image_name,caption\na.png,A cat\n")}).at(0).captions,
              ElementsAre("A cat"));
  EXPECT_THAT(Read({.path = folder_.Write("t.jsonl", R"({"file_name": "a.png", "caption": "A cat"})")})
                  .at(0)
                  .captions,
              ElementsAre("A cat"));
}

TEST_F(CaptionTableTest, PassesOverAByteOrderMark) {
  const std::string mark = "\xEF\xBB\xBF";
  EXPECT_EQ(Read({.path = folder_.Write("t.csv", mark + "image,text\na.png,x\n")}).size(), 1u);
  EXPECT_EQ(Read({.path = folder_.Write("t.jsonl", mark + R"({"image": "a.png", "text": "x"})")}).size(), 1u);
}

TEST_F(CaptionTableTest, ReadsLineEndsOfWindows) {
  EXPECT_THAT(
      Read({.path = folder_.Write("t.csv", "image,text\r\na.png,x\r\npics/b.jpg,y\r\n")}).at(1).captions,
      ElementsAre("y"));
  EXPECT_THAT(Read({.path = folder_.Write("t.jsonl", "{\"image\": \"a.png\", \"text\": \"x\"}\r\n\r\n")})
                  .at(0)
                  .captions,
              ElementsAre("x"));
}

TEST_F(CaptionTableTest, ReadsNoMoreThanAskedFor) {
  const std::string csv = folder_.Write("t.csv", "image,text\na.png,x\npics/b.jpg,y\nmissing.png,\n");
  EXPECT_EQ(Read({.path = csv, .max_samples = 1}).size(), 1u);
  EXPECT_EQ(Read({.path = csv, .max_samples = 2}).size(), 2u);
  const std::string json = folder_.Write("t.jsonl", "{\"image\": \"a.png\", \"text\": \"x\"}\nnot JSON\n");
  EXPECT_EQ(Read({.path = json, .max_samples = 1}).size(), 1u);
}

TEST_F(CaptionTableTest, NeedsNoCaptionsWhereNoneAreRequired) {
  for (const char* content : {"image\na.png\n", "image,text\na.png,\n"}) {
    EXPECT_THAT(Read({.path = folder_.Write("t.csv", content), .captions_required = false}).at(0).captions,
                IsEmpty());
  }
  for (const char* content :
       {R"({"image": "a.png"})", R"({"image": "a.png", "text": ""})", R"({"image": "a.png", "text": null})",
        R"({"image": "a.png", "text": []})", R"({"image": "a.png", "text": [" "]})"}) {
    EXPECT_THAT(Read({.path = folder_.Write("t.jsonl", content), .captions_required = false}).at(0).captions,
                IsEmpty());
  }
}

TEST_F(CaptionTableTest, NamesTheColumnThatIsMissing) {
  EXPECT_EQ(ErrorOf("t.csv", "id,text\n1,x\n"),
            "T:1: no column \"image\" nor \"file_name\" nor \"image_name\"; the header has id, text");
  EXPECT_EQ(ErrorOf("t.csv", "\nimage,words\na.png,x\n"),
            "T:2: no column \"text\" nor \"caption\"; the header has image, words");
  EXPECT_EQ(ErrorOf("t.csv", "image,text,image\na.png,x,a.png\n"),
            "T:1: the header has the column \"image\" twice");
  EXPECT_EQ(ErrorOf("t.csv", "image,t\xFFxt\na.png,x\n"), "T:1: the header is not UTF-8");
  EXPECT_EQ(ErrorOf("t.csv", "image,caption\na.png,\n", {.path = "", .caption_column = "caption"}),
            "T:2: the caption is empty");
}

TEST_F(CaptionTableTest, NamesTheRowsOfACsvThatAreWrong) {
  EXPECT_EQ(ErrorOf("t.csv", "image,text\n,x\na.png,\na.png,\" \n \"\n"),
            "T:2: the image's path is empty\nT:3: the caption is empty\nT:4: the caption is empty");
  EXPECT_EQ(ErrorOf("t.csv", "image,text\nnone.png,x\npics,y\n"),
            "T:2: there is no image " + folder_.Path("none.png") + "\nT:3: the image " +
                folder_.Path("pics") + " is not a regular file");
  EXPECT_EQ(ErrorOf("t.csv", "image,text\na.png,x,y\na.png\n"),
            "T:2: the record has 3 fields, the header has 2\nT:3: the record has 1 fields, the header has 2");
  EXPECT_EQ(ErrorOf("t.csv", "image,text\na.png,\xC3\n\xFF.png,x\n"),
            "T:2: the caption is not UTF-8\nT:3: the image's path is not UTF-8");
  EXPECT_EQ(ErrorOf("t.csv", std::string("image,text\na.png,a\0b\n", 21)),
            "T:2: the caption has a NUL character");
  EXPECT_EQ(ErrorOf("t.csv", "image,text\na.png,\"x\n"), "T:2: a quote of this record is not closed");
}

TEST_F(CaptionTableTest, NamesTheLinesOfAJsonFileThatAreWrong) {
  const std::string good = "{\"image\": \"a.png\", \"text\": \"x\"}\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{'image': 1}", "T:2: not valid JSON at byte 2"},
      {"[1]", "T:2: the line is no JSON object"},
      {R"({"text": "x"})", "T:2: no key \"image\" nor \"file_name\" nor \"image_name\""},
      {R"({"image": 1, "text": "x"})", "T:2: the image's path is no string"},
      {R"({"image": "", "text": "x"})", "T:2: the image's path is empty"},
      {R"({"image": "a.png"})", "T:2: no key \"text\" nor \"caption\""},
      {R"({"image": "a.png", "text": null})", "T:2: no key \"text\" nor \"caption\""},
      {R"({"image": "a.png", "text": 5})", "T:2: the caption is neither a string nor a list of strings"},
      {R"({"image": "a.png", "text": ["x", 5]})",
       "T:2: the caption is neither a string nor a list of strings"},
      {R"({"image": "a.png", "text": []})", "T:2: there is no caption"},
      {R"({"image": "a.png", "text": ["x", ""]})", "T:2: the caption is empty"},
      {R"({"image": "a.png", "text": "a\u0000b"})", "T:2: the caption has a NUL character"},
      {R"({"image": "a.png", "image": "a.png", "text": "x"})", "T:2: key \"image\" appears twice"},
      {"{\"image\": \"a.png\", \"text\": \"\xFF\"}", "T:2: the line is not UTF-8"},
      {"{\"image\": \"none.png\", \"text\": \"x\"}", "T:2: there is no image " + folder_.Path("none.png")}};
  for (const auto& [line, complaint] : cases) {
    EXPECT_EQ(ErrorOf("t.jsonl", good + line + "\n" + good), complaint) << line;
  }
  EXPECT_EQ(ErrorOf("t.jsonl", good + std::string(1 << 20, ' ') + "x\n"),
            "T:2: the line has more than 1048576 bytes");
}

TEST_F(CaptionTableTest, ListsTwentyProblemsAndCountsTheOthers) {
  std::string table = "image,text\n";
  for (int i = 0; i < 20; ++i) table += "a.png,\n";
  EXPECT_THAT(ErrorOf("t.csv", table), testing::Not(HasSubstr("more")));
  for (int i = 0; i < 5; ++i) table += "a.png,\n";
  const std::string error = ErrorOf("t.csv", table);
  EXPECT_THAT(error, HasSubstr("\nT:21: the caption is empty\nand 5 more"));
  EXPECT_THAT(error, testing::Not(HasSubstr("T:22")));
}

TEST_F(CaptionTableTest, RefusesATableWithoutSamples) {
  EXPECT_EQ(ErrorOf("t.csv", ""), "T: there is no header line");
  EXPECT_EQ(ErrorOf("t.csv", "image,text\n"), "T: there are no samples in it");
  EXPECT_EQ(ErrorOf("t.jsonl", ""), "T: there are no samples in it");
  EXPECT_EQ(ErrorOf("t.jsonl", "\n \n"), "T: there are no samples in it");
}

TEST_F(CaptionTableTest, SaysWhichOfTwoColumnsForTheSameIsNotRead) {
  const auto notes = [&](const std::string& name, const std::string& content) {
    return ReadCaptionDataset({.path = folder_.Write(name, content)})->notes;
  };
  EXPECT_THAT(notes("t.csv", "image,text\na.png,x\n"), IsEmpty());
  EXPECT_THAT(notes("t.csv", "caption,image_name,file_name,text\nx,a.png,a.png,y\n"),
              ElementsAre("the column \"caption\" is not read, since there is \"text\"",
                          "the column \"image_name\" is not read, since there is \"file_name\""));
  const std::string row = R"({"image": "a.png", "text": "x", "caption": "y"})";
  EXPECT_THAT(notes("t.jsonl", row + "\n" + row),
              ElementsAre("the key \"caption\" is not read, since there is \"text\""));
}

TEST_F(CaptionTableTest, RefusesATableAboveAGibibyte) {
  // A file with a hole takes no room.
  const std::string table = folder_.Write("t.jsonl", "x");
  std::filesystem::resize_file(table, (uintmax_t{1} << 30) + 1);
  EXPECT_THAT(ReadCaptionDataset({.path = table}).status().message(),
              HasSubstr("more than the limit of 1073741824"));
}

TEST_F(CaptionTableTest, HintsAreImagesOfTheirOwnAndMayBeAbsent) {
  const std::string csv = folder_.Write("t.csv", "image,text,depth\na.png,x,pics/b.jpg\na.png,y,\n");
  const auto rows = Read({.path = csv, .hint_column = "depth"});
  EXPECT_THAT(rows.at(0).hint_path, EndsWith("/pics/b.jpg"));
  EXPECT_EQ(rows.at(1).hint_path, "");
  const std::string json = R"({"image": "a.png", "text": "x", "hint": "pics/b.jpg"})";
  EXPECT_THAT(Read({.path = folder_.Write("t.jsonl", json)}).at(0).hint_path, EndsWith("/pics/b.jpg"));
  const std::string missing = R"({"image": "a.png", "text": "x", "hint": "nowhere.png"})";
  EXPECT_THAT(ErrorOf("t.jsonl", missing), HasSubstr("nowhere.png"));
}

}  // namespace
}  // namespace kandinsky::training
