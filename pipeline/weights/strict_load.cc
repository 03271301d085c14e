#include "pipeline/weights/strict_load.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <map>
#include <new>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace kandinsky {
namespace {

// Whether `name` fits a pattern in which "*" stands for any run of characters.
bool MatchesPattern(absl::string_view name, absl::string_view pattern) {
  const size_t star = pattern.find('*');
  if (star == absl::string_view::npos) return name == pattern;
  if (!absl::ConsumePrefix(&name, pattern.substr(0, star))) return false;
  const absl::string_view rest = pattern.substr(star + 1);
  for (size_t skipped = 0; skipped <= name.size(); ++skipped) {
    if (MatchesPattern(name.substr(skipped), rest)) return true;
  }
  return false;
}

bool IsIgnored(absl::string_view name, const LoadOptions& options) {
  return std::any_of(options.ignored.begin(), options.ignored.end(),
                     [name](const std::string& pattern) { return MatchesPattern(name, pattern); });
}

std::string ShapeText(c10::IntArrayRef shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

// What has to be assigned, and in `report` what does not fit.
class LoadPlan {
 public:
  LoadPlan(const torch::nn::Module& module, const Checkpoint& checkpoint, const LoadOptions& options,
           LoadReport& report)
      : checkpoint_(checkpoint), options_(options), report_(report) {
    const std::vector<std::string> names = checkpoint.names();
    lacks_prefix_ = std::none_of(names.begin(), names.end(), [&](const std::string& name) {
      return absl::StartsWith(name, options.optional_prefix);
    });
    for (const auto& parameter : module.named_parameters()) Add(parameter.key(), parameter.value());
    for (const auto& buffer : module.named_buffers()) Add(buffer.key(), buffer.value());
    for (const std::string& name : names) {
      if (!used_.contains(name) && !IsIgnored(name, options)) report.unexpected.push_back(name);
    }
    std::sort(report.missing.begin(), report.missing.end());
    std::sort(report.misshapen.begin(), report.misshapen.end());
  }

  std::vector<TensorAssignment> TakeAssignments() && { return std::move(assignments_); }

 private:
  std::string SourceOf(const std::string& name) const {
    if (!lacks_prefix_) return name;
    return std::string(absl::StripPrefix(name, options_.optional_prefix));
  }

  void Add(const std::string& name, const torch::Tensor& target) {
    const std::string source = SourceOf(name);
    const Checkpoint::TensorInfo* info = checkpoint_.Find(source);
    const bool ignored = IsIgnored(name, options_);
    if (info == nullptr) {
      if (!ignored) report_.missing.push_back(name);
      return;
    }
    used_.insert(source);
    const std::string mismatch = Mismatch(*info, target);
    if (mismatch.empty()) {
      assignments_.push_back({target, name, source});
    } else if (!ignored) {
      report_.misshapen.push_back(absl::StrCat(name, ": ", mismatch));
    }
  }

  static std::string Mismatch(const Checkpoint::TensorInfo& info, const torch::Tensor& target) {
    if (target.sizes() != c10::IntArrayRef(info.shape)) {
      return absl::StrCat(ShapeText(info.shape), " in the file, ", ShapeText(target.sizes()),
                          " in the model");
    }
    if (c10::isFloatingType(info.dtype) != target.is_floating_point()) {
      return absl::StrCat(c10::toString(info.dtype), " in the file, ", c10::toString(target.scalar_type()),
                          " in the model");
    }
    return "";
  }

  const Checkpoint& checkpoint_;
  const LoadOptions& options_;
  LoadReport& report_;
  bool lacks_prefix_ = false;
  std::vector<TensorAssignment> assignments_;
  std::set<std::string> used_;
};

// An exponent of all ones is infinity or NaN in every IEEE format.
template <typename Bits>
bool ExponentsAreFinite(const torch::Tensor& tensor, Bits exponent_mask) {
  const auto* bits = static_cast<const Bits*>(tensor.const_data_ptr());
  bool found = false;
  for (int64_t i = 0; i < tensor.numel(); ++i) found |= (bits[i] & exponent_mask) == exponent_mask;
  return !found;
}

}  // namespace

bool IsFinite(const torch::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case torch::kDouble:
      return ExponentsAreFinite<uint64_t>(tensor, 0x7ff0'0000'0000'0000);
    case torch::kFloat:
      return ExponentsAreFinite<uint32_t>(tensor, 0x7f80'0000);
    case torch::kHalf:
      return ExponentsAreFinite<uint16_t>(tensor, 0x7c00);
    case torch::kBFloat16:
      return ExponentsAreFinite<uint16_t>(tensor, 0x7f80);
    default:
      return true;
  }
}

std::string NotFiniteWarning(const std::string& source) {
  return absl::StrCat(source, " contains NaN or infinity");
}

namespace {

torch::Tensor Converted(const torch::Tensor& stored, const torch::Tensor& target,
                        const LoadOptions& options) {
  const torch::ScalarType dtype = target.is_floating_point() ? options.dtype : target.scalar_type();
  return stored.to(options.device, dtype);
}

absl::Status Assign(const std::vector<TensorAssignment>& assignments, const Checkpoint& checkpoint,
                    const LoadOptions& options, LoadReport& report) {
  for (const TensorAssignment& assignment : assignments) {
    ASSIGN_OR_RETURN(const torch::Tensor stored, checkpoint.Get(assignment.source));
    if (!IsFinite(stored)) report.warnings.push_back(NotFiniteWarning(assignment.source));
    const torch::Tensor converted = Converted(stored, assignment.target, options);
    if (converted.const_data_ptr() != stored.const_data_ptr()) ++report.copied_tensors;
    ++report.loaded_tensors;
    assignment.target.set_data(converted);
  }
  std::sort(report.warnings.begin(), report.warnings.end());
  return absl::OkStatus();
}

}  // namespace

absl::Status LoadFailure(const Checkpoint& checkpoint, const std::exception& error) {
  const absl::string_view message = error.what();
  const bool out_of_memory = dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
                             dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
                             absl::StrContains(message, "can't allocate memory");
  const std::string text =
      absl::StrCat(checkpoint.path(), ": weights cannot be loaded: ", message.substr(0, message.find('\n')));
  return out_of_memory ? absl::ResourceExhaustedError(text) : absl::InternalError(text);
}

std::string LoadReport::ToString(size_t max_lines) const {
  std::vector<std::string> lines;
  const auto add = [&lines](absl::string_view kind, const std::vector<std::string>& findings) {
    for (const std::string& finding : findings) {
      lines.push_back(absl::StrCat(kind, " ", absl::CHexEscape(finding.substr(0, 300))));
    }
  };
  add("missing", missing);
  add("unexpected", unexpected);
  add("misshapen", misshapen);
  add("warning:", warnings);
  if (lines.size() > max_lines) {
    const size_t left_out = lines.size() - max_lines;
    lines.resize(max_lines);
    lines.push_back(absl::StrCat("and ", left_out, " more"));
  }
  return absl::StrJoin(lines, "\n");
}

absl::StatusOr<std::vector<TensorAssignment>> MatchTensors(const torch::nn::Module& module,
                                                           const Checkpoint& checkpoint,
                                                           const LoadOptions& options, LoadReport& report) {
  LoadPlan plan(module, checkpoint, options, report);
  if (report.ok()) return std::move(plan).TakeAssignments();
  const size_t count = report.missing.size() + report.unexpected.size() + report.misshapen.size();
  return absl::InvalidArgumentError(
      absl::StrCat(checkpoint.path(), ": ", count, " tensors do not fit the model:\n", report.ToString()));
}

absl::Status LoadStrict(torch::nn::Module& module, const Checkpoint& checkpoint, const LoadOptions& options,
                        LoadReport* report) {
  LoadReport own_report;
  LoadReport& result = report != nullptr ? *report : own_report;
  result = {};
  try {
    const c10::InferenceMode normal_tensors(false);
    const at::NoGradGuard no_grad;
    ASSIGN_OR_RETURN(const auto assignments, MatchTensors(module, checkpoint, options, result));
    return Assign(assignments, checkpoint, options, result);
  } catch (const std::exception& error) {
    return LoadFailure(checkpoint, error);
  }
}

}  // namespace kandinsky
