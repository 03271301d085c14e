#include "training/dataset/caption_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/training/dataset/dataset_folder.h"

namespace kandinsky::training {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> ImagesOf(const absl::StatusOr<CaptionDataset>& dataset) {
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  std::vector<std::string> images;
  if (!dataset.ok()) return images;
  for (const TrainingSample& sample : dataset->samples) images.push_back(sample.image_path);
  return images;
}

std::string ErrorOf(const DataSource& source) {
  const absl::Status status = ReadCaptionDataset(source).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  return std::string(status.message());
}

TEST(CaptionDatasetTest, AFolderHoldsImagesWithCaptionsBesideThem) {
  const DatasetFolder folder;
  folder.SomeImage("b.png");
  folder.Write("b.txt", "\xEF\xBB\xBF  a bird,\nflying \n");
  folder.SomeImage("in/c.JPG");
  folder.Write("in/c.txt", "a cat");
  folder.SomeImage("a.webp");
  folder.Write("a.txt", "an ape");
  folder.SomeImage("d.jpeg");
  folder.Write("d.txt", "a dog");
  folder.Write("readme.md", "no image");
  const auto dataset = ReadCaptionDataset({.path = folder.path()});
  EXPECT_THAT(ImagesOf(dataset), ElementsAre(folder.Path("a.webp"), folder.Path("b.png"),
                                             folder.Path("d.jpeg"), folder.Path("in/c.JPG")));
  EXPECT_THAT(dataset->samples[1].captions, ElementsAre("a bird,\nflying"));
  EXPECT_EQ(dataset->samples[1].source, folder.Path("b.txt"));
  EXPECT_EQ(dataset->samples[1].line, 0);
  EXPECT_EQ(PlaceOf(dataset->samples[1]), folder.Path("b.txt"));
}

TEST(CaptionDatasetTest, HiddenFilesAndFoldersAreLeftOut) {
  const DatasetFolder folder;
  folder.SomeImage("a.png");
  folder.SomeImage("._a.png");
  folder.SomeImage(".cache/b.png");
  EXPECT_THAT(ImagesOf(ReadCaptionDataset({.path = folder.path(), .captions_required = false})),
              ElementsAre(folder.Path("a.png")));
}

TEST(CaptionDatasetTest, LinksToImagesCountAndBrokenOnesDoNot) {
  const DatasetFolder folder;
  const DatasetFolder elsewhere;
  std::filesystem::create_symlink(elsewhere.SomeImage("x.png"), folder.Path("a.png"));
  std::filesystem::create_symlink(folder.Path("nothing"), folder.Path("b.png"));
  std::filesystem::create_directory_symlink(elsewhere.path(), folder.Path("loop"));
  EXPECT_THAT(ImagesOf(ReadCaptionDataset({.path = folder.path(), .captions_required = false})),
              ElementsAre(folder.Path("a.png")));
}

TEST(CaptionDatasetTest, CaptionsInAFolderMayBeAbsentWhereNoneAreRequired) {
  const DatasetFolder folder;
  folder.SomeImage("a.png");
  folder.SomeImage("b.png");
  folder.Write("b.txt", "");
  folder.SomeImage("c.png");
  folder.Write("c.txt", "a cat");
  const auto dataset = ReadCaptionDataset({.path = folder.path(), .captions_required = false});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->samples[0].captions, IsEmpty());
  EXPECT_EQ(dataset->samples[0].source, folder.Path("a.png"));
  EXPECT_THAT(dataset->samples[1].captions, IsEmpty());
  EXPECT_THAT(dataset->samples[2].captions, ElementsAre("a cat"));
}

TEST(CaptionDatasetTest, NamesEveryCaptionOfAFolderThatIsWrong) {
  const DatasetFolder folder;
  for (const char* name : {"a.png", "b.png", "c.png", "d.png", "e.png"}) folder.SomeImage(name);
  folder.Write("a.txt", "fine");
  folder.Write("b.txt", " \n");
  folder.Write("c.txt", "\xFF");
  folder.Write("e.txt", std::string((64 << 10) + 1, 'x'));
  EXPECT_EQ(ErrorOf({.path = folder.path()}), folder.Path("b.txt") + ": the caption is empty\n" +
                                                  folder.Path("c.txt") + ": the caption is not UTF-8\n" +
                                                  folder.Path("d.png") + ": its caption is missing, " +
                                                  folder.Path("d.txt") + "\n" + folder.Path("e.txt") +
                                                  " has 65537 bytes, more than the limit of 65536");
}

TEST(CaptionDatasetTest, TheFirstImagesAreTakenAndLookedAtAlone) {
  const DatasetFolder folder;
  folder.SomeImage("b.png");
  folder.SomeImage("a.png");
  folder.Write("a.txt", "x");
  EXPECT_THAT(ImagesOf(ReadCaptionDataset({.path = folder.path(), .max_samples = 1})),
              ElementsAre(folder.Path("a.png")));
}

TEST(CaptionDatasetTest, AFolderWithMetadataIsReadByIt) {
  const DatasetFolder folder;
  folder.SomeImage("a.png");
  folder.SomeImage("in/b.png");
  folder.SomeImage("unnamed.png");
  const std::string json = folder.Write(
      "metadata.jsonl",
      "{\"file_name\": \"in/b.png\", \"text\": \"b\"}\n{\"file_name\": \"a.png\", \"text\": \"a\"}");
  const auto dataset = ReadCaptionDataset({.path = folder.path()});
  EXPECT_THAT(ImagesOf(dataset), ElementsAre(folder.Path("in/b.png"), folder.Path("a.png")));
  EXPECT_EQ(PlaceOf(dataset->samples[1]), json + ":2");
  std::filesystem::remove(json);
  folder.Write("metadata.csv", "file_name,words\na.png,x\n");
  EXPECT_THAT(ImagesOf(ReadCaptionDataset({.path = folder.path(), .caption_column = "words"})),
              ElementsAre(folder.Path("a.png")));
}

TEST(CaptionDatasetTest, SaysWhatAFolderHoldsThatNothingIsLearnedFrom) {
  const DatasetFolder folder;
  folder.SomeImage("a.png");
  folder.Write("a.txt", "x");
  EXPECT_THAT(ReadCaptionDataset({.path = folder.path()})->notes, IsEmpty());
  folder.SomeImage("a.jpg");
  folder.SomeImage("b.gif");
  folder.SomeImage("c.GIF");
  folder.Write("b.txt", "a caption of a file that is no image here");
  for (const char* name : {"m.txt", "n.txt", "o.txt"}) folder.Write(name, "x");
  folder.Write("notes", "x");
  EXPECT_THAT(
      ReadCaptionDataset({.path = folder.path()})->notes,
      ElementsAre("passed over, since they are no .png, .jpg, .jpeg or .webp: 1 without an extension (" +
                      folder.Path("notes") + "), 2 .gif (" + folder.Path("b.gif") + ", ...)",
                  "captions without an image of their name: " + folder.Path("b.txt") + ", " +
                      folder.Path("m.txt") + ", " + folder.Path("n.txt") + " and 1 more",
                  "images that share the caption of another of their name: " + folder.Path("a.png")));
}

TEST(CaptionDatasetTest, SaysWhatATableInAFolderLeavesOut) {
  const DatasetFolder folder;
  folder.SomeImage("a.png");
  folder.Write("a.txt", "another caption than that of the table");
  folder.SomeImage("in/b.png");
  folder.SomeImage("c.png");
  folder.SomeImage("hint.png");
  folder.Write("metadata.csv", "file_name,text,hint\n./a.png,x,hint.png\n");
  EXPECT_THAT(
      ReadCaptionDataset({.path = folder.path()})->notes,
      ElementsAre("images that metadata.csv does not name, passed over: " + folder.Path("c.png") + ", " +
                      folder.Path("in/b.png"),
                  "captions that are not read, since metadata.csv has them: " + folder.Path("a.txt")));
  EXPECT_THAT(ReadCaptionDataset({.path = folder.path(), .max_samples = 1})->notes, IsEmpty());
}

TEST(CaptionDatasetTest, TwoTablesInAFolderAreOneTooMany) {
  const DatasetFolder folder;
  folder.Write("metadata.csv", "");
  folder.Write("metadata.jsonl", "");
  EXPECT_THAT(ErrorOf({.path = folder.path()}), HasSubstr("both metadata.csv and metadata.jsonl"));
}

TEST(CaptionDatasetTest, RefusesWhatIsNoDataset) {
  const DatasetFolder folder;
  EXPECT_EQ(ErrorOf({.path = folder.path()}),
            folder.path() + ": there are no images in it (.png, .jpg, .jpeg, .webp)");
  const std::string text = folder.Write("t.txt", "x");
  EXPECT_EQ(ErrorOf({.path = text}), text + ": a dataset is a folder, a .csv or a .jsonl file");
  for (const char* name : {"none", "none.csv", "none.jsonl"}) {
    const absl::Status status = ReadCaptionDataset({.path = folder.Path(name)}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(status.message(), folder.Path(name) + ": there is no such file or folder");
  }
}

TEST(CaptionDatasetTest, AFolderMayHaveTheNameOfATable) {
  const DatasetFolder folder;
  folder.SomeImage("set.csv/a.png");
  folder.Write("set.csv/a.txt", "x");
  EXPECT_THAT(ImagesOf(ReadCaptionDataset({.path = folder.Path("set.csv")})),
              ElementsAre(folder.Path("set.csv/a.png")));
}

}  // namespace
}  // namespace kandinsky::training
