#include "pipeline/samplers/batch_step.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "pipeline/samplers/batch_rows.h"
#include "pipeline/samplers/step_terms.h"

namespace kandinsky {
namespace {

// Elements of a sample that the CPU takes at once: they stay in its cache, and below what the allocator
// fetches from the system, page by page, for every operation.
constexpr int64_t kElementsAtOnce = int64_t{1} << 16;

// Rows that are computed together: those of several images whose steps follow one rule.
struct Group {
  StepRule rule;
  std::vector<size_t> images;
  int64_t rows = 0;
  std::vector<std::vector<float>> coefficients;  // by row
  std::vector<torch::Tensor> noise;              // by image, as all below
  std::vector<torch::Tensor> history;
};

torch::Tensor DrawNoise(const SampledRows& image, const torch::Tensor& sample) {
  torch::Tensor noise = image.noise();
  // Elementwise operations would spread a row of noise over several samples.
  TORCH_CHECK(noise.dim() == sample.dim() && noise.size(0) == image.count &&
                  noise.sizes().slice(1) == sample.sizes().slice(1),
              "noise ", noise.sizes(), " for ", image.count, " rows of ", sample.sizes());
  return noise;
}

// The images in groups, in the order of the first image of each, with their noise drawn.
std::vector<Group> GroupByRule(absl::Span<const SampledRows> images, const torch::Tensor& sample,
                               RowGroups& rows) {
  std::vector<Group> groups;
  int64_t total = 0;
  for (size_t i = 0; i < images.size(); ++i) {
    const SampledRows& image = images[i];
    StepTerms terms = image.sampler->TermsAt(image.index);
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const Group& known) { return known.rule == terms.rule; });
    if (group == groups.end()) {
      group = groups.emplace(group);
      group->rule = terms.rule;
    }
    rows.Add(static_cast<size_t>(group - groups.begin()), image.count);
    total += image.count;
    group->images.push_back(i);
    group->rows += image.count;
    group->coefficients.resize(static_cast<size_t>(group->rows), terms.coefficients);
    if (terms.rule.draws_noise) group->noise.push_back(DrawNoise(image, sample));
    if (terms.rule.looks_back) group->history.push_back(std::move(terms.history));
  }
  TORCH_CHECK(total == sample.size(0), total, " rows to step, samples ", sample.sizes());
  return groups;
}

torch::Tensor Stacked(const std::vector<torch::Tensor>& parts) {
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

StepInputs InputsOf(const Group& group, size_t number, const RowGroups& rows, const NetworkOutput& output,
                    const torch::Tensor& sample) {
  const at::ScalarType dtype = CoefficientType(sample);
  const auto gather = [&](const torch::Tensor& batch) { return rows.Gather(number, batch).to(dtype); };
  StepInputs inputs{.rule = group.rule,
                    .coefficients = RowCoefficients(group.coefficients, sample),
                    .prediction = gather(output.prediction),
                    .sample = gather(sample)};
  if (group.rule.reads_variance) {
    TORCH_CHECK(output.variance.defined(), "a sampler needs a variance, and the network predicts none");
    inputs.variance = gather(output.variance);
  }
  if (group.rule.draws_noise) inputs.noise = Stacked(group.noise).to(sample.device(), dtype);
  if (group.rule.looks_back) inputs.history = Stacked(group.history);
  return inputs;
}

torch::Tensor StepTogether(absl::Span<const SampledRows> images, const NetworkOutput& output,
                           const torch::Tensor& sample) {
  RowGroups rows;
  const std::vector<Group> groups = GroupByRule(images, sample, rows);
  std::vector<torch::Tensor> next;
  for (size_t g = 0; g < groups.size(); ++g) {
    const Group& group = groups[g];
    const StepResult result = group.rule.function(InputsOf(group, g, rows, output, sample));
    next.push_back(result.next.to(sample.scalar_type()));
    if (!result.clean.defined()) continue;
    int64_t first = 0;
    for (const size_t i : group.images) {
      const SampledRows& image = images[i];
      image.sampler->Propose(image.index, result.clean.narrow(0, first, image.count));
      first += image.count;
    }
  }
  return rows.Merge(next);
}

}  // namespace

torch::Tensor StepBatch(absl::Span<const SampledRows> images, const NetworkOutput& output,
                        const torch::Tensor& sample) {
  if (!sample.is_cpu() || sample.numel() <= kElementsAtOnce) return StepTogether(images, output, sample);
  const int64_t most = std::max<int64_t>(1, kElementsAtOnce * sample.size(0) / sample.numel());  // rows
  std::vector<torch::Tensor> next;
  int64_t first = 0;
  for (size_t begin = 0; begin < images.size();) {
    size_t end = begin;
    int64_t count = 0;
    while (end < images.size() && (end == begin || count + images[end].count <= most)) {
      count += images[end++].count;
    }
    NetworkOutput part = {.prediction = output.prediction.narrow(0, first, count), .variance = {}};
    if (output.variance.defined()) part.variance = output.variance.narrow(0, first, count);
    next.push_back(StepTogether(images.subspan(begin, end - begin), part, sample.narrow(0, first, count)));
    first += count;
    begin = end;
  }
  TORCH_CHECK(first == sample.size(0), first, " rows to step, samples ", sample.sizes());
  return Stacked(next);
}

}  // namespace kandinsky
