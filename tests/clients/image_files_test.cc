#include "clients/cpp/image_files.h"

#include <gtest/gtest.h>

namespace kandinsky::client {
namespace {

TEST(ImagePathTest, PutsTheIndexBeforeTheExtension) {
  EXPECT_EQ(ImagePath("a/cat.png", 0, 1), "a/cat.png");
  EXPECT_EQ(ImagePath("a/cat.png", 2, 3), "a/cat-2.png");
  EXPECT_EQ(ImagePath("cat", 0, 2), "cat-0");
  EXPECT_EQ(ImagePath("a.b/cat.tar.png", 1, 2), "a.b/cat.tar-1.png");
}

TEST(PreviewPathTest, PutsImageAndStepWhereThePatternHasThem) {
  v1::PreviewEvent preview;
  preview.set_image_index(1);
  preview.set_step(5);
  EXPECT_EQ(PreviewPath("a/p.png", preview, 1), "a/p.png");
  EXPECT_EQ(PreviewPath("a/p.png", preview, 2), "a/p-1.png");
  EXPECT_EQ(PreviewPath("a/{step}.png", preview, 1), "a/0005.png");
  EXPECT_EQ(PreviewPath("a/{step}.png", preview, 2), "a/0005-1.png");
  EXPECT_EQ(PreviewPath("a/{image}_{step}.png", preview, 2), "a/1_0005.png");
}

}  // namespace
}  // namespace kandinsky::client
