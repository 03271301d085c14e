#include "clients/cpp/number_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/clients/program_test.h"

namespace kandinsky::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr NumberRange<int> kInts = {.min = -2147483647 - 1, .max = 2147483647};
constexpr NumberRange<uint64_t> kAll = {.min = 0, .max = std::numeric_limits<uint64_t>::max()};
constexpr NumberRange<double> kReals = {.min = -1e6, .max = 1e6};

// What ParseNumber throws; "" when it takes the text.
template <typename Number>
std::string ErrorOf(const std::string& text, const NumberRange<Number>& range) {
  try {
    ParseNumber("--x", text, range);
    return "";
  } catch (const CLI::ValidationError& error) {
    return error.what();
  }
}

TEST(NumberFlagsTest, WholeNumbersAreDecimalWhateverTheirZeros) {
  EXPECT_EQ(ParseNumber("--x", "00042", kAll), 42u);
  EXPECT_EQ(ParseNumber("--x", "010", kInts), 10);
  EXPECT_EQ(ParseNumber("--x", "-010", kInts), -10);
  EXPECT_EQ(ParseNumber("--x", "+5", kInts), 5);
  EXPECT_EQ(ParseNumber("--x", "0000000000000000000000000000007", kAll), 7u);
  EXPECT_EQ(ParseNumber("--x", "18446744073709551615", kAll), UINT64_MAX);
  EXPECT_EQ(ParseNumber("--x", "9007199254740993", kAll), 9007199254740993u);
}

TEST(NumberFlagsTest, FractionsAreTheNearestDouble) {
  EXPECT_EQ(ParseNumber("--x", "0.1", kReals), 0.1);
  EXPECT_EQ(ParseNumber("--x", "0.8333333333333334", kReals), 5.0 / 6);
  EXPECT_EQ(ParseNumber("--x", "1e3", kReals), 1000);
  EXPECT_EQ(ParseNumber("--x", "+.5", kReals), 0.5);
  EXPECT_EQ(ParseNumber("--x", "007.5", kReals), 7.5);
  EXPECT_EQ(ParseNumber("--x", "-2.", kReals), -2);
}

TEST(NumberFlagsTest, WhatIsNoDecimalNumberIsRefused) {
  for (const char* text :
       {"",  " ", " 5",  "5 ",  "5\n", "0x10", "0b1", "1_000", "1,000",    "5x", "x",
        "+", "-", "+-5", "++5", "--5", "nan",  "inf", "-inf",  "infinity", "٥",  "1e3.5"}) {
    EXPECT_NE(ErrorOf(text, kInts), "") << text;
    EXPECT_NE(ErrorOf(text, kAll), "") << text;
    if (std::string(text) != "5") {
      EXPECT_NE(ErrorOf(text, kReals), "") << text;
    }
  }
  for (const char* text : {"1e3", "1.0", "5."}) EXPECT_NE(ErrorOf(text, kInts), "") << text;
}

TEST(NumberFlagsTest, WhatTheTypeDoesNotHoldIsRefusedNotClamped) {
  for (const char* text : {"18446744073709551616", "-1", "99999999999999999999999999"}) {
    EXPECT_NE(ErrorOf(text, kAll), "") << text;
  }
  for (const char* text : {"2147483648", "-2147483649", "18446744073709551615"}) {
    EXPECT_NE(ErrorOf(text, kInts), "") << text;
  }
  for (const char* text : {"1e7", "-1e7", "1e400", "-1e400"}) EXPECT_NE(ErrorOf(text, kReals), "") << text;
}

TEST(NumberFlagsTest, ErrorsNameFlagTextAndRange) {
  EXPECT_EQ(ErrorOf("-1", NumberRange<int>{.min = 1, .max = 1000}),
            "--x \"-1\": must be a whole number, 1 to 1000");
  EXPECT_EQ(ErrorOf("0", NumberRange<double>{.min = 0, .max = 1, .above_min = true}),
            "--x \"0\": must be a number, above 0 to 1");
  EXPECT_EQ(ErrorOf("a\nb", NumberRange<int>{.min = 1, .max = 2, .instead = "leave it out"}),
            "--x \"a\\nb\": must be a whole number, 1 to 2; leave it out");
  EXPECT_LT(ErrorOf(std::string(5000, '9'), kAll).size(), 150u);
}

class NumberFlagsProgramTest : public ProgramTest {};

TEST_F(NumberFlagsProgramTest, SeedsAreTakenInWholeAndInDecimal) {
  Serve({.events = {Completed()}});
  const auto sent = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> arguments = {"generate", "cat", "-o", Path("cat.png")};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    Run(arguments);
    return server_->received().generate;
  };
  EXPECT_EQ(sent({"--seed", "00042"}).seed(), 42u);
  EXPECT_EQ(sent({"--seed", "18446744073709551615"}).seed(), UINT64_MAX);
  EXPECT_EQ(sent({"--seed=9007199254740993"}).seed(), 9007199254740993u);
  EXPECT_EQ(sent({"--steps", "010"}).steps(), 10);
  EXPECT_THAT(sent({"--seeds", "1,2,03"}).seeds(), ElementsAre(1, 2, 3));
  EXPECT_THAT(sent({"--seeds", "08", "--seeds", "18446744073709551615"}).seeds(), ElementsAre(8, UINT64_MAX));
}

TEST_F(NumberFlagsProgramTest, AWrongSeedIsOneShortLineThatSaysWhatWouldBeRight) {
  for (const char* text : {"-1", "18446744073709551616", "1e3", "0x10", "", " 5", "seven"}) {
    EXPECT_EQ(UsageError({"generate", "cat", "--seed", text}),
              "kandinsky: --seed " + Quoted(text) +
                  ": must be a whole number, 0 to 18446744073709551615; leave it out for a random one\n");
  }
  EXPECT_EQ(UsageError({"generate", "cat", "--seed="}), UsageError({"generate", "cat", "--seed", ""}));
  for (const char* text : {"1,-2", "1,,2", "1,", ",", "1, 2", "1,18446744073709551616", "1;2"}) {
    EXPECT_THAT(UsageError({"generate", "cat", "--seeds", text}), HasSubstr("--seeds \""));
  }
}

// Every flag with a number, of every command that has it.
TEST_F(NumberFlagsProgramTest, EveryFlagWithANumberHasARangeAndReadsDecimalDigits) {
  struct Flags {
    std::vector<std::string> command;
    std::vector<std::string> whole;
    std::vector<std::string> fractions;
  };
  const std::vector<std::string> whole = {"--seed",   "--seeds",         "--count",
                                          "--steps",  "--prior-steps",   "--width",
                                          "--height", "--preview-every", "--quality"};
  const std::vector<std::string> fractions = {"--guidance-scale", "--prior-guidance-scale", "--eta",
                                              "--timeout"};
  const auto with = [](std::vector<std::string> names, const std::string& name) {
    names.push_back(name);
    return names;
  };
  const std::vector<Flags> all = {{{"generate", "cat"}, whole, with(fractions, "--prior-strength")},
                                  {{"edit", "cat"}, whole, with(fractions, "--strength")},
                                  {{"inpaint", "cat"}, with(whole, "--feather"), fractions},
                                  {{"control", "cat"}, whole, with(fractions, "--strength")},
                                  {{"generate", "--mix-text", "cat"}, whole, with(fractions, "--mix-weight")},
                                  {{"embed", "text", "cat"}, {}, {"--timeout"}},
                                  {{"embed", "image", "a.png"}, {}, {"--timeout"}},
                                  {{"embed", "prompt", "cat"},
                                   {"--seed", "--seeds", "--count", "--prior-steps"},
                                   {"--prior-guidance-scale", "--prior-strength", "--timeout"}},
                                  {{"latents", "encode", "a.png"}, {"--width", "--height"}, {"--timeout"}},
                                  {{"latents", "decode", "a.npy"}, {"--quality"}, {"--timeout"}},
                                  {{"get", "a"}, {}, {"--timeout"}},
                                  {{"list"}, {"--limit"}, {"--timeout"}},
                                  {{"cancel", "a"}, {}, {"--timeout"}}};
  for (const Flags& flags : all) {
    const auto error = [&](const std::string& flag, const std::string& text) {
      std::vector<std::string> arguments = flags.command;
      arguments.insert(arguments.end(), {flag, text});
      return UsageError(arguments);
    };
    for (const std::string& flag : flags.whole) {
      for (const char* text : {"-1", "0x10", "99999999999999999999"}) {
        EXPECT_THAT(error(flag, text), HasSubstr(flag + " " + Quoted(text) + ": must be a whole number, "));
      }
    }
    for (const std::string& flag : flags.fractions) {
      for (const char* text : {"nan", "1e999"}) {
        EXPECT_THAT(error(flag, text), HasSubstr(flag + " " + Quoted(text) + ": must be a number, "));
      }
    }
  }
}

TEST_F(NumberFlagsProgramTest, WhatTheModelOrTheOperatorDecidesIsLeftToTheServer) {
  Serve({.events = {Completed()}});
  const std::string image = File("cat.png", "image");
  const auto sent = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin() + 1, {"--output", Path("out.png")});
    Run(arguments);
    return server_->received().generate;
  };
  for (const int number : {1, 3, 32, 8192, std::numeric_limits<int32_t>::max()}) {
    const std::string text = std::to_string(number);
    const v1::GenerateRequest request = sent({"inpaint",
                                              "cat",
                                              "--image",
                                              image,
                                              "--mask",
                                              image,
                                              "--paste-back",
                                              "--feather",
                                              text,
                                              "--width",
                                              text,
                                              "--height",
                                              text,
                                              "--steps",
                                              text,
                                              "--prior-steps",
                                              text,
                                              "--count",
                                              text,
                                              "--preview-to",
                                              Path("p.png"),
                                              "--preview-every",
                                              text});
    EXPECT_EQ(request.width(), number);
    EXPECT_EQ(request.height(), number);
    EXPECT_EQ(request.steps(), number);
    EXPECT_EQ(request.prior_steps(), number);
    EXPECT_EQ(request.image_count(), number);
    EXPECT_EQ(request.preview().every_steps(), number);
    EXPECT_EQ(request.inpaint().feather_pixels(), number);
  }
  for (const float number : {-1.5f, 101.f, 3e38f}) {
    const std::string text = testing::PrintToString(number);
    const v1::GenerateRequest request = sent({"generate", "--mix-text", "cat", "--mix-weight", text,
                                              "--guidance-scale", text, "--prior-guidance-scale", text});
    EXPECT_EQ(request.mix().parts(0).weight(), number);
    EXPECT_EQ(request.guidance_scale(), number);
    EXPECT_EQ(request.prior_guidance_scale(), number);
  }
  for (const char* flag : {"--width", "--height", "--steps", "--prior-steps", "--count"}) {
    for (const char* text : {"0", "-1", "2147483648", "1.5", "many"}) {
      EXPECT_EQ(UsageError({"generate", "cat", flag, text}),
                "kandinsky: " + std::string(flag) + " " + Quoted(text) +
                    ": must be a whole number, 1 to 2147483647\n");
    }
  }
  EXPECT_THAT(UsageError({"generate", "cat", "--guidance-scale", "1e39"}), HasSubstr("must be a number, "));
}

TEST_F(NumberFlagsProgramTest, TheLastOfRepeatedFlagsHolds) {
  Serve({.events = {Completed()}});
  Run({"generate",
       "cat",
       "--seed",
       "1",
       "--seed",
       "2",
       "--steps",
       "3",
       "--steps",
       "4",
       "--sampler",
       "ddpm",
       "--sampler",
       "ddim",
       "--negative-prompt",
       "a",
       "--negative-prompt",
       "b",
       "--eta",
       "0",
       "--eta",
       "0.5",
       "--strict-prompt",
       "--strict-prompt",
       "-o",
       Path("a.webp"),
       "-o",
       Path("b.png"),
       "--json",
       "--json"});
  const v1::GenerateRequest request = server_->received().generate;
  EXPECT_EQ(request.seed(), 2u);
  EXPECT_EQ(request.steps(), 4);
  EXPECT_EQ(request.sampler(), v1::SAMPLER_DDIM);
  EXPECT_EQ(request.negative_prompt(), "b");
  EXPECT_EQ(request.eta(), 0.5f);
  EXPECT_TRUE(request.strict_prompt());
  EXPECT_EQ(request.output().format(), v1::OUTPUT_FORMAT_PNG);
}

}  // namespace
}  // namespace kandinsky::client
