/// The rules of docs/abi.md that can be checked from outside, with what to do about a breach.
struct Rule {
    let number: Int
    let title: String
    let remedy: String

    /// One rule a line: number, title, remedy.
    private static let text = """
        1|One symbol|Build with -fvisibility=hidden and export hostd_plugin_entry alone.
        2|Negotiation first|Compare abi_minimum and abi_maximum with HOSTD_ABI_VERSION, and return HOSTD_ERROR_VERSION when it lies outside.
        3|Sized structs|Look at struct_size before a field is read or written, and stay within it.
        4|Interfaces by id|Answer get_interface with one table for each id in `provides`, always the same, and NULL for every other id.
        5|Frozen when published|Take the descriptor from the header (HOSTD_…_SLOTS); put new slots behind it.
        7|Borrowed in|Copy what is needed after the call; do not write into arguments.
        8|Owned out|Hand out memory that nobody else changes until release is called, once; on failure hand out nothing.
        9|Statuses|Return 0 or a negative HOSTD_ERROR_…, with a UTF-8 message of at most 4096 bytes when it is negative.
        10|Tags|Protect what slots share with a lock: they are called from any thread, also at once.
        11|Life cycle|End every thread, timer, watch, queue and operation before deactivate returns, and call the host only between activate and deactivate.
        12|Completions|Complete each accepted operation exactly once, after a cancel too, and a refused one never.
        13|Streams|Call a sink from one thread at a time, and never after END, RESYNC or the return of its cancel.
        14|Deadlines|Compare `deadline_ns` with CLOCK_MONOTONIC and give up with HOSTD_ERROR_DEADLINE_EXCEEDED.
        15|File descriptors|Close a descriptor of letter F in every case, one of letter f never.
        16|Described slots|Describe exactly the slots that the table has room for, in the grammar of docs/abi.md.
        18|Description|Answer describe and schema from constants, as docs/abi.md describes them.
        19|Any value|Check every argument before it is used, and answer HOSTD_ERROR_INVALID_ARGUMENT for what cannot be right.
        20|Order|Keep the life-cycle state in `self` and answer HOSTD_ERROR_WRONG_STATE for a step out of order.
        21|Again|Keep all state in `self`: entry may be called again, also while another instance works.
        22|State|Begin the state with the id of its format and a newline, check every byte on import, and leave the instance as it was when it is refused.
        23|A guest|Leave signal handlers, streams, working directory, umask and environment alone; open with O_CLOEXEC.
        24|Live state|Note what each call changes from export_base on, hand out exactly that, and read changes whole before any of them counts.
        40|Scheduler: room|Count what is placed on each node before another pod is.
        41|Scheduler: once|Take back what a uid used before it is placed again or confirmed.
        42|Scheduler: explanation|Count each node under the first reason that refuses it.
        43|Scheduler: forgetting|Free what a pod used when it is removed, and take unknown names as removed.
        44|Network: attach again|Look for the sandbox among the attachments first and answer what it has.
        45|Network: one address each|Take addresses from one table of what is taken, under a lock.
        46|Network: detach|Give the address back, take what is gone as success, and let check look at what is there.
        47|Runtime: states|Keep one record of each sandbox and container, change its state where its process changes, and list exactly these.
        48|Runtime: gone|Take unknown ids as stopped and removed, and remove a sandbox's containers with it.
        49|Runtime: output|Read a process's streams to their end before its exit is told, and write each line to the log whole.
        50|Volume: again|Look for what is asked for first, and answer it; take what is gone as success.
        51|Volume: publish|Mount the volume's own directory at the path, and unmount it with unpublish.
        52|Device: exclusive|Take devices from one table of what is taken, all or none, under a lock.
        53|Device: allocations|Look for the pod, container and resource among the allocations first.
        54|Store: revisions|Take the revision, the create revision and the version under the lock under which the write is made.
        55|Store: preconditions|Compare under the lock under which the write is made, and write nothing when it does not hold.
        56|Store: watches|Tell changes from the history in the order of their revisions, from the one after the watch's start.
        57|Store: the past|Read keys as they were at the revision that was asked for, in every page.
        58|Store: transactions|Check every step before any is written, and write all of them under one revision.
        59|Store: leases|Keep the time of each lease and its keys, and delete these when it is over.
        60|API extension|Answer each route with a head, and paths that are no route with 404.
        61|API|Put HTTP errors into http_status and return HOSTD_OK.
        """

    static let all: [Rule] = text.split(separator: "\n").map { line in
        let parts = line.split(separator: "|", maxSplits: 2).map(String.init)
        return Rule(number: Int(parts[0]) ?? 0, title: parts[1], remedy: parts[2])
    }

    static func named(_ number: Int) -> Rule {
        all.first { $0.number == number } ?? Rule(number: number, title: "", remedy: "")
    }
}
