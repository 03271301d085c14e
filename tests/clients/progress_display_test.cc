#include "clients/cpp/progress_display.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace kandinsky::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::ProgressEvent Progress(v1::Stage stage, int step, int total_steps, int image = 0) {
  v1::ProgressEvent event;
  event.set_stage(stage);
  event.set_step(step);
  event.set_total_steps(total_steps);
  event.set_image_index(image);
  return event;
}

TEST(ProgressDisplayTest, WritesPlainLinesWithoutATerminal) {
  std::ostringstream out;
  ProgressDisplay display(out, /*terminal=*/false, 1);
  v1::QueuedEvent queued;
  queued.set_position(3);
  queued.mutable_estimated_wait()->set_seconds(12);
  display.OnQueued(queued);
  v1::StartedEvent started;
  started.set_worker("worker-0");
  started.set_device("cpu");
  display.OnStarted(started);
  display.OnProgress(Progress(v1::STAGE_DENOISE, 25, 50));
  display.Clear();
  EXPECT_EQ(out.str(), "queued, 3 ahead, about 12.0 s\nstarted by worker-0 on cpu\n 55 %  denoise 25/50\n");
}

TEST(ProgressDisplayTest, TellsBatchAndRemainingTime) {
  v1::ProgressEvent event = Progress(v1::STAGE_DENOISE, 25, 50, /*image=*/1);
  event.set_batch_rows(4);
  event.mutable_estimated_remaining()->set_seconds(12);
  event.mutable_estimated_remaining()->set_nanos(500'000'000);
  EXPECT_EQ(DescribeProgress(event, 1), "denoise 25/50, batch of 4, about 12.5 s");
  EXPECT_EQ(DescribeProgress(event, 2), "denoise 25/50 of image 1, batch of 4, about 12.5 s");
}

TEST(ProgressDisplayTest, WritesALineForEachPlaceInTheQueueNotForEachEstimate) {
  std::ostringstream out;
  ProgressDisplay display(out, /*terminal=*/false, 1);
  for (const auto& [position, seconds] : {std::pair(2, 9), std::pair(2, 8), std::pair(1, 5)}) {
    v1::QueuedEvent queued;
    queued.set_position(position);
    queued.mutable_estimated_wait()->set_seconds(seconds);
    display.OnQueued(queued);
  }
  EXPECT_EQ(out.str(), "queued, 2 ahead, about 9.0 s\nqueued, 1 ahead, about 5.0 s\n");
}

TEST(ProgressDisplayTest, StaysWithinTheBarWhateverTheServerSays) {
  std::ostringstream out;
  ProgressDisplay display(out, /*terminal=*/true, 1, [] { return 80; });
  display.OnProgress(Progress(v1::STAGE_DECODE, 1000, 1));
  EXPECT_THAT(out.str(), HasSubstr("] 100 %"));
  display.OnProgress(Progress(v1::STAGE_ENCODE, -1000, 1));
  EXPECT_THAT(out.str(), HasSubstr("]   0 %"));
}

TEST(ProgressDisplayTest, WritesNotEveryStepAsALine) {
  std::ostringstream out;
  ProgressDisplay display(out, /*terminal=*/false, 1);
  for (int step = 1; step <= 1000; ++step) display.OnProgress(Progress(v1::STAGE_DENOISE, step, 1000));
  const std::string text = out.str();
  const auto lines = std::count(text.begin(), text.end(), '\n');
  EXPECT_GE(lines, 8);
  EXPECT_LE(lines, 11);
}

TEST(ProgressDisplayTest, RedrawsOneLineOnATerminal) {
  std::ostringstream out;
  ProgressDisplay display(out, /*terminal=*/true, 1, [] { return 80; });
  display.OnProgress(Progress(v1::STAGE_PRIOR, 1, 25));
  display.OnProgress(Progress(v1::STAGE_DENOISE, 50, 50));
  EXPECT_THAT(out.str(), Not(HasSubstr("\n")));
  EXPECT_THAT(out.str(), HasSubstr("\r\x1b[K[............................"));
  EXPECT_THAT(out.str(), HasSubstr("\r\x1b[K[############################..]  95 %  denoise 50/50"));
  display.Clear();
  EXPECT_THAT(out.str(), testing::EndsWith("\r\x1b[K"));
}

TEST(ProgressDisplayTest, TheLineIsNarrowerThanTheTerminalIsNow) {
  v1::ProgressEvent event = Progress(v1::STAGE_DENOISE, 100, 100, /*image=*/1);
  event.set_batch_rows(16);
  event.mutable_estimated_remaining()->set_seconds(1234);
  int columns = 0;
  std::ostringstream out;
  ProgressDisplay display(out, /*terminal=*/true, 2, [&] { return columns; });
  for (columns = 200; columns > 0; --columns) {
    out.str("");
    display.OnProgress(event);
    const std::string line = out.str().substr(4);  // behind "\r\x1b[K"
    EXPECT_LT(line.size(), static_cast<size_t>(columns));
    if (columns >= 72) {
      EXPECT_THAT(line, HasSubstr("#"));
      EXPECT_THAT(line, testing::EndsWith("about 1234.0 s"));
    }
  }
}

TEST(ProgressDisplayTest, WideCharactersAreCutAsWholesAndCountTwice) {
  EXPECT_EQ(CutToColumns("abc", 3), "abc");
  EXPECT_EQ(CutToColumns("abc", 2), "ab");
  EXPECT_EQ(CutToColumns("abc", 0), "");
  EXPECT_EQ(CutToColumns("abc", -1), "");
  EXPECT_EQ(CutToColumns("a猫b", 4), "a猫b");
  EXPECT_EQ(CutToColumns("a猫b", 3), "a猫");
  EXPECT_EQ(CutToColumns("a猫b", 2), "a");
  EXPECT_EQ(CutToColumns("\xff\x80\x80z", 2), "\xff\x80\x80");
}

TEST(ProgressDisplayTest, NamesFromTheServerDoNotMoveTheCursor) {
  std::ostringstream out;
  ProgressDisplay display(out, /*terminal=*/false, 1);
  v1::StartedEvent started;
  started.set_worker("a\nb\x1b[2J");
  started.set_device(
      "\xc2\x9b"
      "c");
  display.OnStarted(started);
  EXPECT_EQ(out.str(), "started by a b [2J on   c\n");
}

TEST(ProgressDisplayTest, SeveralImagesMakeOneWhole) {
  std::ostringstream out;
  ProgressDisplay display(out, /*terminal=*/false, 2);
  display.OnProgress(Progress(v1::STAGE_DECODE, 1, 1, /*image=*/0));
  EXPECT_THAT(out.str(), HasSubstr(" 50 %  decode 1/1 of image 0"));
  display.OnProgress(Progress(v1::STAGE_DECODE, 1, 1, /*image=*/1));
  EXPECT_THAT(out.str(), HasSubstr("100 %  decode 1/1 of image 1"));
}

TEST(ProgressDisplayTest, IgnoresAnImageOrStageThatItDoesNotKnow) {
  std::ostringstream out;
  ProgressDisplay display(out, /*terminal=*/true, 1, [] { return 80; });
  display.OnProgress(Progress(v1::STAGE_DENOISE, 1, 0, /*image=*/7));
  display.OnProgress(Progress(static_cast<v1::Stage>(99), 1, 2));
  EXPECT_THAT(out.str(), HasSubstr("  0 %"));
}

}  // namespace
}  // namespace kandinsky::client
