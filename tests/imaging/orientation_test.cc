#include "imaging/orientation.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "imaging/png_text.h"
#include "tests/imaging/test_images.h"

namespace kandinsky {
namespace {

// In big-endian order, with another entry before the orientation.
std::string BigEndianBlock(char type, std::string_view value) {
  return std::string("MM\0\x2A\0\0\0\x08\0\x02", 10) +
         std::string(
             "\x01\x0F\0\x02\0\0\0\x04"
             "abc\0",
             12) +
         std::string("\x01\x12\0", 3) + type + std::string("\0\0\0\x01", 4) + std::string(value) +
         std::string(4, '\0');
}

int OfExif(std::string_view exif) { return ReadOrientation(exif, ""); }

TEST(ReadExifOrientationTest, ReadsBothByteOrders) {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    EXPECT_EQ(ReadExifOrientation(ExifBlock(orientation)), orientation);
    const auto value = static_cast<char>(orientation);
    EXPECT_EQ(ReadExifOrientation(BigEndianBlock(3, std::string{'\0', value, '\0', '\0'})), orientation);
    EXPECT_EQ(ReadExifOrientation(BigEndianBlock(4, std::string{'\0', '\0', '\0', value})), orientation);
  }
}

TEST(ReadExifOrientationTest, SkipsThePrefixOfJpeg) {
  EXPECT_EQ(ReadExifOrientation(std::string("Exif\0\0", 6) + ExifBlock(6)), 6);
}

TEST(ReadOrientationTest, TakesUnusableValuesAsUpright) {
  EXPECT_EQ(OfExif(ExifBlock(0)), 1);
  EXPECT_EQ(OfExif(ExifBlock(9)), 1);
  EXPECT_EQ(OfExif(ExifBlock(65535)), 1);
  EXPECT_EQ(OfExif(BigEndianBlock(2, std::string("\0\x06\0\0", 4))), 1);  // a text
}

TEST(ReadOrientationTest, TakesBrokenBlocksAsUpright) {
  EXPECT_EQ(OfExif(""), 1);
  EXPECT_EQ(OfExif("broken"), 1);
  const std::string block = ExifBlock(6);
  for (size_t size = 0; size < 22; ++size) EXPECT_EQ(OfExif(block.substr(0, size)), 1) << size;
  std::string far = block;
  far.replace(4, 4, "\xFF\xFF\xFF\xFF");
  EXPECT_EQ(OfExif(far), 1);
  std::string many(block.substr(0, 8) + "\xFF\xFF");
  EXPECT_EQ(OfExif(many), 1);
}

TEST(ReadOrientationTest, AsksXmpWhereExifSaysNothing) {
  constexpr char kXmp[] = R"(<rdf:Description tiff:Orientation="6"/>)";
  EXPECT_EQ(ReadOrientation("", kXmp), 6);
  EXPECT_EQ(ReadOrientation("broken", kXmp), 6);
  EXPECT_EQ(ReadOrientation(ExifBlock(8), kXmp), 8);
  EXPECT_EQ(ReadOrientation(ExifBlock(0), kXmp), 1);
}

TEST(ReadXmpOrientationTest, TakesTheFirstDigitOfAttributeOrElement) {
  EXPECT_EQ(ReadXmpOrientation(R"(a tiff:Orientation="3" tiff:Orientation="6")"), 3);
  EXPECT_EQ(ReadXmpOrientation("<tiff:Orientation>8</tiff:Orientation>"), 8);
  EXPECT_EQ(ReadXmpOrientation(R"(tiff:Orientation="" <tiff:Orientation>5<)"), 5);
  EXPECT_EQ(ReadXmpOrientation("tiff:Orientation='6'"), std::nullopt);
  EXPECT_EQ(ReadXmpOrientation("tiff:Orientation=\""), std::nullopt);
  EXPECT_EQ(ReadXmpOrientation(""), std::nullopt);
}

TEST(ReadOrientationTest, SurvivesDamage) {
  std::mt19937 random(3);
  for (int i = 0; i < 5000; ++i) {
    std::string block = i % 2 == 0 ? ExifBlock(6) : BigEndianBlock(3, std::string("\0\x06\0\0", 4));
    for (int flips = 0; flips < 3; ++flips) block[random() % block.size()] = static_cast<char>(random());
    block.resize(random() % (block.size() + 1));
    const int orientation = OfExif(block);
    EXPECT_GE(orientation, 1);
    EXPECT_LE(orientation, 8);
  }
}

TEST(PngTextTest, BrokenTextsAreEmpty) {
  using namespace std::string_literals;
  EXPECT_EQ(PngTextValue({"tEXt", "key\0value"s}), "value");
  for (const std::string& data : {""s, "key"s, "key\0"s, "key\0\1"s, "key\0\1\0"s, "key\0\1\0\0\0no zlib"s}) {
    EXPECT_EQ(PngTextValue({"zTXt", data}), "");
    EXPECT_EQ(PngTextValue({"iTXt", data}), "");
  }
  EXPECT_EQ(PngTextKey("tEXt", "no end"), "");
  EXPECT_EQ(PngTextKey("IDAT", "key\0value"s), "");
}

TEST(ParseRawProfileTest, ReadsHexadecimalDigitsBehindThreeLines) {
  EXPECT_EQ(ParseRawProfile("\nexif\n       3\n4a4B\n 4c\n"), "JKL");
  for (const char* text : {"", "\n", "\nexif\n4a", "\nexif\n 1\n4", "\nexif\n 1\nzz"})
    EXPECT_EQ(ParseRawProfile(text), "");
}

}  // namespace
}  // namespace kandinsky
