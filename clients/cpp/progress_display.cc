#include "clients/cpp/progress_display.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "clients/cpp/rich_error.h"

namespace kandinsky::client {
namespace {

constexpr int kBarWidth = 30;
constexpr int kLeastBarWidth = 5;

// Where a stage begins in the whole of an image, and its share; roughly as the time goes by.
struct StageShare {
  double begin = 0;
  double share = 0;
};

StageShare ShareOf(v1::Stage stage) {
  switch (stage) {
    case v1::STAGE_ENCODE:
      return {0.0, 0.01};
    case v1::STAGE_PRIOR:
      return {0.01, 0.14};
    case v1::STAGE_DENOISE:
      return {0.15, 0.8};
    case v1::STAGE_DECODE:
      return {0.95, 0.05};
    default:
      return {};
  }
}

std::string About(const google::protobuf::Duration& duration) {
  return absl::StrFormat(", about %.1f s", static_cast<double>(duration.seconds()) + 1e-9 * duration.nanos());
}

}  // namespace

const char* StageName(v1::Stage stage) {
  switch (stage) {
    case v1::STAGE_ENCODE:
      return "encode";
    case v1::STAGE_PRIOR:
      return "prior";
    case v1::STAGE_DENOISE:
      return "denoise";
    case v1::STAGE_DECODE:
      return "decode";
    default:
      return "work";
  }
}

std::string DescribeQueued(const v1::QueuedEvent& event) {
  std::string text = absl::StrCat("queued, ", event.position(), " ahead");
  if (event.has_estimated_wait()) absl::StrAppend(&text, About(event.estimated_wait()));
  return text;
}

std::string DescribeProgress(const v1::ProgressEvent& event, int image_count) {
  std::string text = absl::StrCat(StageName(event.stage()), " ", event.step(), "/", event.total_steps());
  if (image_count > 1) absl::StrAppend(&text, " of image ", event.image_index());
  if (event.batch_rows() > 0) absl::StrAppend(&text, ", batch of ", event.batch_rows());
  if (event.has_estimated_remaining()) absl::StrAppend(&text, About(event.estimated_remaining()));
  return text;
}

std::string CutToColumns(const std::string& text, int columns) {
  size_t end = 0;
  while (end < text.size()) {
    size_t next = end + 1;
    while (next < text.size() && (static_cast<unsigned char>(text[next]) & 0xc0) == 0x80) ++next;
    // Characters outside ASCII take two columns at most.
    columns -= static_cast<unsigned char>(text[end]) < 0x80 ? 1 : 2;
    if (columns < 0) break;
    end = next;
  }
  return text.substr(0, end);
}

std::string ProgressBar(double fraction, int columns) {
  const int width = std::min(columns - 3, kBarWidth);  // brackets, and a blank behind them
  if (width < kLeastBarWidth) return "";
  const auto filled = static_cast<size_t>(width * fraction);
  return absl::StrCat("[", std::string(filled, '#'), std::string(static_cast<size_t>(width) - filled, '.'),
                      "] ");
}

ProgressDisplay::ProgressDisplay(std::ostream& out, bool terminal, int image_count,
                                 std::function<int()> columns)
    : out_(out), terminal_(terminal), columns_(std::move(columns)), image_count_(std::max(1, image_count)) {}

void ProgressDisplay::Draw(const std::string& text) {
  if (terminal_) {
    // What reaches the last column may wrap, and then it is not one line that is drawn over.
    out_ << "\r\x1b[K" << CutToColumns(text, columns_() - 1) << std::flush;
    drawn_ = true;
  } else {
    out_ << text << std::endl;
  }
}

void ProgressDisplay::Clear() {
  if (drawn_) out_ << "\r\x1b[K" << std::flush;
  drawn_ = false;
}

double ProgressDisplay::Fraction() const {
  double done = 0;
  for (const auto& [image, fraction] : fractions_) done += fraction;
  return done / image_count_;
}

void ProgressDisplay::OnQueued(const v1::QueuedEvent& event) {
  if (!terminal_ && event.position() == last_position_) return;
  last_position_ = event.position();
  Draw(DescribeQueued(event));
}

void ProgressDisplay::OnStarted(const v1::StartedEvent& event) {
  Draw(OneLine(absl::StrCat("started by ", event.worker(), " on ", event.device())));
}

void ProgressDisplay::OnProgress(const v1::ProgressEvent& event) {
  const StageShare share = ShareOf(event.stage());
  const int image = event.image_index();
  if (image >= 0 && image < image_count_ && event.total_steps() > 0) {
    const double done = std::clamp(static_cast<double>(event.step()) / event.total_steps(), 0.0, 1.0);
    fractions_[image] = share.begin + share.share * done;
  }
  const double fraction = Fraction();
  const int tenth = static_cast<int>(10 * fraction);
  if (!terminal_ && event.stage() == last_stage_ && tenth == last_tenth_) return;
  last_stage_ = event.stage();
  last_tenth_ = tenth;

  const std::string text =
      absl::StrFormat("%3.0f %%  ", 100 * fraction) + DescribeProgress(event, image_count_);
  if (!terminal_) return Draw(text);
  // The bar gets what the words leave.
  Draw(ProgressBar(fraction, columns_() - 1 - static_cast<int>(text.size())) + text);
}

}  // namespace kandinsky::client
