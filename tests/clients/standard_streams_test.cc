#include "clients/cpp/standard_streams.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "clients/cpp/embedding_file.h"
#include "clients/cpp/npy.h"
#include "tests/clients/float_tensors.h"
#include "tests/clients/program_test.h"

namespace kandinsky::client {
namespace {

namespace fs = std::filesystem;

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kEmbedding[] = R"({"image_embedding": [1, 2.5]})";

// What the program does with its standard streams.
class StandardStreamsTest : public ProgramTest {
 protected:
  // A server that makes an image of these bytes, and answers every other call.
  static Script Answers(const std::string& image) {
    v1::GenerateEvent event;
    event.mutable_image()->set_format(v1::OUTPUT_FORMAT_PNG);
    event.mutable_image()->set_width(64);
    event.mutable_image()->set_height(64);
    event.mutable_image()->set_total_bytes(static_cast<int>(image.size()));
    event.mutable_image()->set_data(image);
    Script script;
    script.events = {event, Completed()};
    script.embed_text.add_embeddings()->mutable_embedding()->add_values(1);
    script.embed_images.add_embeddings()->add_values(1);
    script.generate_image_embedding.add_embeddings()->mutable_embedding()->add_values(1);
    *script.encode_latents.mutable_latents() = Tensor({4, 1, 1});
    *script.decode_latents.mutable_image() = event.image();
    return script;
  }

  std::string Latents() const { return File("latents.npy", *ToNpy(Tensor({4, 1, 1}))); }

  // A run of every command that prints something, when all goes well.
  std::vector<std::vector<std::string>> EveryCommand() const {
    return {{"generate", "cat", "-o", Path("cat.png")},
            {"generate", "--mix-text", "cat", "-o", Path("cat.png"), "--json"},
            {"embed", "text", "cat"},
            {"embed", "image", File("cat.jpg", "image"), "--json"},
            {"embed", "prompt", "cat", "-o", Path("e.json")},
            {"latents", "encode", File("cat.jpg", "image"), "-o", Path("l.npy")},
            {"latents", "decode", Latents(), "-o", Path("cat.png")},
            {"latents", "decode", Latents(), "-o", "-"},
            {"list"},
            {"cancel", "a"},
            {"generate", "cat", "-o", "/dev/stdout"},
            {"--help"},
            {"generate", "--help"},
            {"--version"}};
  }
};

TEST_F(StandardStreamsTest, ALostStandardOutputIsAnError) {
  Serve(Answers("image"));
  for (const std::vector<std::string>& arguments : EveryCommand()) {
    const auto full = Start(arguments, {.output = "/dev/full"});
    EXPECT_EQ(full->Wait(), kExitError) << testing::PrintToString(arguments);
    EXPECT_THAT(full->ErrorOutput(), HasSubstr(": No space left on device"));
    const auto closed = Start(arguments, {.closed_output = true});
    EXPECT_EQ(closed->Wait(), kExitError) << testing::PrintToString(arguments);
    EXPECT_THAT(closed->ErrorOutput(), HasSubstr(": Bad file descriptor"));
  }
}

TEST_F(StandardStreamsTest, AClosedStandardOutputIsNotTakenByAFile) {
  Serve(Answers("image"));
  Start({"generate", "cat", "-o", Path("cat.png")}, {.closed_output = true})->Wait();
  EXPECT_EQ(Read("cat.png"), "image");
}

TEST_F(StandardStreamsTest, AReaderThatIsGoneEndsTheProgramAsItEndsOthers) {
  Serve(Answers("image"));
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  const int reader = ::open(Path("pipe").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  const auto program = Start({"generate", "cat", "-o", Path("cat.png")}, {.output = Path("pipe")});
  ::close(reader);
  // Its end is the signal's, or EPIPE where whoever started it ignores that.
  EXPECT_THAT(program->Wait(), AnyOf(-SIGPIPE, kExitError));
}

TEST_F(StandardStreamsTest, ADashWritesTheImageAloneToTheStandardOutput) {
  const std::string image("\x89PNG\r\n\0x", 8);
  for (const char* name : {"-", "/dev/stdout", "/dev/fd/1"}) {
    Serve(Answers(image));
    const auto program = Run({"generate", "cat", "-o", name});
    EXPECT_EQ(program->Output(), image);
    EXPECT_THAT(program->ErrorOutput(), HasSubstr(std::string(name) + " 64x64 seed 0\n"));
    EXPECT_EQ(server_->received().generate.output().format(), v1::OUTPUT_FORMAT_PNG);
  }
  EXPECT_EQ(Run({"latents", "decode", Latents(), "-o", "-"})->Output(), image);
  const auto encoded = Run({"latents", "encode", File("cat.jpg", "image"), "-o", "-"});
  EXPECT_TRUE(ParseNpy(encoded->Output()).ok());
  const auto embedded = Run({"embed", "image", File("cat.jpg", "image"), "-o", "-"});
  EXPECT_TRUE(ParseEmbedding(embedded->Output(), EmbeddingRole::kImage).ok());
  EXPECT_FALSE(fs::exists("-"));
}

TEST_F(StandardStreamsTest, ADashReadsTheStandardInput) {
  Serve(Answers("image"));
  const auto run = [&](const std::vector<std::string>& arguments, const std::string& input) {
    const auto program = Start(arguments, {.input = File("input", input)});
    EXPECT_EQ(program->Wait(), 0) << program->ErrorOutput();
    return server_->received();
  };
  const std::string out = Path("out.png");
  EXPECT_EQ(run({"generate", "-", "-o", out}, "a red\ncat\r\n\n").generate.prompt(), "a red\ncat");
  EXPECT_EQ(run({"generate", "a", "-", "b", "-o", out}, "x").generate.prompt(), "a - b");
  EXPECT_EQ(run({"generate", "cat", "--negative-prompt", "-", "-o", out}, "dog\n").generate.negative_prompt(),
            "dog");
  EXPECT_EQ(run({"generate", "--mix-text", "-", "-o", out}, "dog\n").generate.mix().parts(0).text(), "dog");
  EXPECT_EQ(run({"edit", "cat", "--image", "-", "-o", out}, "image\n").generate.image_to_image().image(),
            "image\n");
  EXPECT_THAT(
      run({"generate", "--image-embedding", "-", "-o", out}, kEmbedding).generate.image_embedding().values(),
      ElementsAre(1, 2.5));
  EXPECT_THAT(run({"embed", "text", "-"}, "cat\n").embed_text.texts(), ElementsAre("cat"));
  EXPECT_THAT(run({"embed", "image", "-"}, "image").embed_images.images(), ElementsAre("image"));
  Latents();
  EXPECT_EQ(run({"latents", "decode", "-", "-o", out}, Read("latents.npy")).decode_latents.latents().data(),
            Tensor({4, 1, 1}).data());
}

TEST_F(StandardStreamsTest, TheStandardInputIsReadOnceAndMustHoldSomething) {
  Serve(Answers("image"));
  const auto error = [&](const std::vector<std::string>& arguments, const std::string& input) {
    const auto program = Start(arguments, {.input = File("input", input)});
    EXPECT_EQ(program->Wait(), kExitError);
    return program->ErrorOutput();
  };
  EXPECT_THAT(error({"generate", "-"}, ""), HasSubstr("prompt: the standard input is empty"));
  EXPECT_THAT(error({"edit", "-", "--image", "-"}, "x"),
              HasSubstr("the standard input can be read only once"));
  EXPECT_THAT(error({"generate", "-"}, std::string((1 << 20) + 1, 'x')), HasSubstr("larger than 1 MiB"));
  EXPECT_EQ(server_->calls(), 0);
}

TEST_F(StandardStreamsTest, CtrlCEndsTheWaitForTheStandardInput) {
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  const int writer =
      ::open(Path("pipe").c_str(), O_RDWR | O_CLOEXEC);  // without it the pipe would be at its end
  const auto program = Start({"generate", "-", "-o", Path("cat.png")}, {.input = Path("pipe")});
  program->Signal(SIGINT);
  // The signal's own end is that of a program that has not yet come so far.
  EXPECT_THAT(program->Wait(), AnyOf(kExitInterrupted, -SIGINT));
  ::close(writer);
}

TEST_F(StandardStreamsTest, AFileThatCannotBeWrittenLeavesTheGoodOneAndSaysWhy) {
  Serve(Answers(std::string(2'000'000, 'x')));
  File("cat.png", "good");
  rlimit before = {};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit limit = {.rlim_cur = 1'000'000, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const auto program = Start({"generate", "cat", "-o", Path("cat.png")});
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(program->Wait(), kExitError);
  EXPECT_THAT(program->ErrorOutput(), HasSubstr("cannot write " + Path("cat.png") +
                                                ": File too large; raise the limit of file sizes"));
  EXPECT_EQ(Read("cat.png"), "good");
  const auto full = Start({"generate", "cat", "-o", "/dev/full", "--request-id", "cat-1"});
  EXPECT_EQ(full->Wait(), kExitError);
  EXPECT_THAT(full->ErrorOutput(), HasSubstr("`kandinsky get cat-1 --output FILE` fetches them\n"));
  EXPECT_THAT(full->ErrorOutput(),
              HasSubstr("kandinsky: RESOURCE_EXHAUSTED: cannot write /dev/full: No space left"));
}

// The other side of a terminal that a program writes to.
class Terminal {
 public:
  explicit Terminal(int columns) : master_(::posix_openpt(O_RDWR | O_NOCTTY)) {
    ::grantpt(master_);
    ::unlockpt(master_);
    name_ = ::ptsname(master_);
    // Kept open: without anyone on it a terminal is at its end.
    slave_ = ::open(name_.c_str(), O_RDWR | O_NOCTTY);
    const winsize size = {
        .ws_row = 24, .ws_col = static_cast<unsigned short>(columns), .ws_xpixel = 0, .ws_ypixel = 0};
    ::ioctl(slave_, TIOCSWINSZ, &size);
  }
  ~Terminal() {
    ::close(slave_);
    ::close(master_);
  }

  const std::string& name() const { return name_; }

  // What was written to it so far.
  std::string Read() const {
    std::string text(1 << 16, '\0');
    ::fcntl(master_, F_SETFL, O_NONBLOCK);
    const ssize_t count = ::read(master_, text.data(), text.size());
    text.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
    return text;
  }

 private:
  const int master_;
  std::string name_;
  int slave_ = -1;
};

// The longest line that was drawn.
size_t LongestLine(const std::string& text) {
  size_t longest = 0;
  size_t length = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 3, "\x1b[K") == 0) {
      i += 2;
    } else if (text[i] == '\r' || text[i] == '\n') {
      length = 0;
    } else {
      longest = std::max(longest, ++length);
    }
  }
  return longest;
}

TEST_F(StandardStreamsTest, TheBarIsNarrowerThanTheTerminal) {
  v1::GenerateEvent progress = Progress();
  progress.mutable_progress()->set_image_index(1);
  progress.mutable_progress()->set_batch_rows(16);
  progress.mutable_progress()->mutable_estimated_remaining()->set_seconds(1000);
  v1::GenerateEvent started;
  started.mutable_started()->set_worker(std::string(200, 'w'));
  for (const int columns : {200, 80, 60, 40, 10}) {
    Serve({.events = {started, progress, Completed()}});
    const Terminal terminal(columns);
    const auto program = Start({"generate", "cat", "--count", "2", "-o", Path("cat.png")},
                               {.error_output = terminal.name(), .environment = {"TERM=xterm", "COLUMNS="}});
    EXPECT_EQ(program->Wait(), 0);
    const std::string text = terminal.Read();
    EXPECT_THAT(text, HasSubstr("\r\x1b[K"));
    EXPECT_THAT(text, Not(HasSubstr("\n")));
    EXPECT_LT(LongestLine(text), static_cast<size_t>(columns));
    EXPECT_GT(LongestLine(text), static_cast<size_t>(columns) / 2);
  }
}

TEST_F(StandardStreamsTest, ATerminalThatUnderstandsOnlyLinesGetsLines) {
  for (const char* term : {"TERM=dumb", "TERM="}) {
    Serve({.events = {Progress(), Completed()}});
    const Terminal terminal(80);
    const auto program = Start({"generate", "cat", "-o", Path("cat.png")},
                               {.error_output = terminal.name(), .environment = {term}});
    EXPECT_EQ(program->Wait(), 0);
    const std::string text = terminal.Read();
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, HasSubstr("denoise 1/2\r\n"));
  }
}

TEST_F(StandardStreamsTest, ATerminalGetsNoImages) {
  Serve(Answers("image"));
  const Terminal terminal(80);
  const std::vector<std::vector<std::string>> runs = {{"generate", "cat", "-o", "-"},
                                                      {"latents", "decode", Latents(), "-o", "-"},
                                                      {"latents", "encode", Latents(), "-o", "/dev/stdout"},
                                                      {"get", "a", "-o", "-"}};
  for (const std::vector<std::string>& arguments : runs) {
    const auto program = Start(arguments, {.output = terminal.name()});
    EXPECT_EQ(program->Wait(), kExitError);
    EXPECT_THAT(program->ErrorOutput(), HasSubstr("is a terminal, which cannot show the file"));
  }
  EXPECT_EQ(server_->calls(), 0);
  const auto text = Start({"embed", "text", "cat"}, {.output = terminal.name()});
  EXPECT_EQ(text->Wait(), 0);
  EXPECT_THAT(terminal.Read(), HasSubstr("text_embedding"));
}

TEST(TerminalColumnsTest, AreThoseOfTheVariableIfItIsANumber) {
  const char* const set = std::getenv("COLUMNS");
  const std::optional<std::string> before = set == nullptr ? std::nullopt : std::optional<std::string>(set);
  for (const auto& [value, columns] : {std::pair("60", 60), {"000061", 61}, {"1000000", 1000}}) {
    ::setenv("COLUMNS", value, 1);
    EXPECT_EQ(TerminalColumns(), columns);
  }
  for (const char* value : {"", "0", "-5", "many"}) {
    ::setenv("COLUMNS", value, 1);
    EXPECT_GT(TerminalColumns(), 0);
  }
  before ? ::setenv("COLUMNS", before->c_str(), 1) : ::unsetenv("COLUMNS");
}

}  // namespace
}  // namespace kandinsky::client
