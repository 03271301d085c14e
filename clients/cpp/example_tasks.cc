// One request for each task, and the embeddings and latents that requests are made of. Reads cat.png,
// mask.png, depth.png and sea.png from the current folder.

#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>
#include <numeric>
#include <string>

#include "clients/cpp/image_client.h"

namespace v1 = kandinsky::v1;

namespace {

std::string Content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

v1::GenerateRequest Edit() {
  v1::GenerateRequest request;
  request.set_prompt("a cat with a red hat");
  request.mutable_image_to_image()->set_image(Content("cat.png"));
  request.mutable_image_to_image()->set_strength(0.6);
  return request;
}

v1::GenerateRequest Paint() {
  v1::GenerateRequest request;
  request.set_prompt("a red hat");
  request.mutable_inpaint()->set_image(Content("cat.png"));
  request.mutable_inpaint()->set_mask(Content("mask.png"));  // white where the hat is to be
  request.mutable_inpaint()->set_paste_back(true);
  return request;
}

v1::GenerateRequest MixTextAndImage() {
  v1::GenerateRequest request;
  v1::MixPart& text = *request.mutable_mix()->add_parts();
  text.set_text("a cat");
  text.set_weight(0.3f);
  v1::MixPart& image = *request.mutable_mix()->add_parts();
  image.set_image(Content("sea.png"));
  image.set_weight(0.7f);
  return request;
}

v1::GenerateRequest FollowDepth() {
  v1::GenerateRequest request;
  request.set_prompt("a cat of glass");
  request.mutable_control_net()->set_depth_image(Content("depth.png"));  // near is bright
  return request;
}

// A prompt's embedding is made once and serves many requests.
absl::StatusOr<v1::GenerateRequest> FromEmbedding(kandinsky::client::ImageClient& client) {
  v1::GenerateImageEmbeddingRequest prior;
  prior.set_prompt("a red cat");
  const auto made = client.GenerateImageEmbedding(prior);
  if (!made.ok()) return made.status();
  v1::GenerateRequest request;
  *request.mutable_image_embedding() = made->embeddings(0).embedding();
  *request.mutable_negative_image_embedding() = made->embeddings(0).negative_embedding();
  return request;
}

absl::StatusOr<v1::Embedding> EmbedText(kandinsky::client::ImageClient& client) {
  v1::EmbedTextRequest request;
  request.add_texts("a red cat");
  const auto response = client.EmbedText(request);
  if (!response.ok()) return response.status();
  return response->embeddings(0).embedding();
}

absl::StatusOr<v1::Embedding> EmbedImage(kandinsky::client::ImageClient& client) {
  v1::EmbedImagesRequest request;
  request.add_images(Content("cat.png"));
  const auto response = client.EmbedImages(request);
  if (!response.ok()) return response.status();
  return response->embeddings(0);
}

// How much a text and an image have in common.
double Cosine(const v1::Embedding& a, const v1::Embedding& b) {
  const auto product = [](const v1::Embedding& x, const v1::Embedding& y) {
    return std::inner_product(x.values().begin(), x.values().end(), y.values().begin(), 0.0);
  };
  return product(a, b) / std::sqrt(product(a, a) * product(b, b));
}

// To the autoencoder's latents and back: what an edit of nothing would give.
absl::StatusOr<std::string> ThroughLatents(kandinsky::client::ImageClient& client) {
  v1::EncodeLatentsRequest encode;
  encode.set_image(Content("cat.png"));
  const auto encoded = client.EncodeLatents(encode);
  if (!encoded.ok()) return encoded.status();
  v1::DecodeLatentsRequest decode;
  *decode.mutable_latents() = encoded->latents();
  const auto decoded = client.DecodeLatents(decode);
  if (!decoded.ok()) return decoded.status();
  return decoded->image().data();  // a PNG file
}

// Makes the image and writes it; the exit code.
int Make(kandinsky::client::ImageClient& client, const v1::GenerateRequest& request,
         const std::string& path) {
  kandinsky::client::GenerateCallbacks callbacks;
  callbacks.on_image = [&](const auto& image) { std::ofstream(path, std::ios::binary) << image.data(); };
  const auto summary = client.Generate(request, callbacks);
  std::cout << path << ": " << summary.status() << "\n";
  return summary.ok() ? 0 : 1;
}

}  // namespace

int main() {
  kandinsky::client::ImageClient client = kandinsky::client::ImageClient::Connect("localhost:50051");
  int code = 0;
  code |= Make(client, Edit(), "edit.png");
  code |= Make(client, Paint(), "paint.png");
  code |= Make(client, MixTextAndImage(), "mix.png");
  code |= Make(client, FollowDepth(), "depth_cat.png");
  const auto request = FromEmbedding(client);
  code |= request.ok() ? Make(client, *request, "embedding.png") : 1;
  const auto text = EmbedText(client);
  const auto image = EmbedImage(client);
  const auto through = ThroughLatents(client);
  if (!text.ok() || !image.ok() || !through.ok()) return 1;
  std::cout << "text and image: " << Cosine(*text, *image) << ", decoded again: " << through->size()
            << " bytes\n";
  return code;
}
