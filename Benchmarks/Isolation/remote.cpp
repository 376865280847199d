#include "remote.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/impl/codegen/method_handler.h>
#include <grpcpp/impl/codegen/service_type.h>
#include <grpcpp/support/byte_buffer.h>

namespace {

const char method[] = "/com.example.Echo/Echo";

class EchoService final : public grpc::Service {
  public:
    EchoService() {
        using Handler = grpc::internal::RpcMethodHandler<EchoService, grpc::ByteBuffer, grpc::ByteBuffer>;
        auto function = [](EchoService *, grpc::ServerContext *, const grpc::ByteBuffer *request, grpc::ByteBuffer *reply) {
            *reply = *request;
            return grpc::Status::OK;
        };
        AddMethod(new grpc::internal::RpcServiceMethod(method, grpc::internal::RpcMethod::NORMAL_RPC, new Handler(function, this)));
    }
};

grpc::Status call(grpc::Channel *channel, const grpc::ByteBuffer &request, grpc::ByteBuffer *reply) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    grpc::internal::RpcMethod unary(method, grpc::internal::RpcMethod::NORMAL_RPC);
    return grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(channel, unary, &context, request, reply);
}

} // namespace

void serveRemote(const std::string &address) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    EchoService service;
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(&service);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    server->Wait();
    exit(0);
}

RemoteService::RemoteService(const std::string &directory) {
    std::string address = "unix:" + directory + "/grpc.sock";
    child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "isolation-benchmark", "serve", address.c_str(), (char *)nullptr);
        _exit(127);
    }
    channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    uint8_t byte = 0;
    echo(&byte, 1);
}

RemoteService::~RemoteService() {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
}

void RemoteService::echo(const uint8_t *bytes, size_t size) {
    grpc::Slice slice(bytes, size);
    grpc::ByteBuffer request(&slice, 1), reply;
    grpc::Status status = call(channel.get(), request, &reply);
    if (!status.ok() || reply.Length() != size) {
        std::cerr << "gRPC: " << status.error_message() << "\n";
        exit(1);
    }
    grpc::Slice answer;
    if (!reply.DumpToSingleSlice(&answer).ok()) abort();
}
