/// Ours: a plugin in hostd-plugin-process, started and called as hostd does.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "echo.h"
#include "isolation.h"

class IsolatedPlugin {
  public:
    /// Starts `program` with the plugin `library`; ends the benchmark with a sentence where that fails.
    IsolatedPlugin(const std::string &program, const std::string &library);
    ~IsolatedPlugin();
    IsolatedPlugin(const IsolatedPlugin &) = delete;

    /// One call with `size` bytes there and back.
    void echo(const uint8_t *bytes, size_t size) const;
    /// Resident set of the child, in kilobytes.
    long residentKilobytes() const;

  private:
    pid_t child = 0;
    isolation_peer *peer = nullptr;
    const echo_1 *table = nullptr;
};
