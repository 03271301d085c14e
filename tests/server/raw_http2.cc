#include "tests/server/raw_http2.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace kandinsky::server {
namespace {

// https://www.rfc-editor.org/rfc/rfc9113#section-6
enum FrameType {
  kData = 0,
  kHeaders = 1,
  kReset = 3,
  kSettings = 4,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9
};
constexpr int kEndStream = 1;
constexpr int kAck = 1;
constexpr int kEndHeaders = 4;
constexpr int kInitialWindowSize = 4;
constexpr size_t kFrameHeader = 9;
constexpr int64_t kLargestFrame = 16384;

std::string BigEndian(uint32_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
  return text;
}

uint32_t Number(const std::string& bytes, size_t at, size_t count) {
  uint32_t value = 0;
  for (size_t i = at; i < at + count; ++i) value = (value << 8) | static_cast<unsigned char>(bytes[i]);
  return value;
}

// Strings of HPACK without Huffman coding; the length is an integer with a prefix of 7 bits.
std::string HpackString(const std::string& text) {
  std::string coded;
  size_t length = text.size();
  if (length < 127) {
    coded += static_cast<char>(length);
  } else {
    coded += '\x7F';
    for (length -= 127; length >= 128; length /= 128) coded += static_cast<char>(length % 128 + 128);
    coded += static_cast<char>(length);
  }
  return coded + text;
}

// As literals that are not indexed.
std::string HpackBlock(const RawHttp2::Headers& headers) {
  std::string block;
  for (const auto& [name, value] : headers) block += '\0' + HpackString(name) + HpackString(value);
  EXPECT_LE(block.size(), static_cast<size_t>(kLargestFrame));
  return block;
}

}  // namespace

RawHttp2::RawHttp2(int port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  SendFrame(kSettings, 0, 0, "");
}

RawHttp2::~RawHttp2() { close(socket_); }

RawHttp2::Headers RawHttp2::CallHeaders(const std::string& path) {
  return {{":method", "POST"}, {":scheme", "http"}, {":path", path},
          {":authority", "x"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
}

void RawHttp2::SendHeaders(const Headers& headers, bool end_stream) {
  SendFrame(kHeaders, kEndHeaders | (end_stream ? kEndStream : 0), 1, HpackBlock(headers));
}

void RawHttp2::BeginHeaders(const Headers& headers) { SendFrame(kHeaders, 0, 1, HpackBlock(headers)); }

void RawHttp2::EndHeaders(const Headers& headers) {
  SendFrame(kContinuation, kEndHeaders, 1, HpackBlock(headers));
}

int64_t RawHttp2::SendData(int64_t bytes, const std::string& prefix, bool end_stream) {
  std::string head = prefix;
  int64_t sent = 0;
  while (sent < bytes) {
    Receive(/*wait=*/false);
    while (!ended_ && std::min(stream_window_, connection_window_) <= 0) Receive(/*wait=*/true);
    if (ended_) break;
    const int64_t part = std::min({bytes - sent, kLargestFrame, stream_window_, connection_window_});
    std::string payload = head.substr(0, static_cast<size_t>(part));
    head.erase(0, payload.size());
    payload.resize(static_cast<size_t>(part), '\0');
    stream_window_ -= part;
    connection_window_ -= part;
    sent += part;
    SendFrame(kData, end_stream && sent == bytes ? kEndStream : 0, 1, payload);
  }
  return sent;
}

void RawHttp2::WaitForEnd() {
  while (!ended_) Receive(/*wait=*/true);
}

void RawHttp2::Send(const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t part = send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (part <= 0) {
      ended_ = true;
      return;
    }
    sent += static_cast<size_t>(part);
  }
}

void RawHttp2::SendFrame(int type, int flags, int stream, const std::string& payload) {
  Send(BigEndian(static_cast<uint32_t>(payload.size()), 3) + static_cast<char>(type) +
       static_cast<char>(flags) + BigEndian(static_cast<uint32_t>(stream), 4) + payload);
}

void RawHttp2::Receive(bool wait) {
  pollfd ready = {.fd = socket_, .events = POLLIN, .revents = 0};
  while (!ended_ && poll(&ready, 1, wait ? -1 : 0) > 0) {
    char block[65536];
    const ssize_t got = recv(socket_, block, sizeof(block), 0);
    if (got <= 0) {
      ended_ = true;
      return;
    }
    received_.append(block, static_cast<size_t>(got));
    while (received_.size() >= kFrameHeader) {
      const size_t length = Number(received_, 0, 3);
      if (received_.size() < kFrameHeader + length) break;
      const std::string frame = received_.substr(0, kFrameHeader + length);
      received_.erase(0, frame.size());
      wait = false;
      OnFrame(frame[3], frame[4], static_cast<int>(Number(frame, 5, 4)), frame.substr(kFrameHeader));
    }
  }
}

void RawHttp2::OnFrame(int type, int flags, int stream, const std::string& payload) {
  if (type == kSettings && (flags & kAck) == 0) {
    for (size_t at = 0; at + 6 <= payload.size(); at += 6) {
      if (Number(payload, at, 2) != kInitialWindowSize) continue;
      const int64_t window = Number(payload, at + 2, 4);
      stream_window_ += window - initial_window_;
      initial_window_ = window;
    }
    SendFrame(kSettings, kAck, 0, "");
  } else if (type == kWindowUpdate) {
    (stream == 0 ? connection_window_ : stream_window_) += Number(payload, 0, 4);
  } else if (type == kGoAway || (stream == 1 && (type == kReset || (flags & kEndStream) != 0))) {
    ended_ = true;
  }
}

}  // namespace kandinsky::server
