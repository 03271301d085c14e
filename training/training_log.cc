#include "training/training_log.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "imaging/line_plot.h"
#include "training/folder_replacement.h"

namespace kandinsky::training {
namespace {

constexpr size_t kMostPlotPoints = 400;

double SamplesPerSecond(const StepReport& report) {
  const double seconds = absl::ToDoubleSeconds(report.duration);
  return seconds > 0 ? static_cast<double>(report.samples) / seconds : 0;
}

// At most kMostPlotPoints means of neighbors.
std::vector<std::pair<double, double>> Thinned(const std::vector<std::pair<double, double>>& points) {
  const size_t group = (points.size() + kMostPlotPoints - 1) / kMostPlotPoints;
  std::vector<std::pair<double, double>> thinned;
  for (size_t begin = 0; begin < points.size(); begin += group) {
    const size_t end = std::min(begin + group, points.size());
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += points[i].second;
    thinned.emplace_back(points[end - 1].first, sum / static_cast<double>(end - begin));
  }
  return thinned;
}

}  // namespace

std::string DescribeStep(const StepReport& report) {
  const absl::Duration left = report.duration * (report.max_steps - report.step);
  return absl::StrFormat("step %d/%d  loss %.4f  lr %.1e  %.1f samples/s  %s left", report.step,
                         report.max_steps, report.loss, report.learning_rate, SamplesPerSecond(report),
                         absl::FormatDuration(absl::Ceil(left, absl::Seconds(1))));
}

absl::StatusOr<std::unique_ptr<TrainingLog>> TrainingLog::Open(const std::string& output_folder,
                                                               int64_t every_steps, std::ostream& out,
                                                               bool terminal) {
  std::error_code error;
  std::filesystem::create_directories(output_folder, error);
  if (error) return FileError(output_folder, error);
  std::unique_ptr<TrainingLog> log(new TrainingLog(output_folder, every_steps, out, terminal));
  RETURN_IF_ERROR(log->OpenMetrics());
  return log;
}

TrainingLog::TrainingLog(std::string output_folder, int64_t every_steps, std::ostream& out, bool terminal)
    : output_folder_(std::move(output_folder)), every_steps_(every_steps), out_(out), terminal_(terminal) {}

absl::Status TrainingLog::OpenMetrics() {
  const std::string path = output_folder_ + "/metrics.jsonl";
  metrics_.reset(std::fopen(path.c_str(), "ae"));
  if (metrics_ == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  return absl::OkStatus();
}

absl::Status TrainingLog::BeginAt(int64_t finished_steps) {
  const std::string path = output_folder_ + "/metrics.jsonl";
  std::string kept;
  {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      const auto row = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
      const bool valid = row.is_object() && row.contains("step") && row["step"].is_number_integer() &&
                         row.contains("loss") && row["loss"].is_number();
      if (!valid || row["step"].get<int64_t>() > finished_steps) continue;
      losses_.emplace_back(row["step"].get<double>(), row["loss"].get<double>());
      kept += line + "\n";
    }
  }
  RETURN_IF_ERROR(WriteFileAtomically(path, absl::Span<const char>(kept.data(), kept.size())));
  return OpenMetrics();
}

void TrainingLog::EndLine() {
  if (drawn_ && terminal_) out_ << std::endl;
  drawn_ = false;
}

void TrainingLog::OnFeatures(int64_t done, int64_t total) {
  Draw(absl::StrFormat("embeddings of the frozen networks: %d of %d", done, total));
}

absl::Status TrainingLog::OnStep(const StepReport& report) {
  since_last_.push_back(report);
  const bool logged = report.step % every_steps_ == 0 || report.step == report.max_steps;
  if (!logged) return absl::OkStatus();
  const StepReport mean = TakeMean(report);
  losses_.emplace_back(static_cast<double>(mean.step), mean.loss);
  const nlohmann::ordered_json row = {{"step", mean.step},
                                      {"loss", mean.loss},
                                      {"learning_rate", mean.learning_rate},
                                      {"gradient_norm", mean.gradient_norm},
                                      {"samples_per_second", SamplesPerSecond(mean)}};
  Draw(DescribeStep(mean));
  const std::string line = row.dump() + "\n";
  if (std::fputs(line.c_str(), metrics_.get()) >= 0 && std::fflush(metrics_.get()) == 0)
    return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", output_folder_, "/metrics.jsonl"));
}

StepReport TrainingLog::TakeMean(const StepReport& last) {
  StepReport mean = last;
  mean.loss = 0;
  mean.gradient_norm = 0;
  mean.duration = absl::ZeroDuration();
  const auto count = static_cast<double>(since_last_.size());
  for (const StepReport& report : since_last_) {
    mean.loss += report.loss / count;
    mean.gradient_norm += report.gradient_norm / count;
    mean.duration += report.duration / count;
  }
  since_last_.clear();
  return mean;
}

absl::Status TrainingLog::WritePlot() const {
  if (losses_.size() < 2) return absl::OkStatus();
  const std::string svg = LinePlot({.title = "Training loss", .x = "step", .y = "loss"},
                                   {{.name = "loss", .color = "#1f77b4", .points = Thinned(losses_)}});
  return WriteFileAtomically(output_folder_ + "/loss.svg", absl::Span<const char>(svg.data(), svg.size()));
}

void TrainingLog::Say(const std::string& text) {
  if (drawn_ && terminal_) out_ << "\r\x1b[K";
  drawn_ = false;
  out_ << text << std::endl;
}

void TrainingLog::Draw(const std::string& text) {
  if (!terminal_) {
    out_ << text << std::endl;
    return;
  }
  out_ << "\r\x1b[K" << text << std::flush;
  drawn_ = true;
}

}  // namespace kandinsky::training
