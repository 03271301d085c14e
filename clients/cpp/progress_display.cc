#include "clients/cpp/progress_display.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace kandinsky {
namespace {

constexpr int kBarWidth = 30;

// Where a stage begins in the whole of an image, and its share; roughly as the time goes by.
struct StageShare {
  const char* name;
  double begin;
  double share;
};

StageShare ShareOf(v1::Stage stage) {
  switch (stage) {
    case v1::STAGE_ENCODE:
      return {"encode", 0.0, 0.01};
    case v1::STAGE_PRIOR:
      return {"prior", 0.01, 0.14};
    case v1::STAGE_DENOISE:
      return {"denoise", 0.15, 0.8};
    case v1::STAGE_DECODE:
      return {"decode", 0.95, 0.05};
    default:
      return {"work", 0.0, 0.0};
  }
}

std::string Seconds(const google::protobuf::Duration& duration) {
  return absl::StrFormat("%.1f s", static_cast<double>(duration.seconds()) + 1e-9 * duration.nanos());
}

}  // namespace

ProgressDisplay::ProgressDisplay(std::ostream& out, bool terminal, int image_count)
    : out_(out), terminal_(terminal), fractions_(static_cast<size_t>(std::max(1, image_count)), 0.0) {}

void ProgressDisplay::Draw(const std::string& text) {
  if (terminal_) {
    out_ << "\r\x1b[K" << text << std::flush;
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
  return std::accumulate(fractions_.begin(), fractions_.end(), 0.0) / static_cast<double>(fractions_.size());
}

void ProgressDisplay::OnQueued(const v1::QueuedEvent& event) {
  std::string text = absl::StrCat("queued, ", event.position(), " ahead");
  if (event.has_estimated_wait()) absl::StrAppend(&text, ", about ", Seconds(event.estimated_wait()));
  Draw(text);
}

void ProgressDisplay::OnStarted(const v1::StartedEvent& event) {
  Draw(absl::StrCat("started by ", event.worker(), " on ", event.device()));
}

void ProgressDisplay::OnProgress(const v1::ProgressEvent& event) {
  const StageShare share = ShareOf(event.stage());
  const size_t image = static_cast<size_t>(event.image_index());
  if (image < fractions_.size() && event.total_steps() > 0) {
    fractions_[image] = share.begin + share.share * event.step() / event.total_steps();
  }
  const double fraction = Fraction();
  const int tenth = static_cast<int>(10 * fraction);
  if (!terminal_ && event.stage() == last_stage_ && tenth == last_tenth_) return;
  last_stage_ = event.stage();
  last_tenth_ = tenth;

  std::string text;
  if (terminal_) {
    const int filled = static_cast<int>(kBarWidth * fraction);
    text = absl::StrCat("[", std::string(static_cast<size_t>(filled), '#'),
                        std::string(static_cast<size_t>(kBarWidth - filled), '.'), "] ");
  }
  absl::StrAppendFormat(&text, "%3.0f %%  %s %d/%d", 100 * fraction, share.name, event.step(),
                        event.total_steps());
  if (fractions_.size() > 1) absl::StrAppend(&text, " of image ", event.image_index());
  if (event.has_estimated_remaining())
    absl::StrAppend(&text, ", about ", Seconds(event.estimated_remaining()));
  Draw(text);
}

}  // namespace kandinsky
