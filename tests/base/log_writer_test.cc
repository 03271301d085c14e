#include "base/log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace kandinsky {
namespace {

std::string Notice(int64_t lost) { return absl::StrCat("lost ", lost, "\n"); }

// A pipe that holds one page.
struct SmallPipe {
  SmallPipe() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    out = ends[0];
    in = ends[1];
    fcntl(in, F_SETPIPE_SZ, 4096);
  }
  int out = -1;
  int in = -1;
};

std::string ReadToEnd(int descriptor) {
  std::string text;
  char block[4096];
  for (ssize_t got = 0; (got = read(descriptor, block, sizeof(block))) > 0;) {
    text.append(block, static_cast<size_t>(got));
  }
  return text;
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

void WriteNumbers(int count, LogWriter& writer) {
  for (int i = 0; i < count; ++i) writer.Write(absl::StrCat("line ", i, "\n"));
}

// What comes out of the pipe while the writer ends.
std::string EndAndRead(std::unique_ptr<LogWriter> writer, SmallPipe& pipe) {
  std::string text;
  std::thread reader([&] { text = ReadToEnd(pipe.out); });
  writer.reset();
  close(pipe.in);
  reader.join();
  close(pipe.out);
  return text;
}

TEST(LogWriterTest, WritesEveryTextInOrder) {
  SmallPipe pipe;
  auto writer = std::make_unique<LogWriter>(pipe.in, Notice);
  WriteNumbers(1000, *writer);
  const std::vector<std::string> lines = Lines(EndAndRead(std::move(writer), pipe));
  ASSERT_EQ(lines.size(), 1000u);
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i], absl::StrCat("line ", i));
}

TEST(LogWriterTest, NeverWaitsForAPipeThatNobodyReadsAndTellsWhatWasLost) {
  constexpr int kCount = 3 * LogWriter::kCapacity;
  SmallPipe pipe;
  auto writer = std::make_unique<LogWriter>(pipe.in, Notice);
  WriteNumbers(kCount, *writer);
  EXPECT_FALSE(writer->Flush(absl::Milliseconds(1)));
  const int64_t lost = writer->lost();
  EXPECT_GE(lost, kCount - static_cast<int>(LogWriter::kCapacity) - 4096);
  int64_t told = 0, whole = 0;
  std::string last;
  for (const std::string& line : Lines(EndAndRead(std::move(writer), pipe))) {
    absl::string_view rest = line;
    if (absl::ConsumePrefix(&rest, "lost ")) {
      told += std::atoi(std::string(rest).c_str());
    } else {
      ++whole;
      last = line;
    }
  }
  EXPECT_EQ(told, lost);
  EXPECT_EQ(whole + lost, kCount);
  EXPECT_EQ(last, absl::StrCat("line ", kCount - 1));  // the newest are kept
}

TEST(LogWriterTest, CountsWhatAFullDiskRefusesAndGoesOnWhenThereIsRoom) {
  SmallPipe pipe;
  const int descriptor = open("/dev/full", O_WRONLY | O_CLOEXEC);
  auto writer = std::make_unique<LogWriter>(descriptor, Notice);
  WriteNumbers(3, *writer);
  EXPECT_TRUE(writer->Flush(absl::InfiniteDuration()));
  EXPECT_EQ(writer->lost(), 3);
  ASSERT_EQ(dup2(pipe.in, descriptor), descriptor);
  writer->Write("room\n");
  EXPECT_TRUE(writer->Flush(absl::InfiniteDuration()));
  close(descriptor);
  EXPECT_EQ(EndAndRead(std::move(writer), pipe), "room\nlost 3\n");
}

TEST(LogWriterTest, CountsWhatAClosedPipeRefuses) {
  SmallPipe pipe;
  close(pipe.out);
  LogWriter writer(pipe.in, Notice);
  WriteNumbers(3, writer);
  EXPECT_TRUE(writer.Flush(absl::InfiniteDuration()));
  EXPECT_EQ(writer.lost(), 3);
  close(pipe.in);
}

TEST(LogWriterTest, WaitsForASlowReaderOfANonBlockingPipe) {
  SmallPipe pipe;
  fcntl(pipe.in, F_SETFL, O_NONBLOCK);
  auto writer = std::make_unique<LogWriter>(pipe.in, Notice);
  WriteNumbers(2000, *writer);
  EXPECT_EQ(Lines(EndAndRead(std::move(writer), pipe)).size(), 2000u);
}

TEST(LogWriterTest, EndsALineThatBrokeOff) {
  const std::string path = absl::StrCat(testing::TempDir(), "/log_writer_test.", getpid());
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  LogWriter writer(descriptor, Notice);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small = {4, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  writer.Write("first line\n");
  EXPECT_TRUE(writer.Flush(absl::InfiniteDuration()));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  writer.Write("second line\n");
  EXPECT_TRUE(writer.Flush(absl::InfiniteDuration()));
  std::ifstream file(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "firs\nsecond line\nlost 1\n");
  close(descriptor);
  unlink(path.c_str());
}

}  // namespace
}  // namespace kandinsky
