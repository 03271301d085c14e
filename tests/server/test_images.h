#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "imaging/image.h"
#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky::server {

// Images as clients send them, good and bad.

// All of one color, gray for one channel.
Image PlainImage(int width, int height, uint8_t value = 128, int channels = 3);

std::string PngOf(const Image& image);
std::string JpegOf(const Image& image);
std::string WebpOf(const Image& image);

// A PNG of one color.
std::string PlainPng(int width, int height, uint8_t value = 128, int channels = 3);

// The first bytes of a PNG whose header asks for this size; nothing else is there.
std::string PngHeader(uint32_t width, uint32_t height);

// 38 bytes of a lossless WebP whose header asks for the largest size that there is, 16383 x 16383.
std::string LargestWebpHeader();

// A PNG whose header is right and whose pixels end early.
std::string TruncatedPng(int width, int height);

// A tensor, all of one value.
v1::FloatTensor PlainTensor(const std::vector<int>& shape, float value);

// An embedding, all of one value.
v1::Embedding PlainEmbedding(int size, float value);

}  // namespace kandinsky::server
