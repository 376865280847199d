// isolation-benchmark PROGRAM ECHO HELLO: what a call of a plugin in a process of its own costs, beside a unary gRPC call
// over a Unix socket, in turns in one run. PROGRAM is hostd-plugin-process, ECHO and HELLO are plugins. Prints a line a
// figure: name, value, unit and bar, with tabs between.
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <iostream>
#include <vector>

#include "isolated.hpp"
#include "remote.hpp"

namespace {

using Clock = std::chrono::steady_clock;
using Call = std::function<void(const uint8_t *, size_t)>;

struct Figures {
    double p50, p99, rate;
};

/// One caller, one call after the other.
Figures measure(const Call &call, size_t size, size_t count) {
    std::vector<uint8_t> bytes(size, 7);
    std::vector<double> took(count);
    auto began = Clock::now();
    for (double &one : took) {
        auto start = Clock::now();
        call(bytes.data(), size);
        one = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
    }
    double seconds = std::chrono::duration<double>(Clock::now() - began).count();
    std::sort(took.begin(), took.end());
    return {took[count / 2], took[count * 99 / 100], (double)count / seconds};
}

/// The median of the rounds, for each figure.
Figures median(std::vector<Figures> rounds) {
    auto of = [&](double Figures::*member) {
        std::sort(rounds.begin(), rounds.end(), [&](auto &a, auto &b) { return a.*member < b.*member; });
        return rounds[rounds.size() / 2].*member;
    };
    return {of(&Figures::p50), of(&Figures::p99), of(&Figures::rate)};
}

void line(const std::string &name, double value, const char *unit, const char *bar = "") {
    printf("%s\t%.*f\t%s\t%s\n", name.c_str(), value < 100 ? 1 : 0, value, unit, bar);
}

struct Bars {
    const char *p50, *p99, *rate;
};

void compare(size_t size, const std::string &label, const Call &ours, const Call &theirs, Bars bars) {
    std::vector<Figures> isolated, remote;
    measure(ours, size, 2000);
    measure(theirs, size, 500);
    for (int round = 0; round < 7; round++) {
        isolated.push_back(measure(ours, size, 20000));
        remote.push_back(measure(theirs, size, 2000));
    }
    Figures mine = median(isolated), others = median(remote);
    line("isolated call, " + label + ", p50", mine.p50, "us", bars.p50);
    line("isolated call, " + label + ", p99", mine.p99, "us", bars.p99);
    line("isolated calls, " + label + ", one caller", mine.rate, "/s", bars.rate);
    line("gRPC, Unix socket, " + label + ", p50", others.p50, "us");
    line("gRPC, Unix socket, " + label + ", p99", others.p99, "us");
    line("gRPC, Unix socket, " + label + ", one caller", others.rate, "/s");
}

} // namespace

int main(int count, char **arguments) {
    if (count == 3 && strcmp(arguments[1], "serve") == 0) serveRemote(arguments[2]);
    if (count != 4) return 2;
    char directory[] = "/tmp/isolation-benchmark-XXXXXX";
    if (mkdtemp(directory) == nullptr) return 1;
    {
        // gRPC has threads of its own from its first use on: the children are made before.
        IsolatedPlugin hello(arguments[1], arguments[3]);
        line("isolated plugin's RSS, hello plugin in C", (double)hello.residentKilobytes() / 1024, "MB", "<= 6");
        IsolatedPlugin plugin(arguments[1], arguments[2]);
        RemoteService service(directory);
        Call ours = [&](const uint8_t *bytes, size_t size) { plugin.echo(bytes, size); };
        Call theirs = [&](const uint8_t *bytes, size_t size) { service.echo(bytes, size); };
        compare(64, "64 B", ours, theirs, {"<= 12", "<= 60", ""});
        compare(4096, "4 KB", ours, theirs, {"", "", ">= 60000"});
    }
    unlink((std::string(directory) + "/grpc.sock").c_str());
    rmdir(directory);
}
