/// What others would use: a unary gRPC call over a Unix socket to another process, with the bytes as they are (no
/// protobuf), through what the compiler of .proto files makes of a unary method on both sides.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

/// Serves until it is killed.
[[noreturn]] void serveRemote(const std::string &address);

class RemoteService {
  public:
    /// Starts this program again as a server on a socket in `directory`, and waits until it answers.
    explicit RemoteService(const std::string &directory);
    ~RemoteService();
    RemoteService(const RemoteService &) = delete;

    void echo(const uint8_t *bytes, size_t size);

  private:
    pid_t child = 0;
    std::shared_ptr<grpc::Channel> channel;
};
