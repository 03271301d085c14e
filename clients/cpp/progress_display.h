#pragma once

#include <functional>
#include <map>
#include <ostream>
#include <string>

#include "clients/cpp/standard_streams.h"
#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky::client {

// "encode", "prior", "denoise", "decode"; "work" for a stage that this client does not know.
const char* StageName(v1::Stage stage);

// E.g. "queued, 3 ahead, about 12.0 s".
std::string DescribeQueued(const v1::QueuedEvent& event);

// E.g. "denoise 25/50 of image 0, batch of 4, about 12.0 s"; the image only when there are several.
std::string DescribeProgress(const v1::ProgressEvent& event, int image_count);

// As much of the beginning of `text`, in UTF-8, as surely fits into so many columns of a terminal.
std::string CutToColumns(const std::string& text, int columns);

// "[##...] " of at most `columns`; empty when they are too few.
std::string ProgressBar(double fraction, int columns);

// Shows how a request goes: one line with a bar that is redrawn on a terminal, and is always narrower than
// it, otherwise a line whenever something worth a line has happened. Not thread-safe.
class ProgressDisplay {
 public:
  // `image_count` >= 1. `out` outlives the display. `columns` tells the width of the terminal, which may
  // change.
  ProgressDisplay(std::ostream& out, bool terminal, int image_count,
                  std::function<int()> columns = TerminalColumns);

  void OnQueued(const v1::QueuedEvent& event);
  void OnStarted(const v1::StartedEvent& event);
  void OnProgress(const v1::ProgressEvent& event);

  // Removes the bar from the terminal, so that other text can follow.
  void Clear();

 private:
  void Draw(const std::string& text);
  double Fraction() const;

  std::ostream& out_;
  const bool terminal_;
  const std::function<int()> columns_;
  const int image_count_;
  std::map<int, double> fractions_;  // done of the images that have begun, 0 to 1
  int last_position_ = -1;
  v1::Stage last_stage_ = v1::STAGE_UNSPECIFIED;
  int last_tenth_ = 0;
  bool drawn_ = false;
};

}  // namespace kandinsky::client
