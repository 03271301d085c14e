#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace kandinsky::server {

// One connection of HTTP/2 with one stream, for calls that no gRPC client would make.
class RawHttp2 {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  // Connects to a port of the loopback interface and greets.
  explicit RawHttp2(int port);
  ~RawHttp2();
  RawHttp2(const RawHttp2&) = delete;
  RawHttp2& operator=(const RawHttp2&) = delete;

  // What a call of `path` has in its headers.
  static Headers CallHeaders(const std::string& path);

  void SendHeaders(const Headers& headers, bool end_stream = false);
  // The same in two frames.
  void BeginHeaders(const Headers& headers);
  void EndHeaders(const Headers& headers);

  // Sends as much of `bytes` as the peer lets; waits when it lets none. Returns what was sent, fewer bytes
  // only when the stream has ended.
  int64_t SendData(int64_t bytes, const std::string& prefix = "", bool end_stream = false);

  // Waits until the peer has ended the stream or the connection.
  void WaitForEnd();
  bool ended() const { return ended_; }

 private:
  void Send(const std::string& bytes);
  void SendFrame(int type, int flags, int stream, const std::string& payload);
  // Reads what has come; waits for at least one frame if `wait`.
  void Receive(bool wait);
  void OnFrame(int type, int flags, int stream, const std::string& payload);

  int socket_ = -1;
  bool ended_ = false;
  std::string received_;  // not yet whole frames
  int64_t initial_window_ = 65535;
  int64_t stream_window_ = 65535;
  int64_t connection_window_ = 65535;
};

}  // namespace kandinsky::server
