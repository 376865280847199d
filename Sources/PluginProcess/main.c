/// hostd-plugin-process: the process of a plugin of isolation `process`, and the probe of libraries. Started by hostd.
#include <string.h>
#include <unistd.h>

#include "plugin.h"

int main(int count, char **arguments)
{
    if (count > 2 && strcmp(arguments[1], "serve") == 0)
        return serve_main(count - 2, arguments + 2);
    if (count > 2 && strcmp(arguments[1], "--probe") == 0)
        return probe_main(count - 2, arguments + 2);
    static const char usage[] = "hostd-plugin-process is started by hostd and does nothing by itself\n";
    return write(2, usage, sizeof usage - 1) < 0 ? 3 : 2;
}
