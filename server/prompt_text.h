#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace kandinsky::server {

// Why `text` cannot be a prompt: longer than `max_bytes`, not UTF-8 (overlong forms and surrogates included),
// or a control character (U+0000-001F, U+007F-009F) that is no white space (see base/white_space.h). Nothing
// when it can.
std::optional<std::string> PromptTextViolation(const std::string& text, size_t max_bytes);

}  // namespace kandinsky::server
