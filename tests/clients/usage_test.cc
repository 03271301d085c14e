#include "clients/cpp/usage.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/clients/program_test.h"

namespace kandinsky::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(NearestNameTest, IsWhatWasProbablyMeant) {
  const std::vector<std::string> names = {"generate", "edit", "get", "list"};
  EXPECT_EQ(NearestName("genrate", names), "generate");
  EXPECT_EQ(NearestName("generat", names), "generate");
  EXPECT_EQ(NearestName("gt", names), "get");
  EXPECT_EQ(NearestName("listt", names), "list");
  EXPECT_EQ(NearestName("edti", names), "");
  EXPECT_EQ(NearestName("paint", names), "");
  EXPECT_EQ(NearestName("", names), "");
}

class UsageTest : public ProgramTest {};

constexpr char kCommands[] = "generate, edit, inpaint, control, embed, latents, get, list, cancel, models";

TEST_F(UsageTest, AnUnknownCommandNamesTheNearestAndAll) {
  EXPECT_EQ(UsageError({"genrate", "a", "cat"}),
            std::string("kandinsky: unknown command \"genrate\"; did you mean generate? the commands are ") +
                kCommands + "\n");
  EXPECT_EQ(UsageError({"paint"}),
            std::string("kandinsky: unknown command \"paint\"; the commands are ") + kCommands + "\n");
  EXPECT_EQ(UsageError({"embed", "imgae"}),
            "kandinsky: unknown command \"imgae\" of embed; the commands are text, image, prompt\n");
  EXPECT_EQ(UsageError({}), std::string("kandinsky: no command is given; the commands are ") + kCommands +
                                "; see kandinsky --help\n");
  EXPECT_EQ(
      UsageError({"latents"}),
      "kandinsky: no command of latents is given; the commands are encode, decode; see kandinsky latents "
      "--help\n");
  EXPECT_THAT(UsageError({""}), HasSubstr("unknown command \"\""));
}

TEST_F(UsageTest, AnUnknownFlagNamesTheNearest) {
  EXPECT_EQ(UsageError({"generate", "cat", "--widht", "64"}),
            "kandinsky: unknown flag \"--widht\"; did you mean --width?; see kandinsky generate --help\n");
  EXPECT_EQ(UsageError({"embed", "text", "cat", "--nothing-like-it=5"}),
            "kandinsky: unknown flag \"--nothing-like-it\"; see kandinsky embed text --help\n");
  EXPECT_EQ(UsageError({"--json", "list"}),
            "kandinsky: unknown flag \"--json\"; flags follow the command; see kandinsky list --help\n");
  EXPECT_EQ(UsageError({"get", "a", "b"}),
            "kandinsky: unexpected argument \"b\"; see kandinsky get --help\n");
}

TEST_F(UsageTest, FlagsThatContradictEachOtherAreRefusedWithBothNames) {
  const std::string file = File("a.json", "[1]");
  const std::vector<std::vector<std::string>> wrong = {
      {"--seed", "--seeds", "generate", "cat", "--seed", "1", "--seeds", "1,2"},
      {"--seed", "--seeds", "embed", "prompt", "cat", "--seed", "1", "--seeds", "1,2"},
      {"--count", "--seeds", "generate", "cat", "--count", "3", "--seeds", "1,2"},
      {"--count", "--seeds", "embed", "prompt", "cat", "--count", "1", "--seeds", "1,2"},
      {"prompt", "--image-embedding", "generate", "cat", "--image-embedding", file},
      {"--negative-prompt", "--image-embedding", "generate", "--image-embedding", file, "--negative-prompt",
       "x"},
      {"--prior-image", "--image-embedding", "edit", "--image", file, "--image-embedding", file,
       "--prior-image", file},
      {"--prior-image", "--prior-embedding", "generate", "cat", "--prior-image", file, "--prior-embedding",
       file},
      {"--json", "--output", "generate", "cat", "--json", "--output", "-"},
      {"prompt", "--mix-text", "generate", "cat", "--mix-text", "dog"},
      {"prompt", "--mix-image", "edit", "cat", "--image", file, "--mix-image", file},
      {"prompt", "--mix-text", "embed", "prompt", "cat", "--mix-text", "dog"},
      {"--mix-embedding", "--image-embedding", "inpaint", "--image", file, "--mask", file, "--mix-embedding",
       file, "--image-embedding", file},
      {"--prior-image", "--mix-text", "control", "--depth", file, "--mix-text", "dog", "--prior-image", file},
      {"--prior-embedding", "--mix-text", "embed", "prompt", "--mix-text", "dog", "--prior-embedding", file},
      {"--json", "--output", "edit", "--image", file, "--mix-text", "cat", "--json", "--output",
       "/dev/stdout"},
      {"--json", "--output", "latents", "encode", file, "--json", "-o", "-"},
      {"--json", "--output", "latents", "decode", file, "--json", "-o", "-"},
      {"--json", "--output", "get", "a", "--json", "-o", "-"},
      {"--preview-to", "--output", "generate", "cat", "--preview-to", "a.png", "-o", "a.png"},
      {"--output", "--hidden-states", "embed", "text", "cat", "-o", "a", "--hidden-states", "a"},
      {"--detach", "--validate-only", "generate", "cat", "--request-id", "a", "--detach", "--validate-only"},
      {"--output", "--validate-only", "generate", "cat", "-o", "a.png", "--validate-only"},
      {"--output", "--validate-only", "generate", "--mix-text", "cat", "--validate-only", "--output", "-"},
      {"--preview-to", "--validate-only", "generate", "cat", "--preview-to", "a.png", "--validate-only"},
      {"--strict-prompt", "--image-embedding", "generate", "--image-embedding", file, "--strict-prompt"},
      {"--strict-prompt", "--image-embedding", "edit", "--image", file, "--strict-prompt",
       "--image-embedding", file},
      {"--quality", "--format", "latents", "decode", file, "--format", "float", "--quality", "5"}};
  for (const std::vector<std::string>& row : wrong) {
    EXPECT_THAT(UsageError({row.begin() + 2, row.end()}),
                AllOf(HasSubstr(row[0]), HasSubstr(row[1]), HasSubstr("contradict each other")))
        << testing::PrintToString(row);
  }
}

TEST_F(UsageTest, FlagsWithoutWhatTheyGoWithAreRefused) {
  const std::string file = File("a.png", "image");
  const std::vector<std::vector<std::string>> wrong = {
      {"--preview-every", "generate", "cat", "--preview-every", "2"},
      {"--detach", "generate", "cat", "--detach"},
      {"--prior-strength", "generate", "cat", "--prior-strength", "0.5"},
      {"--feather", "inpaint", "cat", "--image", file, "--mask", file, "--feather", "2"},
      {"--strength", "control", "cat", "--depth", file, "--strength", "0.5"},
      {"--quality", "generate", "cat", "-o", "a.png", "--quality", "80"},
      {"--quality", "generate", "cat", "--quality", "80"},
      {"--embed-parameters", "generate", "cat", "-o", "a.webp", "--embed-parameters"},
      {"--output", "generate", "cat", "--count", "2", "-o", "-"},
      {"--preview-to", "generate", "cat", "--preview-to", "-"}};
  for (const std::vector<std::string>& row : wrong) {
    EXPECT_THAT(UsageError({row.begin() + 1, row.end()}), HasSubstr(row[0])) << testing::PrintToString(row);
  }
}

TEST_F(UsageTest, AValueThatIsNoneOfThoseAllowedNamesThem) {
  EXPECT_THAT(
      UsageError({"generate", "cat", "--sampler", "heun"}),
      AllOf(HasSubstr("--sampler"), HasSubstr("heun"), HasSubstr("ddim"), HasSubstr("euler-ancestral")));
  EXPECT_THAT(UsageError({"generate", "cat", "--priority", "urgent"}),
              AllOf(HasSubstr("low"), HasSubstr("high")));
  EXPECT_THAT(UsageError({"list", "--state", "asleep"}), HasSubstr("queued"));
}

TEST_F(UsageTest, AFlagWithoutItsValueSaysThatItNeedsOne) {
  for (const char* flag :
       {"--steps", "--seed", "--seeds", "--output", "--sampler", "--eta", "--server", "--model"}) {
    EXPECT_EQ(UsageError({"generate", "cat", flag}),
              std::string("kandinsky: ") + flag + " needs a value; see kandinsky generate --help\n");
  }
  EXPECT_EQ(UsageError({"generate", "cat", "-o"}),
            "kandinsky: --output needs a value; see kandinsky generate --help\n");
  EXPECT_EQ(UsageError({"generate", "--mix-text"}),
            "kandinsky: --mix-text needs a value; see kandinsky generate --help\n");
  EXPECT_EQ(UsageError({"latents", "encode", "a.png", "--width"}),
            "kandinsky: --width needs a value; see kandinsky latents encode --help\n");
  for (const char* value : {"5", "maybe", "no"}) {
    EXPECT_EQ(UsageError({"generate", "cat", std::string("--strict-prompt=") + value}),
              "kandinsky: --strict-prompt takes no value; see kandinsky generate --help\n");
  }
}

TEST_F(UsageTest, AnEmptyNameIsNoFile) {
  const std::string file = File("a.png", "image");
  const std::vector<std::vector<std::string>> wrong = {
      {"--output", "generate", "cat", "-o", ""},
      {"--output", "generate", "cat", "--output="},
      {"--output", "generate", "cat", "-o", "", "-o", "a.png"},
      {"--output", "generate", "--mix-text", "cat", "-o", ""},
      {"--output", "embed", "text", "cat", "-o", ""},
      {"--output", "embed", "image", file, "-o", ""},
      {"--output", "embed", "prompt", "cat", "-o", ""},
      {"--output", "latents", "encode", file, "-o", ""},
      {"--output", "latents", "decode", file, "-o", ""},
      {"--output", "get", "a", "-o", ""},
      {"--preview-to", "generate", "cat", "--preview-to", ""},
      {"--hidden-states", "embed", "text", "cat", "--hidden-states", ""},
      {"--image-embedding", "generate", "--image-embedding", ""},
      {"--negative-image-embedding", "generate", "cat", "--negative-image-embedding", ""},
      {"--prior-image", "generate", "cat", "--prior-image", ""},
      {"--prior-embedding", "generate", "cat", "--prior-embedding", ""},
      {"--image", "control", "cat", "--depth", file, "--image", ""}};
  for (const std::vector<std::string>& row : wrong) {
    EXPECT_EQ(UsageError({row.begin() + 1, row.end()}),
              "kandinsky: " + row[0] + ": the name of the file is empty\n")
        << testing::PrintToString(row);
  }
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"edit", "cat", "--image", ""}, {"generate", "--mix-image", ""}, {"latents", "decode", ""}}) {
    const auto program = Start(arguments);
    EXPECT_EQ(program->Wait(), kExitError);
    EXPECT_THAT(program->ErrorOutput(), HasSubstr(": the name of the file is empty\n"));
  }
}

TEST_F(UsageTest, ANumberBehindTheSeedsIsNotSilentlyAWordOfThePrompt) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"generate", "x", "--seeds", "1", "2"},
                                             {"generate", "x", "--seeds=1", "2"},
                                             {"generate", "--seeds", "1", "2", "cats"},
                                             {"edit", "x", "--image", "a.png", "--seeds", "1,3", "2,4"},
                                             {"embed", "prompt", "x", "--seeds", "1", "2"}}) {
    EXPECT_THAT(UsageError(arguments),
                HasSubstr(" behind --seeds could be one more of them or a word of the prompt"));
  }
  Serve({.events = {Completed()}});
  const auto sent = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin() + 1, {"-o", Path("a.png")});
    Run(arguments);
    return server_->received().generate;
  };
  EXPECT_EQ(sent({"generate", "2", "cats", "--seeds", "1"}).prompt(), "2 cats");
  EXPECT_EQ(sent({"generate", "--seeds", "1", "2 cats"}).prompt(), "2 cats");
  EXPECT_EQ(sent({"generate", "--seeds", "1", "cats", "2"}).prompt(), "cats 2");
  EXPECT_EQ(sent({"generate", "--seeds", "1", "--", "2", "cats"}).prompt(), "2 cats");
  EXPECT_EQ(sent({"generate", "--", "cat", "--seeds", "1", "2"}).prompt(), "cat --seeds 1 2");
  EXPECT_EQ(sent({"generate", "cat", "--seeds", "1", "--seeds", "2"}).seeds_size(), 2);
}

TEST_F(UsageTest, WithJsonWrongUsageIsAnObjectToo) {
  const auto program = Start({"generate", "cat", "--json", "--seed", "-1"});
  EXPECT_EQ(program->Wait(), kExitUsage);
  const nlohmann::json error = nlohmann::json::parse(program->Output())["error"];
  EXPECT_EQ(error["code"], "USAGE");
  EXPECT_THAT(error["message"].get<std::string>(), StartsWith("--seed \"-1\": must be"));
}

TEST_F(UsageTest, HelpTellsCommandsDashAndExitCodes) {
  const std::string help = Run({"--help"})->Output();
  for (const char* text : {"generate", "cancel", "--version", "standard input", "Exit codes"}) {
    EXPECT_THAT(help, HasSubstr(text));
  }
  EXPECT_EQ(Run({"help"})->Output(), help);
  EXPECT_EQ(Run({"help", "embed", "text"})->Output(), Run({"embed", "text", "--help"})->Output());
}

TEST_F(UsageTest, TheVersionIsThatOfTheProject) {
  std::stringstream lists;
  lists << std::ifstream(std::string(KANDINSKY_SOURCE_DIR) + "/CMakeLists.txt").rdbuf();
  const std::string version = Run({"--version"})->Output();
  EXPECT_THAT(version, testing::MatchesRegex("kandinsky [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  EXPECT_THAT(lists.str(), HasSubstr(" VERSION " + version.substr(10, version.size() - 11) + " "));
}

}  // namespace
}  // namespace kandinsky::client
