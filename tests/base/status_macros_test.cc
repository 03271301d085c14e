#include "base/status_macros.h"

#include <gtest/gtest.h>

#include <memory>

namespace kandinsky {
namespace {

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return absl::InvalidArgumentError("odd");
  return value / 2;
}

absl::StatusOr<int> Quarter(int value) {
  ASSIGN_OR_RETURN(int half, Half(value));
  ASSIGN_OR_RETURN(half, Half(half));
  return half;
}

TEST(StatusMacrosTest, AssignOrReturnDeclaresAndAssigns) { EXPECT_EQ(*Quarter(12), 3); }

TEST(StatusMacrosTest, AssignOrReturnReturnsTheError) {
  EXPECT_EQ(Quarter(3).status(), absl::InvalidArgumentError("odd"));
  EXPECT_EQ(Quarter(6).status(), absl::InvalidArgumentError("odd"));
}

TEST(StatusMacrosTest, AssignOrReturnMovesTheValue) {
  const auto unwrap = []() -> absl::StatusOr<int> {
    ASSIGN_OR_RETURN(const std::unique_ptr<int> value,
                     absl::StatusOr<std::unique_ptr<int>>(std::make_unique<int>(7)));
    return *value;
  };
  EXPECT_EQ(*unwrap(), 7);
}

TEST(StatusMacrosTest, ReturnIfErrorGoesOnAfterOkOnly) {
  int reached = 0;
  const auto run = [&](const absl::Status& status) -> absl::Status {
    RETURN_IF_ERROR(status);
    ++reached;
    return absl::OkStatus();
  };
  EXPECT_TRUE(run(absl::OkStatus()).ok());
  EXPECT_EQ(run(absl::InternalError("x")), absl::InternalError("x"));
  EXPECT_EQ(reached, 1);
}

TEST(StatusMacrosTest, ReturnIfErrorEvaluatesItsExpressionOnce) {
  int calls = 0;
  const auto count = [&] {
    ++calls;
    return absl::InternalError("x");
  };
  const auto run = [&]() -> absl::Status {
    RETURN_IF_ERROR(count());
    return absl::OkStatus();
  };
  EXPECT_FALSE(run().ok());
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace kandinsky
