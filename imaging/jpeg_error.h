#pragma once

// libjpeg's header needs these before it.
#include <csetjmp>
#include <cstddef>
#include <cstdio>

#include <jpeglib.h>

namespace kandinsky {

// libjpeg's error handler of one file: errors, and warnings that pixel data are missing or damaged, leave by
// longjmp to `jump`; other warnings are ignored. Nothing is printed. Functions that set `jump` must own
// nothing that has a destructor.
struct JpegErrors {
  jpeg_error_mgr manager{};  // first, so that libjpeg's pointer to it leads to the rest
  std::jmp_buf jump{};
  bool has_all_rows = false;  // set it when no warning can be of pixels any more

  JpegErrors();
};

// Whether the error was that the system has no more memory.
bool IsOutOfMemory(const JpegErrors& errors);

}  // namespace kandinsky
