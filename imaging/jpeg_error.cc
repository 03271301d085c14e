#include "imaging/jpeg_error.h"

#include <jerror.h>

namespace kandinsky {
namespace {

void OnError(j_common_ptr info) {
  std::longjmp(reinterpret_cast<JpegErrors*>(info->err)->jump, 1);  // NOLINT(cert-err52-cpp)
}

// Negative levels are warnings: the data is damaged and libjpeg would make something up.
void OnMessage(j_common_ptr info, int level) {
  if (level < 0) OnError(info);
}

void IgnoreOutput(j_common_ptr /*info*/) {}

}  // namespace

JpegErrors::JpegErrors() {
  jpeg_std_error(&manager);
  manager.error_exit = OnError;
  manager.emit_message = OnMessage;
  manager.output_message = IgnoreOutput;
}

bool IsOutOfMemory(const JpegErrors& errors) { return errors.manager.msg_code == JERR_OUT_OF_MEMORY; }

}  // namespace kandinsky
