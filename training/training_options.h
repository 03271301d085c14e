#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kandinsky::training {

// What kandinsky-train is to do: the native form of kandinsky.v1.TrainingConfig, whose comments explain every
// field and its range. Plain values, already checked.

enum class TrainingTarget { kPrior, kDecoder };

struct DataOptions {
  std::string path;                    // a folder of images, a .csv or a .jsonl file
  std::string image_column = "image";  // of the table
  std::string caption_column = "text";
  std::string hint_column = "hint";  // of the table
  int resolution = 512;              // pixels, edge of the square images that the decoder learns
  std::string cache_folder;          // embeddings of the frozen networks; empty: below the output folder
  int max_samples = 0;               // 0: all
};

enum class OptimizerKind { kAdamW, kAdafactor };

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kAdamW;
  double learning_rate = 1e-4;
  double beta1 = 0.9;     // AdamW
  double beta2 = 0.999;   // AdamW
  double epsilon = 1e-8;  // AdamW
  double weight_decay = 0.0;
  double max_gradient_norm = 1.0;  // 0: no clipping
};

enum class ScheduleKind { kConstant, kLinear, kCosine };

struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kConstant;
  int64_t warmup_steps = 0;  // optimizer steps in which the rate rises from 0
};

enum class Precision { kFloat32, kBFloat16 };

// How the weights of the finished model are stored.
enum class StoredType { kFloat32, kFloat16, kBFloat16 };

// How a file names the factors of adapters (LoraForm).
enum class AdapterForm { kPeft, kAttentionProcessors };

// Low-rank adapters on the attention layers; everything else stays as it is.
struct LoraOptions {
  int rank = 4;
  // Last parts of layer names, e.g. "to_q", "add_k_proj".
  std::vector<std::string> targets;
  AdapterForm form = AdapterForm::kPeft;  // of the files that are written; both are read
};

struct EmaOptions {
  double decay = 0.9999;
};

struct ValidationOptions {
  std::vector<std::string> prompts;  // empty: no validation images
  int64_t every_steps = 500;
  int steps = 25;
  int prior_steps = 25;
  int size = 512;  // pixels, edge
  double guidance_scale = 4.0;
};

struct CheckpointOptions {
  int64_t every_steps = 500;
  int keep = 3;        // newest checkpoints that stay; 0: all
  std::string resume;  // a checkpoint folder, "latest", or empty: start anew
};

// Names and values of what decides a run's losses.
using RunIdentity = std::vector<std::pair<std::string, std::string>>;

struct TrainingOptions {
  TrainingTarget target = TrainingTarget::kPrior;
  std::string decoder_path;   // published layout: the decoder, or a folder with prior/ and decoder/
  std::string prior_path;     // published layout of the prior; empty: within decoder_path
  bool from_scratch = false;  // random weights in the shape of the trained network's configuration
  std::string output_folder;
  DataOptions data;
  int batch_size = 1;
  int accumulation_steps = 1;  // batches per optimizer step
  int64_t max_steps = 0;       // optimizer steps
  uint64_t seed = 0;
  int threads = 0;  // 0: the process's CPU quota
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
  std::optional<double> snr_gamma;
  double caption_dropout = 0.1;     // prior: share of captions that become empty
  double embedding_dropout = 0.1;   // decoder: share of image embeddings that become the zero image's
  double embedding_noise = 0.0;     // decoder: standard deviation added to image embeddings
  double embedding_exchange = 0.0;  // decoder: share that sees another image's embedding, of its caption
  Precision precision = Precision::kFloat32;
  StoredType stored_type = StoredType::kFloat32;
  std::optional<LoraOptions> lora;
  std::optional<EmaOptions> ema;
  ValidationOptions validation;
  CheckpointOptions checkpoints;
  int64_t log_every_steps = 10;
  // What a run must have in common with the one that it continues (RunIdentityOf).
  RunIdentity run_identity;
};

}  // namespace kandinsky::training
