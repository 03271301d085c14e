#pragma once

#include <string>
#include <string_view>

#include "imaging/image.h"

namespace kandinsky {

// Noise: the hardest image for a codec. The same for the same arguments.
Image NoiseImage(int width, int height, int channels);

// Smooth waves with a few hard edges and a little noise, as in a photograph. The same for the same arguments.
Image PhotoLikeImage(int width, int height, int channels);

// Peak signal to noise ratio in dB of two images of one shape; 0 for others, 999 for equal ones.
double Psnr(const Image& a, const Image& b);

// ---- files with chosen metadata ----

// A TIFF structure with one entry, the orientation.
std::string ExifBlock(int orientation);

// `jpeg` with a segment behind its start.
std::string WithJpegSegment(std::string_view jpeg, uint8_t marker, std::string_view data);

// A PNG chunk with its checksum.
std::string PngChunk(std::string_view type, std::string_view data);

// A RIFF chunk with its padding, and a WebP file of such chunks.
std::string RiffChunk(std::string_view name, std::string_view data);
std::string WebpFile(std::string_view chunks);

// The chunks of a WebP file.
std::string_view WebpChunks(std::string_view webp);

// The extended header: flags, then the size of the canvas.
std::string WebpExtendedHeader(uint8_t flags, int width, int height);

}  // namespace kandinsky
