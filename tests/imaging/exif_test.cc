#include "imaging/exif.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/imaging/test_pictures.h"

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

TEST(ReadExifOrientationTest, TakesUnusableValuesAsUpright) {
  EXPECT_EQ(ReadExifOrientation(ExifBlock(0)), 1);
  EXPECT_EQ(ReadExifOrientation(ExifBlock(9)), 1);
  EXPECT_EQ(ReadExifOrientation(ExifBlock(65535)), 1);
  EXPECT_EQ(ReadExifOrientation(BigEndianBlock(2, std::string("\0\x06\0\0", 4))), 1);  // a text
}

TEST(ReadExifOrientationTest, TakesBrokenBlocksAsUpright) {
  EXPECT_EQ(ReadExifOrientation(""), 1);
  EXPECT_EQ(ReadExifOrientation("broken"), 1);
  const std::string block = ExifBlock(6);
  for (size_t size = 0; size < 22; ++size) EXPECT_EQ(ReadExifOrientation(block.substr(0, size)), 1) << size;
  std::string far = block;
  far.replace(4, 4, "\xFF\xFF\xFF\xFF");
  EXPECT_EQ(ReadExifOrientation(far), 1);
  std::string many(block.substr(0, 8) + "\xFF\xFF");
  EXPECT_EQ(ReadExifOrientation(many), 1);
}

TEST(ReadExifOrientationTest, SurvivesDamage) {
  std::mt19937 random(3);
  for (int i = 0; i < 5000; ++i) {
    std::string block = i % 2 == 0 ? ExifBlock(6) : BigEndianBlock(3, std::string("\0\x06\0\0", 4));
    for (int flips = 0; flips < 3; ++flips) block[random() % block.size()] = static_cast<char>(random());
    block.resize(random() % (block.size() + 1));
    const int orientation = ReadExifOrientation(block);
    EXPECT_GE(orientation, 1);
    EXPECT_LE(orientation, 8);
  }
}

}  // namespace
}  // namespace kandinsky
