#pragma once

#include <cstdio>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "training/trainer.h"

namespace kandinsky::training {

// What a training tells its user: a progress line (loss, images per second, time that remains), redrawn on
// a terminal; metrics.jsonl in the output folder, one object per logged step, appended to by resumed runs;
// and loss.svg. Used by one thread.
class TrainingLog {
 public:
  // `out` outlives the log. Errors here and below are those of the system, with the file and its reason:
  // PERMISSION_DENIED, RESOURCE_EXHAUSTED when the disk is full.
  static absl::StatusOr<std::unique_ptr<TrainingLog>> Open(const std::string& output_folder,
                                                           int64_t every_steps, std::ostream& out,
                                                           bool terminal);

  // The steps begin after `finished_steps`: what metrics.jsonl holds of later ones, of a run that went on
  // from an earlier checkpoint, is taken out, and the rest is part of the plot. Until the new file is
  // complete the old one stays.
  absl::Status BeginAt(int64_t finished_steps);

  // Ends the progress line, so that other text can follow.
  void EndLine();

  // Embeddings of the frozen networks: `done` of `total`.
  void OnFeatures(int64_t done, int64_t total);

  // Counts the step, and tells and writes it when its turn has come.
  absl::Status OnStep(const StepReport& report);

  // Writes loss.svg, after at least two logged steps.
  absl::Status WritePlot() const;

  // A line of its own.
  void Say(const std::string& text);

 private:
  TrainingLog(std::string output_folder, int64_t every_steps, std::ostream& out, bool terminal);

  absl::Status OpenMetrics();
  // The mean of the steps since the last logged one.
  StepReport TakeMean(const StepReport& last);
  void Draw(const std::string& text);

  const std::string output_folder_;
  const int64_t every_steps_;
  std::ostream& out_;
  const bool terminal_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> metrics_ = {nullptr, &std::fclose};
  std::vector<StepReport> since_last_;
  std::vector<std::pair<double, double>> losses_;  // step, loss
  bool drawn_ = false;
};

// The progress line, e.g. "step 120/1000  loss 0.1234  lr 1.0e-04  35.2 samples/s  4m10s left". `report` is a
// mean: its samples and duration are those of one step.
std::string DescribeStep(const StepReport& report);

}  // namespace kandinsky::training
