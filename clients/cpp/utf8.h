#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace kandinsky::client {

// Texts of a request must be UTF-8. The program says so before protobuf sees them, which would complain on
// the standard error in words of its own.

// Where the first byte is that begins no character of UTF-8 (RFC 3629: no overlong forms, no surrogates,
// nothing above U+10FFFF); nothing when all are right.
std::optional<size_t> FindBadUtf8(const std::string& text);

// What is wrong with a text, e.g. "must be UTF-8, and the byte 0xff at 2 is not"; empty when it is UTF-8.
std::string Utf8Error(const std::string& text);

}  // namespace kandinsky::client
