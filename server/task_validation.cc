#include "server/task_validation.h"

#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "pipeline/hint_size.h"

namespace kandinsky {
namespace {

constexpr int kMostMixParts = 16;
constexpr float kLargestWeight = 100;
constexpr int kLargestFeather = 256;

class TaskChecker {
 public:
  TaskChecker(const v1::GenerateRequest& request, FieldChecks& checks, GenerationRequest& image,
              std::vector<RequestInput>& inputs, bool size_is_right)
      : request_(request),
        checks_(checks),
        image_(image),
        inputs_(inputs),
        size_{.width = image.width, .height = image.height},
        size_is_right_(size_is_right) {}

  void Check() {
    switch (request_.task_case()) {
      case v1::GenerateRequest::kImageToImage:
        CheckImageToImage(request_.image_to_image());
        break;
      case v1::GenerateRequest::kInpaint:
        CheckInpaint(request_.inpaint());
        break;
      case v1::GenerateRequest::kMix:
        CheckMix(request_.mix());
        break;
      case v1::GenerateRequest::kControlNet:
        CheckControlNet(request_.control_net());
        break;
      case v1::GenerateRequest::kTextToImage:
      case v1::GenerateRequest::TASK_NOT_SET:
        break;
    }
    CheckEmbeddings();
    const Capabilities& capabilities = checks_.capabilities();
    if (Offers(capabilities, image_.task)) return;
    checks_.Lack({"TASK", TaskName(image_.task),
                  absl::StrCat("the model's networks are: ", NetworkNames(capabilities))});
  }

 private:
  // The picture at `field`, if its header is right.
  std::optional<EncodedPicture> Picture(const std::string& field, const std::string& bytes) {
    const std::optional<ImageInfo> info = checks_.Picture(field, bytes);
    if (!info.has_value()) return std::nullopt;
    return EncodedPicture{.field = field, .bytes = bytes, .info = *info, .limits = checks_.decode_limits()};
  }

  // A picture that becomes RGB of the request's size.
  void AddResized(const std::string& field, const std::string& bytes, PlacePicture place) {
    const std::optional<EncodedPicture> picture = Picture(field, bytes);
    if (picture.has_value()) inputs_.push_back(ResizedPicture(*picture, size_, std::move(place)));
  }

  template <typename Message>
  double StrengthOf(const std::string& field, const Message& message) {
    const double strength = message.has_strength() ? message.strength() : InitImage().strength;
    return checks_.Strength(field, strength, image_.steps);
  }

  void CheckImageToImage(const v1::ImageToImage& task) {
    AddResized("image_to_image.image", task.image(), InEach([](GenerationRequest& request) -> InputImage& {
                 return std::get<ImageToImage>(request.task).init.image;
               }));
    image_.task =
        ImageToImage{.init = {.image = nullptr, .strength = StrengthOf("image_to_image.strength", task)}};
  }

  void CheckInpaint(const v1::Inpaint& task) {
    const std::optional<EncodedPicture> picture = Picture("inpaint.image", task.image());
    const std::optional<EncodedPicture> mask = Picture("inpaint.mask", task.mask());
    if (picture.has_value() && mask.has_value()) AddInpaintInputs(*picture, *mask, task.mask_polarity());
    if (!v1::MaskPolarity_IsValid(task.mask_polarity())) {
      checks_.Violate("inpaint.mask_polarity", "is not a known polarity");
    }
    if (!v1::MaskMode_IsValid(task.mask_mode())) checks_.Violate("inpaint.mask_mode", "is not a known mode");
    Inpaint native = {.image = nullptr, .mask = nullptr};
    native.soft = task.mask_mode() == v1::MASK_MODE_SOFT;
    native.paste_back = task.paste_back();
    if (task.has_feather_pixels()) {
      native.feather = checks_.Integer("inpaint.feather_pixels", task.feather_pixels(), 0, kLargestFeather);
      if (native.feather > 0 && !native.paste_back) {
        checks_.Violate("inpaint.feather_pixels", "must be 0 without paste_back");
      }
    }
    image_.task = std::move(native);
  }

  void AddInpaintInputs(const EncodedPicture& picture, const EncodedPicture& mask,
                        v1::MaskPolarity polarity) {
    if (mask.info.width != picture.info.width || mask.info.height != picture.info.height) {
      checks_.Violate("inpaint.mask", "must have the size of inpaint.image, ", picture.info.width, " x ",
                      picture.info.height, ", not ", mask.info.width, " x ", mask.info.height);
      return;
    }
    inputs_.push_back(ResizedPicture(picture, size_, InEach([](GenerationRequest& request) -> InputImage& {
                                       return std::get<Inpaint>(request.task).image;
                                     })));
    inputs_.push_back(ResizedMask(mask, size_, polarity == v1::MASK_POLARITY_WHITE_KEEPS,
                                  InEach([](GenerationRequest& request) -> InputImage& {
                                    return std::get<Inpaint>(request.task).mask;
                                  })));
  }

  void CheckMix(const v1::Mix& task) {
    Mix native;
    if (task.parts_size() < 1 || task.parts_size() > kMostMixParts) {
      checks_.Violate("mix.parts", "must be 1 to ", kMostMixParts);
    } else {
      for (int i = 0; i < task.parts_size(); ++i) native.parts.push_back(CheckMixPart(task.parts(i), i));
    }
    image_.task = std::move(native);
  }

  MixPart CheckMixPart(const v1::MixPart& part, int index) {
    const std::string path = absl::StrCat("mix.parts[", index, "]");
    MixPart native;
    if (part.has_text()) {
      checks_.Prompt(path + ".text", part.text());
      native.content = part.text();
    } else if (part.has_image()) {
      AddMixPicture(path + ".image", part.image(), static_cast<size_t>(index));
      native.content = InputImage();
    } else if (part.has_embedding()) {
      native.content = checks_.Embedding(path + ".embedding", part.embedding());
    } else {
      checks_.Violate(path, "must have a text, an image or an embedding");
    }
    if (!part.has_weight()) return native;
    native.weight = part.weight();
    // Written so that a NaN is refused too.
    if (!(native.weight >= -kLargestWeight && native.weight <= kLargestWeight)) {
      checks_.Violate(path + ".weight", "must be a finite number from ", -kLargestWeight, " to ",
                      kLargestWeight);
    }
    return native;
  }

  void AddMixPicture(const std::string& field, const std::string& bytes, size_t index) {
    checks_.NeedImageEncoder(field);
    const std::optional<EncodedPicture> picture = Picture(field, bytes);
    if (!picture.has_value()) return;
    const auto place = [index](GenerationRequest& request) -> InputImage& {
      return std::get<InputImage>(std::get<Mix>(request.task).parts[index].content);
    };
    inputs_.push_back(PictureForClip(*picture, checks_.capabilities(), InEach(place)));
  }

  void CheckControlNet(const v1::ControlNet& task) {
    const auto hint = InEach([](GenerationRequest& request) -> SharedFloatTensor& {
      return std::get<ControlNet>(request.task).hint;
    });
    if (task.has_depth_image()) {
      AddDepthImage(task.depth_image(), hint);
    } else if (task.has_depth()) {
      AddDepthTensor(task.depth(), hint);
    } else {
      checks_.Violate("control_net", "must have a depth_image or a depth");
    }
    ControlNet native;
    if (!task.image().empty()) {
      native.init = InitImage{.image = nullptr, .strength = StrengthOf("control_net.strength", task)};
      AddResized("control_net.image", task.image(), InEach([](GenerationRequest& request) -> InputImage& {
                   return std::get<ControlNet>(request.task).init->image;
                 }));
    } else if (task.has_strength()) {
      checks_.Violate("control_net.strength", "must be unset without control_net.image");
    }
    image_.task = std::move(native);
  }

  // Of the hint that the network takes.
  PictureSize HintSize() const {
    const int scale = checks_.capabilities().latent_scale;
    return {.width = HintEdge(size_.width, scale), .height = HintEdge(size_.height, scale)};
  }

  static bool HasSize(const EncodedPicture& picture, PictureSize size) {
    return picture.info.width == size.width && picture.info.height == size.height;
  }

  void AddDepthTensor(const v1::FloatTensor& depth, const PlaceTensor& place) {
    if (!size_is_right_) return;
    const PictureSize size = HintSize();
    std::vector<int64_t> shape = {size.height, size.width};
    if (depth.shape_size() != 2) shape.insert(shape.begin(), 3);
    if (checks_.Tensor("control_net.depth", depth, shape, {0.0f, 1.0f})) {
      inputs_.push_back(DepthOfTensor("control_net.depth", depth, place));
    }
  }

  void AddDepthImage(const std::string& bytes, const PlaceTensor& place) {
    const std::optional<EncodedPicture> picture = Picture("control_net.depth_image", bytes);
    if (!picture.has_value()) return;
    if (!size_is_right_) return;  // there is nothing that it could have the size of
    const PictureSize hint = HintSize();
    if (!HasSize(*picture, size_) && !HasSize(*picture, hint)) {
      const std::string hint_text =
          hint.width == size_.width ? "" : absl::StrCat(" or ", hint.width, " x ", hint.height);
      checks_.Violate("control_net.depth_image", "must be exactly width x height, ", size_.width, " x ",
                      size_.height, hint_text, ", not ", picture->info.width, " x ", picture->info.height);
      return;
    }
    inputs_.push_back(DepthOfPicture(*picture, hint, place));
  }

  void CheckEmbeddings() {
    if (request_.has_image_embedding()) {
      image_.image_embedding = checks_.Embedding("image_embedding", request_.image_embedding());
      if (request_.has_mix()) checks_.Violate("image_embedding", "must be unset in mix");
    }
    if (request_.has_negative_image_embedding()) {
      image_.negative_image_embedding =
          checks_.Embedding("negative_image_embedding", request_.negative_image_embedding());
    }
    if (request_.has_prior_start() && (request_.has_image_embedding() || request_.has_mix())) {
      checks_.Violate("prior_start", "must be unset ",
                      request_.has_mix() ? "in mix" : "with image_embedding, which takes the prior's place");
    }
  }

  const v1::GenerateRequest& request_;
  FieldChecks& checks_;
  GenerationRequest& image_;
  std::vector<RequestInput>& inputs_;
  const PictureSize size_;
  const bool size_is_right_;  // else it stands for one that was refused
};

}  // namespace

void CheckTask(const v1::GenerateRequest& request, FieldChecks& checks, GenerationRequest& image,
               std::vector<RequestInput>& inputs, bool size_is_right) {
  TaskChecker(request, checks, image, inputs, size_is_right).Check();
}

}  // namespace kandinsky
