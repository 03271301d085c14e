#include "pipeline/weights/safetensors_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/pipeline/weights/weights_test_support.h"

namespace kandinsky {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

absl::StatusOr<SafetensorsHeader> Parse(const std::string& bytes) {
  return ParseSafetensorsHeader({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()},
                                "model.safetensors");
}

std::string ErrorOfBytes(const std::string& bytes) {
  const auto header = Parse(bytes);
  EXPECT_EQ(header.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(header.status().message()), StartsWith("model.safetensors: "));
  return std::string(header.status().message());
}

std::string ErrorOf(const std::string& header, size_t data_bytes = 0) {
  return ErrorOfBytes(SafetensorsBytes(header, std::string(data_bytes, '\0')));
}

std::string Tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}";
}

// The error of a file with one float tensor "w" and 8 bytes of data.
std::string ErrorOfTensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return ErrorOf("{" + Tensor("w", dtype, shape, offsets) + "}", 8);
}

TEST(SafetensorsHeaderTest, OtherFormatsAreNamed) {
  const std::string rest(300, '\0');
  const std::string pickled = "is a pickled PyTorch file; convert it to safetensors";
  EXPECT_THAT(ErrorOfBytes("PK\x03\x04" + rest), HasSubstr(pickled));
  EXPECT_THAT(ErrorOfBytes(std::string("PK\x03\x04\x14\x00\x08\x08", 8) + rest), HasSubstr(pickled));
  EXPECT_THAT(ErrorOfBytes("\x80\x02\x8a\x0a" + rest), HasSubstr(pickled)) << "before PyTorch 1.6";
  EXPECT_THAT(ErrorOfBytes("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
              HasSubstr("is a Git LFS pointer"));
}

TEST(SafetensorsHeaderTest, ANameOfPickledFilesCountsOnlyForWhatCannotBeRead) {
  for (const char* name : {"a.bin", "a.pt", "a.pth", "a.ckpt", "a.pkl"}) {
    const std::string bad = "nonsense";
    const auto refused =
        ParseSafetensorsHeader({reinterpret_cast<const std::byte*>(bad.data()), bad.size()}, name);
    EXPECT_THAT(std::string(refused.status().message()),
                std::string(name) + ": is a pickled PyTorch file; convert it to safetensors");
    const std::string good = SafetensorsBytes("{}");
    EXPECT_TRUE(
        ParseSafetensorsHeader({reinterpret_cast<const std::byte*>(good.data()), good.size()}, name).ok());
  }
}

TEST(SafetensorsHeaderTest, ReadsTensorsInOrderOfTheirData) {
  const auto header = Parse(SafetensorsBytes("{" + Tensor("b", "F16", "[2,3]", "[4,16]") + "," +
                                                 R"("__metadata__":{"format":"pt"},)" +
                                                 Tensor("a", "F32", "[]", "[0,4]") + "}",
                                             std::string(16, '\0')));
  ASSERT_TRUE(header.ok()) << header.status();
  ASSERT_EQ(header->entries.size(), 2u);
  EXPECT_EQ(header->entries[0].name, "a");
  EXPECT_THAT(header->entries[0].shape, IsEmpty());
  EXPECT_EQ(header->entries[1].name, "b");
  EXPECT_EQ(header->entries[1].dtype, SafetensorsDtype::kF16);
  EXPECT_THAT(header->entries[1].shape, ElementsAre(2, 3));
  EXPECT_EQ(header->entries[1].begin, 4u);
  EXPECT_EQ(header->entries[1].end, 16u);
  EXPECT_EQ(header->metadata.at("format"), "pt");
}

TEST(SafetensorsHeaderTest, KnowsEveryDtype) {
  const std::pair<const char*, size_t> dtypes[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2},
                                                   {"I64", 8}, {"I32", 4}, {"I16", 2}, {"I8", 1},
                                                   {"U8", 1},  {"BOOL", 1}};
  for (const auto& [name, bytes] : dtypes) {
    const auto header =
        Parse(SafetensorsBytes("{" + Tensor("w", name, "[3]", "[0," + std::to_string(3 * bytes) + "]") + "}",
                               std::string(3 * bytes, '\0')));
    ASSERT_TRUE(header.ok()) << header.status();
    EXPECT_EQ(SafetensorsDtypeName(header->entries[0].dtype), name);
    EXPECT_EQ(header->entries[0].end - header->entries[0].begin, 3 * bytes);
  }
}

TEST(SafetensorsHeaderTest, AcceptsEmptyFilesEmptyTensorsAndTrailingSpaces) {
  EXPECT_TRUE(Parse(SafetensorsBytes("{}")).ok());
  EXPECT_TRUE(Parse(SafetensorsBytes("{}     ")).ok());
  const std::string empties =
      "{" + Tensor("a", "F32", "[0]", "[0,0]") + "," + Tensor("b", "F32", "[5,0,3]", "[0,0]") + "," +
      Tensor("c", "U8", "[4]", "[0,4]") + "," + Tensor("d", "F64", "[0]", "[4,4]") + "}";
  EXPECT_TRUE(Parse(SafetensorsBytes(empties, "data")).ok());
}

// W-01
TEST(SafetensorsHeaderTest, RefusesAFileWithoutALengthField) {
  EXPECT_THAT(ErrorOfBytes(""), HasSubstr("header too small"));
  EXPECT_THAT(ErrorOfBytes(std::string(7, '\1')), HasSubstr("header too small"));
}

TEST(SafetensorsHeaderTest, RefusesAHeaderLongerThanTheFile) {
  EXPECT_THAT(ErrorOfBytes(SafetensorsBytesWithLength(3, "{}")), HasSubstr("invalid header length: 3"));
  EXPECT_THAT(ErrorOfBytes(SafetensorsBytesWithLength(99'999'999, "{}")), HasSubstr("invalid header length"));
}

TEST(SafetensorsHeaderTest, RefusesAHeaderAboveTheLimit) {
  EXPECT_THAT(ErrorOfBytes(SafetensorsBytesWithLength(100'000'001, "{}")), HasSubstr("header too large"));
  EXPECT_THAT(ErrorOfBytes(SafetensorsBytesWithLength(UINT64_MAX, "{}")), HasSubstr("header too large"));
}

// W-02
TEST(SafetensorsHeaderTest, RefusesWhatDoesNotStartWithABrace) {
  for (const char* header : {"", " {}", "[]", "\xef\xbb\xbf{}", "null", "\n{}"}) {
    EXPECT_THAT(ErrorOf(header), HasSubstr("does not start with {")) << header;
  }
}

TEST(SafetensorsHeaderTest, RefusesWhatIsNotJson) {
  EXPECT_THAT(ErrorOf("{"), HasSubstr("not valid JSON at byte"));
  EXPECT_THAT(ErrorOf("{}x"), HasSubstr("not valid JSON at byte 11"));
  EXPECT_THAT(ErrorOf("{/* */}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf("{\"a\xff\":1}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf("{\"a\xc0\xaf\":1}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf(std::string("{}\0{}", 5)), HasSubstr("not valid JSON at byte 11"));
  EXPECT_THAT(ErrorOf(R"({"__metadata__":{"a":NaN}})"), HasSubstr("not valid JSON"));
}

TEST(SafetensorsHeaderTest, RefusesDepthBombs) {
  std::string arrays = R"({"w":)";
  std::string objects;
  for (int i = 0; i < 100'000; ++i) {
    arrays += "[";
    objects += R"({"w":)";
  }
  EXPECT_THAT(ErrorOf(arrays), HasSubstr("wrong type"));
  EXPECT_THAT(ErrorOf(objects), HasSubstr("unknown key"));
  EXPECT_THAT(ErrorOfTensor("F32", "[[2]]", "[0,8]"), HasSubstr("wrong type"));
  EXPECT_THAT(ErrorOf(R"({"__metadata__":{"a":{}}})"), HasSubstr("wrong type"));
}

TEST(SafetensorsHeaderTest, RefusesATensorNameTwice) {
  const std::string twice =
      "{" + Tensor("w", "U8", "[4]", "[0,4]") + "," + Tensor("w", "U8", "[4]", "[4,8]") + "}";
  EXPECT_THAT(ErrorOf(twice, 8), HasSubstr("tensor \"w\": appears twice"));
  EXPECT_THAT(ErrorOf(R"({"__metadata__":{},"__metadata__":{}})"), HasSubstr("appears twice"));
}

TEST(SafetensorsHeaderTest, RefusesAKeyTwiceOrUnknown) {
  EXPECT_THAT(ErrorOf(R"({"w":{"dtype":"U8","dtype":"U8"}})"), HasSubstr("\"dtype\": key appears twice"));
  EXPECT_THAT(ErrorOf(R"({"w":{"stride":1}})"), HasSubstr("\"stride\": unknown key"));
  EXPECT_THAT(ErrorOf(R"({"__metadata__":{"a":"1","a":"2"}})"), HasSubstr("key appears twice"));
}

TEST(SafetensorsHeaderTest, RefusesMetadataThatIsNotText) {
  for (const char* value : {"1", "-1", "1.5", "true", "null", "[]", "{}"}) {
    EXPECT_THAT(ErrorOf(std::string(R"({"__metadata__":{"a":)") + value + "}}"), HasSubstr("\"a\"")) << value;
  }
  EXPECT_THAT(ErrorOf(R"({"__metadata__":"a"})"), HasSubstr("wrong type"));
}

TEST(SafetensorsHeaderTest, RefusesIncompleteOrMistypedTensors) {
  EXPECT_THAT(ErrorOf(R"({"w":{"dtype":"U8","shape":[0]}})"), HasSubstr("is missing"));
  EXPECT_THAT(ErrorOf(R"({"w":{}})"), HasSubstr("is missing"));
  EXPECT_THAT(ErrorOf(R"({"w":[]})"), HasSubstr("wrong type"));
  EXPECT_THAT(ErrorOf(R"({"w":1})"), HasSubstr("wrong type"));
  EXPECT_THAT(ErrorOf(R"({"w":{"dtype":1}})"), HasSubstr("wrong type"));
  EXPECT_THAT(ErrorOf(R"({"w":{"dtype":["U8"]}})"), HasSubstr("wrong type"));
  EXPECT_THAT(ErrorOf(R"({"w":{"shape":"1"}})"), HasSubstr("wrong type"));
  EXPECT_THAT(ErrorOf(R"({"w":{"shape":1}})"), HasSubstr("wrong type"));
}

// W-03
TEST(SafetensorsHeaderTest, RefusesOverlapsAndHoles) {
  const auto two = [](const std::string& first, const std::string& second) {
    return ErrorOf("{" + Tensor("a", "U8", "[4]", first) + "," + Tensor("b", "U8", "[4]", second) + "}", 8);
  };
  EXPECT_THAT(two("[0,4]", "[2,6]"), HasSubstr("tensor \"b\": invalid offset 2"));
  EXPECT_THAT(two("[0,4]", "[0,4]"), HasSubstr("invalid offset 0"));
  EXPECT_THAT(two("[4,8]", "[4,8]"), HasSubstr("invalid offset 4"));
  const std::string hole =
      "{" + Tensor("a", "U8", "[2]", "[0,2]") + "," + Tensor("b", "U8", "[4]", "[4,8]") + "}";
  EXPECT_THAT(ErrorOf(hole, 8), HasSubstr("tensor \"b\": invalid offset 4, the tensor before it ends at 2"));
}

TEST(SafetensorsHeaderTest, RefusesReversedOffsetsAndThosePastTheEnd) {
  EXPECT_THAT(ErrorOfTensor("U8", "[4]", "[4,0]"), HasSubstr("invalid offsets 4..0"));
  EXPECT_THAT(ErrorOfTensor("U8", "[9]", "[0,9]"), HasSubstr("invalid offsets 0..9 in 8 bytes"));
  EXPECT_THAT(ErrorOfTensor("U8", "[8]", "[18446744073709551608,18446744073709551615]"),
              HasSubstr("invalid offsets"));
}

TEST(SafetensorsHeaderTest, RefusesBytesAfterTheLastTensor) {
  EXPECT_THAT(ErrorOfTensor("U8", "[7]", "[0,7]"), HasSubstr("buffer not fully covered"));
  EXPECT_THAT(ErrorOf("{}", 1), HasSubstr("buffer not fully covered"));
}

TEST(SafetensorsHeaderTest, RefusesThousandsOfTensorsOnOneSpan) {
  std::string header = "{";
  for (int i = 0; i < 5000; ++i) header += Tensor("w" + std::to_string(i), "U8", "[8]", "[0,8]") + ",";
  header.back() = '}';
  EXPECT_THAT(ErrorOf(header, 8), HasSubstr("invalid offset 0, the tensor before it ends at 8"));
}

TEST(SafetensorsHeaderTest, RefusesOffsetsThatAreNotTwo) {
  EXPECT_THAT(ErrorOfTensor("U8", "[8]", "[8]"), HasSubstr("not two offsets"));
  EXPECT_THAT(ErrorOfTensor("U8", "[8]", "[0,4,8]"), HasSubstr("not two offsets"));
  EXPECT_THAT(ErrorOfTensor("U8", "[8]", "[]"), HasSubstr("not two offsets"));
  EXPECT_THAT(ErrorOfTensor("U8", "[8]", "[-1,8]"), HasSubstr("negative number"));
  EXPECT_THAT(ErrorOfTensor("U8", "[8]", "[0,8.0]"), HasSubstr("no 64-bit integer"));
}

// W-04
TEST(SafetensorsHeaderTest, RefusesShapesThatOverflow) {
  EXPECT_THAT(ErrorOfTensor("F32", "[4294967296,4294967296]", "[0,8]"), HasSubstr("shape overflows"));
  EXPECT_THAT(ErrorOfTensor("F64", "[2305843009213693952]", "[0,8]"), HasSubstr("shape overflows"));
  EXPECT_THAT(ErrorOfTensor("U8", "[9223372036854775808]", "[0,8]"), HasSubstr("beyond 63 bits"));
  EXPECT_THAT(ErrorOfTensor("U8", "[18446744073709551616]", "[0,8]"), HasSubstr("no 64-bit integer"));
}

TEST(SafetensorsHeaderTest, RefusesShapesThatAreNotCounts) {
  EXPECT_THAT(ErrorOfTensor("F32", "[-2]", "[0,8]"), HasSubstr("negative number"));
  EXPECT_THAT(ErrorOfTensor("F32", "[2.0]", "[0,8]"), HasSubstr("no 64-bit integer"));
  EXPECT_THAT(ErrorOfTensor("F32", "[\"2\"]", "[0,8]"), HasSubstr("wrong type"));
  EXPECT_THAT(ErrorOfTensor("F32", "[null]", "[0,8]"), HasSubstr("wrong type"));
  EXPECT_THAT(ErrorOfTensor("F32", "[2,1,1,1,1,1,1,1,1]", "[0,8]"), HasSubstr("more than 8"));
}

TEST(SafetensorsHeaderTest, RefusesASpanThatDtypeAndShapeDoNotNeed) {
  EXPECT_THAT(ErrorOfTensor("F32", "[3]", "[0,8]"), HasSubstr("need 12 bytes, the offsets give 8"));
  EXPECT_THAT(ErrorOfTensor("F32", "[1]", "[0,8]"), HasSubstr("need 4 bytes"));
  EXPECT_THAT(ErrorOfTensor("F32", "[0]", "[0,8]"), HasSubstr("need 0 bytes"));
  EXPECT_THAT(ErrorOfTensor("F32", "[]", "[0,8]"), HasSubstr("need 4 bytes"));
}

TEST(SafetensorsHeaderTest, RefusesUnknownAndSubByteDtypes) {
  for (const char* dtype : {"F4", "F8_E4M3", "U4", "f32", "", "C64"}) {
    EXPECT_THAT(ErrorOfTensor(dtype, "[2]", "[0,8]"), HasSubstr("unknown dtype")) << dtype;
  }
}

TEST(SafetensorsHeaderTest, PrintsHostileNamesHarmlessly) {
  const std::string error = ErrorOf(R"({"evil\n\u001b[2J":1})");
  EXPECT_EQ(error.find('\n'), std::string::npos);
  EXPECT_EQ(error.find('\x1b'), std::string::npos);
  EXPECT_LT(ErrorOf("{\"" + std::string(100'000, 'n') + "\":1}").size(), 400u);
}

TEST(SafetensorsHeaderTest, SurvivesRandomDamage) {
  const std::string good =
      SafetensorsBytes(R"({"__metadata__":{"format":"pt"},)" + Tensor("a", "F32", "[2]", "[0,8]") + "," +
                           Tensor("b", "BF16", "[2,2]", "[8,16]") + "}",
                       std::string(16, '\0'));
  ASSERT_TRUE(Parse(good).ok());
  std::mt19937 random(7);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = good.substr(0, random() % 4 == 0 ? random() % good.size() : good.size());
    for (size_t changes = random() % 4; changes > 0 && !bytes.empty(); --changes) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const auto header = Parse(bytes);
    if (!header.ok()) continue;
    for (const SafetensorsEntry& entry : header->entries) {
      EXPECT_LE(entry.begin, entry.end);
      EXPECT_LE(header->data_offset + entry.end, bytes.size());
    }
  }
}

}  // namespace
}  // namespace kandinsky
