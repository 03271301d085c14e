#pragma once

#include <string>
#include <string_view>

namespace kandinsky {

// A tEXt, zTXt or iTXt chunk of a PNG file.
struct PngTextChunk {
  std::string_view type;
  std::string_view data;
};

// The key of a text chunk; empty for other types.
std::string_view PngTextKey(std::string_view type, std::string_view data);

// The text of a text chunk, decompressed. Empty when it is damaged or longer than 1 MiB decompressed, which
// is Pillow's bound too.
std::string PngTextValue(const PngTextChunk& chunk);

// The bytes of a "raw profile", ImageMagick's way to put binary data into a text: an empty line, its kind,
// its length, then lines of hexadecimal digits. Empty when it is none.
std::string ParseRawProfile(std::string_view text);

}  // namespace kandinsky
