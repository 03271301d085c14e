#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "imaging/image.h"
#include "pipeline/pipeline.h"
#include "scheduler/batch_planner.h"

namespace kandinsky {

// Where a waiting request stands.
struct QueueStatus {
  int position = 0;                                      // requests ahead of it
  absl::Duration estimated_wait = absl::ZeroDuration();  // from measured step times; zero when unknown
};

struct StartedInfo {
  std::string worker;
  std::string device;
};

// One finished step of one image.
struct ProgressUpdate {
  int image_index = 0;
  StageProgress progress;
  int batch_rows = 0;  // samples that shared the step
  absl::Duration estimated_remaining = absl::ZeroDuration();
};

// A small image of an unfinished image.
struct PreviewImage {
  int image_index = 0;
  int step = 0;  // finished denoise steps
  Image image;   // RGB
};

struct FinishedImage {
  int index = 0;
  uint64_t seed = 0;
  GenerationResult result;
  std::vector<PromptTokens> prompt_tokens = {};  // of this image's own texts
};

// What is known about a request when it ends, however it ends.
struct GenerationStatistics {
  absl::Duration queued = absl::ZeroDuration();
  absl::Duration total = absl::ZeroDuration();  // arrival to end
  // Time spent in batched steps that this request was a member of, by Stage (encode..decode).
  std::array<absl::Duration, 4> stage_durations = {absl::ZeroDuration(), absl::ZeroDuration(),
                                                   absl::ZeroDuration(), absl::ZeroDuration()};
  int steps = 0;               // batched steps it was a member of
  int max_batch_rows = 0;      // largest batch among them
  double mean_batch_rows = 0;  // mean over them
  // Steps at which a sample was left out of the batch for the reason (or, kAlone, none was there). A step
  // can count for several reasons.
  std::array<int, kNotMergedReasons> not_merged_steps = {};
  std::vector<PromptTokens> prompt_tokens;  // of the first image
};

// Receives the events of one request: OnQueued*, then OnStarted, then OnProgress, OnPreview and OnImage
// interleaved, then OnFinished exactly once, always last (also for requests that never start). Calls are
// never concurrent, but come from different threads (workers, whoever calls Submit, Cancel or Drain, and the
// engine's own threads); the engine holds no lock during a call. The engine lets go of the observer after
// OnFinished. Implementations return at once, never block, never throw and never call back into the engine.
class GenerationObserver {
 public:
  virtual ~GenerationObserver() = default;

  virtual void OnQueued(const QueueStatus& status) = 0;
  virtual void OnStarted(const StartedInfo& info) = 0;
  // A newer update replaces an older one; receivers may drop any of them.
  virtual void OnProgress(const ProgressUpdate& update) = 0;
  // A newer preview of an image replaces an older one; receivers may drop any of them.
  virtual void OnPreview(PreviewImage preview) = 0;
  virtual void OnImage(FinishedImage image) = 0;
  // OK when every image was delivered. CANCELLED: by Cancel, Drain or the end of the engine.
  // DEADLINE_EXCEEDED. INVALID_ARGUMENT: the model cannot serve the request. RESOURCE_EXHAUSTED: one
  // sample alone does not fit into memory. ABORTED: its place in the full queue was given to another
  // request. UNAVAILABLE: the worker lost its pipeline. INTERNAL: a step failed.
  virtual void OnFinished(const absl::Status& status, const GenerationStatistics& statistics) = 0;
};

}  // namespace kandinsky
