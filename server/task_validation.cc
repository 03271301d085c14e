#include "server/task_validation.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "pipeline/hint_size.h"

namespace kandinsky::server {
namespace {

class TaskReader {
 public:
  TaskReader(const v1::GenerateRequest& request, FieldChecks& checks, GenerationRequest& image,
             std::vector<RequestInput>& inputs)
      : request_(request),
        checks_(checks),
        image_(image),
        inputs_(inputs),
        size_is_right_(checks.AllowsSizeOf(image)),
        size_(size_is_right_ ? ImageSize{.width = image.width, .height = image.height} : ImageSize()) {}

  void Read() {
    switch (request_.task_case()) {
      case v1::GenerateRequest::kImageToImage:
        ReadImageToImage(request_.image_to_image());
        break;
      case v1::GenerateRequest::kInpaint:
        ReadInpaint(request_.inpaint());
        break;
      case v1::GenerateRequest::kControlNet:
        ReadControlNet(request_.control_net());
        break;
      case v1::GenerateRequest::kTextToImage:
      case v1::GenerateRequest::TASK_NOT_SET:
        break;
    }
    if (request_.has_image_embedding()) {
      image_.image_embedding = checks_.Embedding("image_embedding", request_.image_embedding());
    }
    if (request_.has_negative_image_embedding()) {
      image_.negative_image_embedding =
          checks_.Embedding("negative_image_embedding", request_.negative_image_embedding());
    }
  }

 private:
  // An image that becomes RGB of the request's size.
  void AddResized(const std::string& field, const std::string& bytes, PlaceImage place) {
    const std::optional<EncodedImage> image = checks_.CheckedImage(field, bytes);
    if (image.has_value()) inputs_.push_back(ResizedImage(*image, size_, std::move(place)));
  }

  // What to start from, its image still to come.
  template <typename Message>
  static InitImage InitOf(const Message& message) {
    InitImage init;
    if (message.has_strength()) init.strength = message.strength();
    return init;
  }

  void ReadImageToImage(const v1::ImageToImage& task) {
    AddResized("image_to_image.image", task.image(), InEach([](GenerationRequest& request) -> InputImage& {
                 return std::get<ImageToImage>(request.task).init.image;
               }));
    image_.task = ImageToImage{.init = InitOf(task)};
  }

  void ReadInpaint(const v1::Inpaint& task) {
    const std::optional<EncodedImage> image = checks_.CheckedImage("inpaint.image", task.image());
    const std::optional<EncodedImage> mask = checks_.CheckedImage("inpaint.mask", task.mask());
    if (image.has_value() && mask.has_value()) AddInpaintInputs(*image, *mask, task.mask_polarity());
    if (!v1::MaskPolarity_IsValid(task.mask_polarity())) {
      checks_.Violate("inpaint.mask_polarity", "is not a known polarity");
    }
    if (!v1::MaskMode_IsValid(task.mask_mode())) checks_.Violate("inpaint.mask_mode", "is not a known mode");
    Inpaint native = {.image = nullptr, .mask = nullptr};
    native.soft = task.mask_mode() == v1::MASK_MODE_SOFT;
    native.paste_back = task.paste_back();
    native.feather = task.feather_pixels();
    image_.task = std::move(native);
  }

  void AddInpaintInputs(const EncodedImage& image, const EncodedImage& mask, v1::MaskPolarity polarity) {
    if (mask.info.width != image.info.width || mask.info.height != image.info.height) {
      checks_.Violate("inpaint.mask", "must have the size of inpaint.image, ", image.info.width, " x ",
                      image.info.height, ", not ", mask.info.width, " x ", mask.info.height);
      return;
    }
    inputs_.push_back(ResizedImage(image, size_, InEach([](GenerationRequest& request) -> InputImage& {
                                     return std::get<Inpaint>(request.task).image;
                                   })));
    inputs_.push_back(ResizedMask(mask, size_, polarity == v1::MASK_POLARITY_WHITE_KEEPS,
                                  InEach([](GenerationRequest& request) -> InputImage& {
                                    return std::get<Inpaint>(request.task).mask;
                                  })));
  }

  void ReadControlNet(const v1::ControlNet& task) {
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
      native.init = InitOf(task);
      AddResized("control_net.image", task.image(), InEach([](GenerationRequest& request) -> InputImage& {
                   return std::get<ControlNet>(request.task).init->image;
                 }));
    } else if (task.has_strength()) {
      checks_.Violate("control_net.strength", "must be unset without control_net.image");
    }
    image_.task = std::move(native);
  }

  // Of the hint that the network takes.
  ImageSize HintSize() const {
    const int scale = checks_.capabilities().latent_scale;
    return {.width = HintEdge(size_.width, scale), .height = HintEdge(size_.height, scale)};
  }

  static bool HasSize(const EncodedImage& image, ImageSize size) {
    return image.info.width == size.width && image.info.height == size.height;
  }

  void AddDepthTensor(const v1::FloatTensor& depth, const PlaceTensor& place) {
    if (!size_is_right_) return;
    const ImageSize size = HintSize();
    std::vector<int64_t> shape = {size.height, size.width};
    if (depth.shape_size() != 2) shape.insert(shape.begin(), 3);
    if (checks_.Tensor("control_net.depth", depth, shape, kHintRange)) {
      inputs_.push_back(DepthOfTensor("control_net.depth", depth, place));
    }
  }

  void AddDepthImage(const std::string& bytes, const PlaceTensor& place) {
    const std::optional<EncodedImage> image = checks_.CheckedImage("control_net.depth_image", bytes);
    if (!image.has_value()) return;
    if (!size_is_right_) return;  // there is nothing that it could have the size of
    const ImageSize hint = HintSize();
    if (!HasSize(*image, size_) && !HasSize(*image, hint)) {
      const std::string hint_text =
          hint.width == size_.width ? "" : absl::StrCat(" or ", hint.width, " x ", hint.height);
      checks_.Violate("control_net.depth_image", "must be exactly width x height, ", size_.width, " x ",
                      size_.height, hint_text, ", not ", image->info.width, " x ", image->info.height);
      return;
    }
    inputs_.push_back(DepthOfImage(*image, hint, place));
  }

  const v1::GenerateRequest& request_;
  FieldChecks& checks_;
  GenerationRequest& image_;
  std::vector<RequestInput>& inputs_;
  const bool size_is_right_;
  const ImageSize size_;  // nothing when the given one is wrong
};

}  // namespace

void ReadTask(const v1::GenerateRequest& request, FieldChecks& checks, GenerationRequest& image,
              std::vector<RequestInput>& inputs) {
  TaskReader(request, checks, image, inputs).Read();
}

}  // namespace kandinsky::server
