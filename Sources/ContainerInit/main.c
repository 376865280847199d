/// hostd-container-init MODE: started by hostd's Runtime plugin, never by hand.
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "exec.h"
#include "monitor.h"
#include "oci.h"
#include "sandbox.h"

/// Run from a memory file, the program would be called by its descriptor's number.
static int named(const char *name, int (*mode)(void))
{
    prctl(PR_SET_NAME, name);
    return mode();
}

int main(int count, char **arguments)
{
    if (count == 2 && strcmp(arguments[1], "monitor") == 0)
        return named("hostd-monitor", monitor_main);
    if (count == 2 && strcmp(arguments[1], "exec") == 0)
        return named("hostd-exec", exec_main);
    if (count == 2 && strcmp(arguments[1], "oci-monitor") == 0)
        return named("hostd-monitor", oci_monitor_main);
    if (count == 2 && strcmp(arguments[1], "oci-exec") == 0)
        return named("hostd-exec", oci_exec_main);
    if (count == 2 && strcmp(arguments[1], "sandbox") == 0)
        return named("hostd-sandbox", sandbox_main);
    static const char usage[] = "hostd-container-init is started by hostd and does nothing by itself\n";
    return write(2, usage, sizeof usage - 1) < 0 ? 3 : 2;
}
