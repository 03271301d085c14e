#include "imaging/jpeg.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "imaging/jpeg_error.h"

#include <jerror.h>

namespace kandinsky {
namespace {

constexpr int kFullColorQuality = 90;

// Collects the output. libjpeg's own memory destination loses its buffer when an error interrupts it.
struct JpegOutput {
  jpeg_destination_mgr manager{};  // first, so that libjpeg's pointer to it leads to the rest
  uint8_t* bytes = nullptr;        // from malloc
  size_t capacity = 0;

  size_t size() const { return capacity - manager.free_in_buffer; }
};

boolean Grow(j_compress_ptr info) {
  auto* output = reinterpret_cast<JpegOutput*>(info->dest);
  const size_t used = output->capacity;  // libjpeg calls when nothing is free, whatever free_in_buffer says
  const size_t capacity = std::max(2 * used, size_t{1} << 16);
  void* bytes = std::realloc(output->bytes, capacity);
  if (bytes == nullptr) ERREXIT1(info, JERR_OUT_OF_MEMORY, 0);
  output->bytes = static_cast<uint8_t*>(bytes);
  output->capacity = capacity;
  output->manager.next_output_byte = output->bytes + used;
  output->manager.free_in_buffer = capacity - used;
  return TRUE;
}

void Begin(j_compress_ptr info) { Grow(info); }
void End(j_compress_ptr /*info*/) {}

// Owns libjpeg's structures and the output.
struct JpegWriter {
  JpegWriter() {
    info.err = &errors.manager;
    output.manager.init_destination = Begin;
    output.manager.empty_output_buffer = Grow;
    output.manager.term_destination = End;
  }
  ~JpegWriter() {
    jpeg_destroy_compress(&info);
    std::free(output.bytes);
  }
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;

  JpegErrors errors;
  jpeg_compress_struct info{};
  JpegOutput output;
};

// Where libjpeg's longjmp lands. Owns nothing that has a destructor.
bool Encode(JpegWriter& writer, const Image& image, int quality) {
  if (setjmp(writer.errors.jump) != 0) return false;  // NOLINT(cert-err52-cpp)
  jpeg_compress_struct& info = writer.info;
  jpeg_create_compress(&info);
  info.dest = &writer.output.manager;
  info.image_width = static_cast<JDIMENSION>(image.width);
  info.image_height = static_cast<JDIMENSION>(image.height);
  info.input_components = image.channels;
  info.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  const int luma_samples = image.channels == 3 && quality < kFullColorQuality ? 2 : 1;
  info.comp_info[0].h_samp_factor = luma_samples;
  info.comp_info[0].v_samp_factor = luma_samples;
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    // libjpeg's interface is older than const.
    JSAMPROW row = const_cast<uint8_t*>(image.pixels.data()) + info.next_scanline * image.row_bytes();
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  return true;
}

}  // namespace

absl::StatusOr<std::string> EncodeJpeg(const Image& image, int quality) {
  RETURN_IF_ERROR(CheckImage(image));
  if (image.channels == 4) return absl::InvalidArgumentError("JPEG has no alpha channel");
  if (std::max(image.width, image.height) > JPEG_MAX_DIMENSION) {
    return absl::InvalidArgumentError(
        absl::StrCat("a side of a JPEG is at most ", JPEG_MAX_DIMENSION, " pixels"));
  }
  if (quality < 1 || quality > 100) {
    return absl::InvalidArgumentError(absl::StrCat("JPEG quality ", quality, " is not in 1..100"));
  }
  JpegWriter writer;
  if (!Encode(writer, image, quality)) {
    if (IsOutOfMemory(writer.errors)) return absl::ResourceExhaustedError("no memory for the JPEG encoder");
    return absl::InternalError("JPEG compression failed");
  }
  return std::string(reinterpret_cast<const char*>(writer.output.bytes), writer.output.size());
}

}  // namespace kandinsky
