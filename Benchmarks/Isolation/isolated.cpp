#include "isolated.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>

namespace {

void check(int32_t status, const hostd_error &error, const char *what) {
    if (status == HOSTD_OK) return;
    std::cerr << what << ": status " << status << ", " << std::string((const char *)error.message.data, error.message.size) << "\n";
    exit(1);
}

int32_t resolve(void *, const char *id, isolation_offer *offer, hostd_error *) {
    if (strcmp(id, HOSTD_LOG_1) != 0) return HOSTD_ERROR_NOT_FOUND;
    // What the example says is of no interest here; a refusal is as good as a logger.
    offer->slots = HOSTD_LOG_1_SLOTS;
    offer->refusal = HOSTD_ERROR_NOT_SUPPORTED;
    return HOSTD_OK;
}

pid_t start(const std::string &program, const isolation_channel &channel) {
    pid_t child = fork();
    if (child != 0) return child;
    std::string memory = std::to_string(dup(channel.memory)), socket = std::to_string(dup(channel.child_socket));
    execl(program.c_str(), program.c_str(), "serve", "--memory", memory.c_str(), "--socket", socket.c_str(), (char *)nullptr);
    perror(program.c_str());
    _exit(127);
}

} // namespace

IsolatedPlugin::IsolatedPlugin(const std::string &program, const std::string &library) {
    isolation_channel channel;
    hostd_error error = {};
    error.struct_size = sizeof error;
    check(isolation_channel_create(&channel, 0), error, "isolation_channel_create");
    child = start(program, channel);
    isolation_configuration configuration = {};
    configuration.struct_size = sizeof configuration;
    configuration.is_host = 1;
    configuration.memory = channel.memory;
    configuration.socket = channel.host_socket;
    configuration.process = -1;
    configuration.call_timeout_ns = configuration.step_timeout_ns = 10'000'000'000;
    configuration.resolve = resolve;
    int32_t status;
    peer = isolation_peer_create(&configuration, &status);
    check(status, error, "isolation_peer_create");
    close(channel.memory);
    close(channel.child_socket);
    const isolation_plugin *plugin;
    check(isolation_peer_plugin(peer, &plugin, &error), error, "isolation_peer_plugin");
    void *self = plugin->interface.self;
    check(plugin->open(self, (const uint8_t *)library.data(), library.size(), &error), error, "open");
    check(plugin->enter(self, &error), error, "enter");
    check(plugin->configure(self, (const uint8_t *)"{}", 2, &error), error, "configure");
    check(plugin->activate(self, &error), error, "activate");
    const hostd_interface *found = nullptr;
    if (isolation_peer_import(peer, ECHO_1, nullptr, &found, &error) == HOSTD_OK) table = (const echo_1 *)found;
}

IsolatedPlugin::~IsolatedPlugin() {
    isolation_peer_destroy(peer);
    waitpid(child, nullptr, 0);
}

void IsolatedPlugin::echo(const uint8_t *bytes, size_t size) const {
    hostd_buffer same = {};
    hostd_error error = {};
    error.struct_size = sizeof error;
    check(table->echo(table->interface.self, bytes, size, &same, &error), error, "echo");
    if (same.size != size) abort();
    if (same.release != nullptr) same.release(same.context);
}

long IsolatedPlugin::residentKilobytes() const {
    std::ifstream file("/proc/" + std::to_string(child) + "/smaps_rollup");
    std::string word;
    long size = 0;
    while (file >> word) {
        if (word == "Rss:") file >> size;
    }
    return size;
}
