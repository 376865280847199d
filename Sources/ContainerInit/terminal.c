#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "init.h"

static void set_size(const struct configuration *configuration, int master)
{
    size_t offset = 0;
    struct record record;
    if (!configuration_next(configuration, TAG_TERMINAL_SIZE, &offset, &record))
        return;
    struct winsize size = {
        .ws_col = (unsigned short)record_number(&record, 0), .ws_row = (unsigned short)record_number(&record, 1)};
    ioctl(master, TIOCSWINSZ, &size);
}

void terminal_open(const struct configuration *configuration)
{
    // The container may have put anything at these paths: take the file only from a devpts.
    int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);
    struct statfs system;
    if (master < 0 || fstatfs(master, &system) < 0)
        fail(STEP_TERMINAL, errno, "/dev/pts/ptmx");
    if (system.f_type != DEVPTS_SUPER_MAGIC)
        fail(STEP_TERMINAL, EXDEV, "/dev/pts/ptmx");
    int unlocked = 0;
    if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
        fail(STEP_TERMINAL, errno, "unlock");
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        fail(STEP_TERMINAL, errno, "peer");
    set_size(configuration, master);
    if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
        fail(STEP_TERMINAL, errno, "controlling terminal");
    struct identity identity;
    identity_resolve(configuration, &identity);
    if (fchown(slave, identity.user, (gid_t)-1) < 0)
        fail(STEP_TERMINAL, errno, "owner");
    struct report report = {.kind = REPORT_TERMINAL};
    if (send_descriptor(report_descriptor, &report, master) < 0)
        fail(STEP_TERMINAL, errno, "hand-over");
    for (int stream = 0; stream < 3; stream++)
        if (dup2(slave, stream) < 0)
            fail(STEP_TERMINAL, errno, "standard streams");
    if (slave > 2)
        close(slave);
    close(master);
}
