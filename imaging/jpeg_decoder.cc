#include "imaging/jpeg_decoder.h"

#include <algorithm>
#include <string>

#include "base/status_macros.h"
#include "imaging/jpeg_error.h"
#include "imaging/orientation.h"

#include <jerror.h>

namespace kandinsky {
namespace {

// What libjpeg may hold besides the output: the coefficients of a 16 Mpx image of three full-size
// components, which several scans build up (96 MB), and small tables.
constexpr long kMaxWorkingBytes = 100L << 20;  // NOLINT(google-runtime-int): libjpeg's type
// Each scan may go over every block again. Encoders write about ten.
constexpr int kMaxScans = 100;

constexpr uint8_t kFirstMarker = 0xC0;   // those below are reserved
constexpr uint8_t kFirstRestart = 0xD0;  // with the seven behind it
constexpr uint8_t kEndOfImage = 0xD9;    // behind start of image
constexpr uint8_t kStartOfScan = 0xDA;
constexpr uint8_t kApp1 = 0xE1;
constexpr std::string_view kExifPrefix("Exif\0\0", 6);
constexpr std::string_view kXmpPrefix("http://ns.adobe.com/xap/1.0/\0", 29);

size_t Byte(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }
size_t Uint16(std::string_view bytes, size_t at) { return Byte(bytes, at) << 8 | Byte(bytes, at + 1); }

// SOF0-SOF15 without the three markers among them that mean other things (DHT, JPG, DAC).
bool IsFrameHeader(size_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

// Baseline, extended sequential and progressive, with Huffman or arithmetic coding.
bool IsSupportedFrame(size_t marker) { return marker <= 0xC2 || marker == 0xC9 || marker == 0xCA; }

// Markers that stand alone: restarts, start and end of an image. Tables may come as an image of their own
// before the image.
bool HasNoSegment(size_t marker) { return marker >= kFirstRestart && marker <= kEndOfImage; }

absl::Status Damaged() { return CannotDecode("JPEG", "damaged or truncated"); }

absl::StatusOr<EncodedHeader> ParseFrameHeader(size_t marker, std::string_view frame) {
  if (!IsSupportedFrame(marker)) return CannotDecode("JPEG", "unsupported coding process");
  if (frame.size() < 6) return Damaged();
  if (Byte(frame, 0) != 8) return CannotDecode("JPEG", "not 8 bits per sample");
  const EncodedHeader header{static_cast<int>(Uint16(frame, 3)), static_cast<int>(Uint16(frame, 1))};
  if (header.width == 0 || header.height == 0) return CannotDecode("JPEG", "impossible size");
  const size_t components = Byte(frame, 5);
  if (components != 1 && components != 3 && components != 4) {
    return CannotDecode("JPEG", "not 1, 3 or 4 components");
  }
  return header;
}

// Stops the decoder when there are too many scans. libjpeg calls it several times in each.
void CountScans(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMaxScans) return;
  info->err->msg_code = JERR_NOTIMPL;
  info->err->error_exit(info);
}

// Owns libjpeg's structures.
struct JpegReader {
  JpegReader() {
    info.err = &errors.manager;
    progress.progress_monitor = CountScans;
  }
  ~JpegReader() { jpeg_destroy_decompress(&info); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  JpegErrors errors;
  jpeg_decompress_struct info{};
  jpeg_progress_mgr progress{};
};

// Pillow's conversion, without a profile, of what Adobe's programs store: 255 means no ink.
void ConvertInvertedCmyk(const uint8_t* cmyk, uint8_t* rgb, unsigned width) {
  for (unsigned x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
    const int white = cmyk[3];
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - cmyk[c]) * white + 128;
      rgb[c] = static_cast<uint8_t>(std::clamp(white - ((product + (product >> 8)) >> 8), 0, 255));
    }
  }
}

// The two functions below are where libjpeg's longjmp lands. They own nothing that has a destructor.

bool Start(JpegReader& reader, const uint8_t* data, size_t size) {
  if (setjmp(reader.errors.jump) != 0) return false;  // NOLINT(cert-err52-cpp)
  jpeg_create_decompress(&reader.info);
  reader.info.mem->max_memory_to_use = kMaxWorkingBytes;
  reader.info.progress = &reader.progress;
  jpeg_mem_src(&reader.info, data, size);
  while (jpeg_read_header(&reader.info, FALSE) == JPEG_HEADER_TABLES_ONLY) {
  }
  return true;
}

// Whether there was a scan of each: the first latches the component's quantization table.
bool HasEveryComponent(const jpeg_decompress_struct& info) {
  return std::all_of(info.comp_info, info.comp_info + info.num_components,
                     [](const jpeg_component_info& component) { return component.quant_table != nullptr; });
}

// Whether the scans of a progressive image bring every coefficient in full; true for the other kinds. A
// file may be without the high frequencies of a component: they are zero. Of the low ones libjpeg makes up
// what is missing, and coefficients that lack bits say that a scan is.
bool HasEveryCoefficient(const jpeg_decompress_struct& info) {
  constexpr int kMadeUp = 10;  // the first, in zigzag order
  if (info.coef_bits == nullptr) return true;
  for (int component = 0; component < info.num_components; ++component) {
    for (int k = 0; k < DCTSIZE2; ++k) {
      const int missing_bits = info.coef_bits[component][k];  // negative: all
      if (missing_bits > 0 || (missing_bits < 0 && k < kMadeUp)) return false;
    }
  }
  return true;
}

// `cmyk_row`, if there are four components, has room for a row of them.
bool ReadPixels(JpegReader& reader, Image& image, uint8_t* cmyk_row) {
  if (setjmp(reader.errors.jump) != 0) return false;  // NOLINT(cert-err52-cpp)
  jpeg_decompress_struct& info = reader.info;
  info.out_color_space = cmyk_row != nullptr ? JCS_CMYK : (image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB);
  jpeg_start_decompress(&info);  // of several scans reads all
  if (!HasEveryComponent(info) || !HasEveryCoefficient(info)) return false;
  while (info.output_scanline < info.output_height) {
    uint8_t* const out = image.pixels.data() + info.output_scanline * image.row_bytes();
    JSAMPROW row = cmyk_row != nullptr ? cmyk_row : out;
    jpeg_read_scanlines(&info, &row, 1);
    if (cmyk_row != nullptr) ConvertInvertedCmyk(cmyk_row, out, info.output_width);
  }
  reader.errors.has_all_rows = true;
  jpeg_finish_decompress(&info);  // reads on to the end of the image
  return true;
}

absl::Status ErrorOf(const JpegErrors& errors) {
  if (IsOutOfMemory(errors)) return absl::ResourceExhaustedError("no memory for the JPEG decoder");
  switch (errors.manager.msg_code) {
    case JERR_NO_BACKING_STORE:
      return CannotDecode("JPEG", "its scans need too much memory");
    case JERR_NOTIMPL:
      return CannotDecode("JPEG", "too many scans");
    default:
      return Damaged();
  }
}

}  // namespace

bool HasJpegSignature(std::string_view bytes) { return bytes.substr(0, 3) == "\xFF\xD8\xFF"; }

absl::StatusOr<EncodedHeader> ReadJpegHeader(std::string_view bytes) {
  EncodedHeader header;
  std::string exif;
  std::string_view xmp;
  size_t at = 2;  // behind the start of the image
  while (at + 4 <= bytes.size()) {
    const size_t marker = Byte(bytes, at + 1);
    // Fill bytes, and what is no marker, are passed over as libjpeg does.
    if (Byte(bytes, at) != 0xFF || marker == 0xFF) {
      ++at;
      continue;
    }
    if (marker == 0 || HasNoSegment(marker)) {
      at += 2;
      continue;
    }
    if (marker == kStartOfScan) break;
    const size_t length = std::max(Uint16(bytes, at + 2), size_t{2});
    if (marker < kFirstMarker || length > bytes.size() - at - 2) return Damaged();
    const std::string_view segment = bytes.substr(at + 4, length - 2);
    if (IsFrameHeader(marker)) {
      if (header.width != 0) return Damaged();
      ASSIGN_OR_RETURN(header, ParseFrameHeader(marker, segment));
    } else if (marker == kApp1 && segment.starts_with(kExifPrefix)) {
      exif.append(segment.substr(exif.empty() ? 0 : kExifPrefix.size()));  // long blocks come in parts
    } else if (marker == kApp1 && segment.starts_with(kXmpPrefix)) {
      xmp = segment.substr(kXmpPrefix.size());
    }
    at += 2 + length;
  }
  if (header.width == 0) return CannotDecode("JPEG", "no header");
  header.orientation = ReadOrientation(exif, xmp);
  return header;
}

absl::StatusOr<Image> DecodeJpegPixels(std::string_view bytes, const EncodedHeader& header) {
  JpegReader reader;
  if (!Start(reader, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size())) {
    return ErrorOf(reader.errors);
  }
  const jpeg_decompress_struct& info = reader.info;
  if (info.image_width != static_cast<unsigned>(header.width) ||
      info.image_height != static_cast<unsigned>(header.height)) {
    return Damaged();
  }
  ASSIGN_OR_RETURN(Image image, AllocateImage(header.width, header.height, info.num_components == 1 ? 1 : 3));
  Image cmyk_row;
  if (info.num_components == 4) {
    ASSIGN_OR_RETURN(cmyk_row, AllocateImage(header.width, 1, 4));
  }
  if (!ReadPixels(reader, image, cmyk_row.pixels.empty() ? nullptr : cmyk_row.pixels.data())) {
    return ErrorOf(reader.errors);
  }
  return image;
}

}  // namespace kandinsky
