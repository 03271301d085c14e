#include "imaging/jpeg_error.h"

#include <jerror.h>

namespace kandinsky {
namespace {

void OnError(j_common_ptr info) {
  std::longjmp(reinterpret_cast<JpegErrors*>(info->err)->jump, 1);  // NOLINT(cert-err52-cpp)
}

// Warnings after which libjpeg makes pixels up. The others are of bytes that are left over, of headers that
// contradict themselves and of unknown versions.
bool MeansLostPixels(j_common_ptr info) {
  switch (info->err->msg_code) {
    case JWRN_ARITH_BAD_CODE:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_JPEG_EOF:
    case JWRN_MUST_RESYNC:
      return true;
    case JWRN_BOGUS_PROGRESSION:
      // A scan that refines what no scan before it brought. One that begins anew lacks nothing.
      return reinterpret_cast<j_decompress_ptr>(info)->Ah != 0;
    default:
      return false;
  }
}

// Negative levels are warnings.
void OnMessage(j_common_ptr info, int level) {
  const bool has_all_rows = reinterpret_cast<JpegErrors*>(info->err)->has_all_rows;
  if (level < 0 && !has_all_rows && MeansLostPixels(info)) OnError(info);
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
