#include <fstream>
#include <iostream>

#include "clients/cpp/image_client.h"

int main() {
  kandinsky::client::ImageClient client = kandinsky::client::ImageClient::Connect("localhost:50051");
  kandinsky::v1::GenerateRequest request;
  request.set_prompt("a red cat in the style of Wassily Kandinsky");
  kandinsky::client::GenerateCallbacks callbacks;
  callbacks.on_image = [](const auto& image) { std::ofstream("cat.png", std::ios::binary) << image.data(); };
  const auto summary = client.Generate(request, callbacks);
  if (!summary.ok()) std::cerr << summary.status().message() << "\n";
  return summary.ok() ? 0 : 1;
}
