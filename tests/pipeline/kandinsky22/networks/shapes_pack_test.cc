// The trained model of the repository, models/shapes, draws what it is told. What it reaches over hundreds of
// prompts is judged by tools/shapes_pack/judge_model.py.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/pipeline/kandinsky22/networks/pipeline_test_support.h"

namespace kandinsky {
namespace {

constexpr int kEdge = 64;
using Rgb = std::array<double, 3>;
constexpr Rgb kRed = {215, 35, 35};
constexpr Rgb kGreen = {40, 160, 60};
constexpr Rgb kBlue = {40, 80, 220};
constexpr Rgb kYellow = {250, 215, 40};
constexpr Rgb kWhite = {250, 250, 250};

std::string PackFolder(const std::string& task) { return KANDINSKY_SOURCE_DIR "/models/shapes" + task; }

GenerationRequest ShapesRequest(const std::string& prompt, uint64_t seed) {
  GenerationRequest request;
  request.prompt = prompt;
  request.width = kEdge;
  request.height = kEdge;
  request.steps = 20;
  request.prior_steps = 15;
  request.guidance_scale = 2;
  request.prior_guidance_scale = 1.3f;
  request.seed = seed;
  return request;
}

// The mean of 5 x 5 pixels.
Rgb ColorAt(const Image& image, int x, int y) {
  constexpr int kReach = 2;
  Rgb sum = {};
  for (int row = y - kReach; row <= y + kReach; ++row) {
    for (int column = x - kReach; column <= x + kReach; ++column) {
      for (size_t c = 0; c < 3; ++c) {
        sum[c] +=
            image.pixels[static_cast<size_t>(row) * image.row_bytes() + static_cast<size_t>(column) * 3 + c];
      }
    }
  }
  for (double& value : sum) value /= (2 * kReach + 1) * (2 * kReach + 1);
  return sum;
}

double Distance(const Rgb& a, const Rgb& b) { return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]); }

constexpr double kSameColor = 90;  // of 441; the named colors are further from each other

Image Draw(LoadedPipeline& pipeline, const GenerationRequest& request) {
  GenerationResult result = RunAlone(pipeline, request);
  return *std::move(result.image);
}

struct Place {
  int x;
  int y;
  Rgb color;
};
struct Sentence {
  std::string prompt;
  std::vector<Place> places;
};

TEST(ShapesPackTest, ColorsAndPlacesAreThoseOfThePromptInSeveralLanguages) {
  const std::vector<Sentence> sentences = {
      {"a large red circle in the centre on a white background", {{32, 32, kRed}, {6, 6, kWhite}}},
      {"ein großes blaues Quadrat oben links", {{16, 16, kBlue}}},
      {"un grand carré jaune en bas à droite", {{48, 48, kYellow}}},
      {"большой зелёный круг слева", {{16, 32, kGreen}}},
      {"a large red circle left of a large blue square", {{16, -1, kRed}, {48, -1, kBlue}}}};
  const std::unique_ptr<LoadedPipeline> pipeline = LoadPipeline(PackFolder(""));
  for (const Sentence& sentence : sentences) {
    const Image image = Draw(*pipeline, ShapesRequest(sentence.prompt, 7));
    for (const Place& place : sentence.places) {
      // Of two things side by side only the column is said: in one of the three rows.
      double nearest = Distance(ColorAt(image, place.x, place.y >= 0 ? place.y : 16), place.color);
      for (const int y : {32, 48}) {
        if (place.y < 0) nearest = std::min(nearest, Distance(ColorAt(image, place.x, y), place.color));
      }
      EXPECT_LT(nearest, kSameColor) << sentence.prompt << ", at " << place.x << ", " << place.y;
    }
  }
}

TEST(ShapesPackTest, InpaintingKeepsWhatIsOutsideOfTheMaskAndPaintsTheNamedThingInside) {
  const std::unique_ptr<LoadedPipeline> pipeline = LoadPipeline(PackFolder("/inpaint"));
  auto start = std::make_shared<Image>(Image{.width = kEdge,
                                             .height = kEdge,
                                             .channels = 3,
                                             .pixels = std::vector<uint8_t>(size_t{kEdge} * kEdge * 3, 250)});
  auto mask = std::make_shared<Image>(Image{.width = kEdge,
                                            .height = kEdge,
                                            .channels = 1,
                                            .pixels = std::vector<uint8_t>(size_t{kEdge} * kEdge, 0)});
  for (int y = 0; y < kEdge; ++y) {
    for (int x = 0; x < kEdge; ++x) {
      const auto pixel = static_cast<size_t>(y * kEdge + x);
      if (x >= 32 && y >= 16 && y < 48) mask->pixels[pixel] = 255;
      if (x < 8 || x >= 24 || y < 24 || y >= 40) continue;
      for (size_t c = 0; c < 3; ++c) start->pixels[pixel * 3 + c] = static_cast<uint8_t>(kRed[c]);
    }
  }
  GenerationRequest request = ShapesRequest("a red square left of a large blue circle", 3);
  request.task = Inpaint{.image = start, .mask = mask};
  const Image image = Draw(*pipeline, request);
  EXPECT_LT(Distance(ColorAt(image, 48, 32), kBlue), kSameColor);
  EXPECT_LT(Distance(ColorAt(image, 16, 32), kRed), kSameColor / 2);
  EXPECT_LT(Distance(ColorAt(image, 16, 8), kWhite), kSameColor / 4);
}

// A disc of a radius of 12 pixels of the image, near, on a far ground.
SharedFloatTensor DiscAt(int center_x, int center_y) {
  constexpr int kHintEdge = 2 * kEdge;  // 8 x 8 for each latent cell of 4 x 4 pixels
  FloatTensor hint = {.shape = {3, kHintEdge, kHintEdge},
                      .values = std::vector<float>(size_t{3} * kHintEdge * kHintEdge, 40.0f / 255)};
  for (int y = 0; y < kHintEdge; ++y) {
    for (int x = 0; x < kHintEdge; ++x) {
      if (std::hypot(x + 0.5 - 2 * center_x, y + 0.5 - 2 * center_y) > 24) continue;
      for (int c = 0; c < 3; ++c) {
        hint.values[static_cast<size_t>((c * kHintEdge + y) * kHintEdge + x)] = 225.0f / 255;
      }
    }
  }
  return std::make_shared<FloatTensor>(std::move(hint));
}

TEST(ShapesPackTest, AThingStandsWhereTheDepthMapHasOne) {
  const std::unique_ptr<LoadedPipeline> pipeline = LoadPipeline(PackFolder("/depth"));
  for (const auto& [x, y] : {std::pair(48, 16), std::pair(16, 48)}) {
    GenerationRequest request = ShapesRequest("a large green circle on a white background", 5);
    request.task = ControlNet{.hint = DiscAt(x, y), .init = {}};
    const Image image = Draw(*pipeline, request);
    EXPECT_LT(Distance(ColorAt(image, x, y), kGreen), kSameColor) << x << ", " << y;
    EXPECT_LT(Distance(ColorAt(image, kEdge - x, kEdge - y), kWhite), kSameColor / 2) << x << ", " << y;
  }
}

}  // namespace
}  // namespace kandinsky
