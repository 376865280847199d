/// hostd-container-init MODE: started by hostd's Runtime plugin, never by hand.
#include <string.h>
#include <unistd.h>

#include "exec.h"
#include "monitor.h"
#include "sandbox.h"

int main(int count, char **arguments)
{
    if (count == 2 && strcmp(arguments[1], "monitor") == 0)
        return monitor_main();
    if (count == 2 && strcmp(arguments[1], "exec") == 0)
        return exec_main();
    if (count == 2 && strcmp(arguments[1], "sandbox") == 0)
        return sandbox_main();
    static const char usage[] = "hostd-container-init is started by hostd and does nothing by itself\n";
    return write(2, usage, sizeof usage - 1) < 0 ? 3 : 2;
}
