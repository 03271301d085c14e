#include "training/dataset/csv_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kandinsky::training {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Fields = std::vector<std::string>;

struct Reading {
  absl::Status status;
  std::vector<Fields> records;
  std::vector<int> lines;
};

Reading Read(const std::string& text, size_t most = 1000) {
  Reading reading;
  reading.status = ReadCsvRecords(text, "a.csv", [&](CsvRecord& record) {
    reading.records.push_back(record.fields);
    reading.lines.push_back(record.line);
    return reading.records.size() < most;
  });
  return reading;
}

TEST(ReadCsvRecordsTest, GivesFieldsAndLines) {
  const Reading reading = Read("a,b\n1,2\n3,\n");
  EXPECT_EQ(reading.status, absl::OkStatus());
  EXPECT_THAT(reading.records, ElementsAre(Fields{"a", "b"}, Fields{"1", "2"}, Fields{"3", ""}));
  EXPECT_THAT(reading.lines, ElementsAre(1, 2, 3));
}

TEST(ReadCsvRecordsTest, TheLastLineNeedsNoEnd) {
  EXPECT_THAT(Read("a,b\n1,2").records, ElementsAre(Fields{"a", "b"}, Fields{"1", "2"}));
  EXPECT_THAT(Read("a,\"b\"").records, ElementsAre(Fields{"a", "b"}));
}

TEST(ReadCsvRecordsTest, QuotedFieldsHoldCommasQuotesAndLineEnds) {
  const Reading reading = Read("a,b\n\"x, y\",\"say \"\"hi\"\"\"\n\"two\nlines\r\n\n.\",z\n1,2\n");
  EXPECT_EQ(reading.status, absl::OkStatus());
  EXPECT_THAT(reading.records, ElementsAre(Fields{"a", "b"}, Fields{"x, y", "say \"hi\""},
                                           Fields{"two\nlines\r\n\n.", "z"}, Fields{"1", "2"}));
  EXPECT_THAT(reading.lines, ElementsAre(1, 2, 3, 7));
}

TEST(ReadCsvRecordsTest, KnowsLineEndsOfAllKinds) {
  for (const char* end : {"\n", "\r\n", "\r"}) {
    const std::string text = std::string("a,b") + end + "1,2" + end + end + "3,4" + end;
    const Reading reading = Read(text);
    EXPECT_THAT(reading.records, ElementsAre(Fields{"a", "b"}, Fields{"1", "2"}, Fields{"3", "4"}));
    EXPECT_THAT(reading.lines, ElementsAre(1, 2, 4));
  }
}

TEST(ReadCsvRecordsTest, SkipsLinesWithoutAnything) {
  const Reading reading = Read("\n  \na,b\n\t\n\n1,2\n \n");
  EXPECT_THAT(reading.records, ElementsAre(Fields{"a", "b"}, Fields{"1", "2"}));
  EXPECT_THAT(reading.lines, ElementsAre(3, 6));
  EXPECT_THAT(Read("").records, IsEmpty());
  EXPECT_EQ(Read("").status, absl::OkStatus());
}

TEST(ReadCsvRecordsTest, DropsWhiteSpaceAroundFields) {
  EXPECT_THAT(Read(" a b , c\t,\" d \" \n").records, ElementsAre(Fields{"a b", "c", " d "}));
}

TEST(ReadCsvRecordsTest, PassesOtherBytesOn) {
  EXPECT_THAT(Read("caf\xC3\xA9,\xFF\n").records, ElementsAre(Fields{"caf\xC3\xA9", "\xFF"}));
}

TEST(ReadCsvRecordsTest, StopsWhenAsked) {
  const Reading reading = Read("1\n2\n\"3", 2);
  EXPECT_EQ(reading.status, absl::OkStatus());
  EXPECT_THAT(reading.records, ElementsAre(Fields{"1"}, Fields{"2"}));
}

TEST(ReadCsvRecordsTest, NamesTheLineOfAQuoteInTheWrongPlace) {
  for (const char* text : {"a,b\n1,2\" nails\n", "a,b\n1,\"2\" nails\n", "a,b\n\"1\"x,2\n"}) {
    EXPECT_THAT(Read(text).status.message(), HasSubstr("a.csv:2: a quote in the middle of a field")) << text;
  }
}

TEST(ReadCsvRecordsTest, NamesTheLineOfAQuoteThatIsNotClosed) {
  const Reading reading = Read("a,b\n1,2\n3,\"4\n5,6\n");
  EXPECT_EQ(reading.status.message(), "a.csv:3: a quote of this record is not closed");
  EXPECT_EQ(reading.status.code(), absl::StatusCode::kInvalidArgument);
}

TEST(ReadCsvRecordsTest, RefusesRecordsAboveAMebibyte) {
  const size_t most = 1 << 20;
  EXPECT_EQ(Read("a\n" + std::string(most - 1, 'x') + "\n").status, absl::OkStatus());
  EXPECT_THAT(Read("a\n" + std::string(most, 'x') + "\n").status.message(),
              HasSubstr("a.csv:2: the record has more than 1048576 bytes"));
  std::string text = "a\n\"";
  for (size_t i = 0; i <= most / 8; ++i) text += "1234567\n";
  EXPECT_THAT(Read(text).status.message(), HasSubstr("a.csv:2: the record has more than 1048576 bytes"));
}

}  // namespace
}  // namespace kandinsky::training
