"""What the page of a report says in words: of each group, of each plot, and of what is not shown."""

PLOT_TEXT = {
    "throughput": "Sealing and opening in GB/s by page size, from 4 to 64 KiB: the native kernel on one thread, on "
    "two and in two processes, the portable kernel, one call a page through cryptography, and the dashed line of the "
    "primitive",
    "latency": "Percentiles of a random read from our cache, the system's cache and the disk, beside os.pread",
    "overhead": "Time of reads, commits, import, export, snapshots and restores as a multiple of the same work "
    "without encryption",
    "rotation": "Time of a rotation of the master key by the amount of data in the node",
    "peers": "MB/s of other encrypted databases and file libraries on the same work",
}
ABOUT = {
    "kernel": "Data in cache: a mebibyte for each thread, and a turn is 16 calls over it. *The primitive* is, for the "
    "native kernel, the bare loop over aws-lc-rs in Rust on the same memory, building the same nonces and associated "
    "data; for the portable one, `AESGCM.encrypt_into` in a bare Python loop. On two threads each thread of the bare "
    "loop has a half and never waits for the other: that is what the machine gives. *Of one* is the same call on one "
    "thread. The portable kernel opens memory that is lent to it, as a store reads. *Copy in memory* is the ceiling of "
    "anything.",
    "store": "Plain is `os.pread` of single pages, `os.preadv` of a mebibyte a call for a scan, and for a commit one "
    "`pwrite` of as many bytes and 4 KiB with `fdatasync`; *its writes alone* are those of a commit in their two "
    "places, by plain calls, beside one write of as much. A commit of many pages has the system begin to write while "
    "it seals, and plain leaves that to its sync: so it can be faster than plain. *Cold*: both files are dropped from "
    "the system's cache before each turn. Files are in the system's cache otherwise.",
    "node": "A file of a gibibyte. Plain is a copy of it through user space with one fsync: the mean of one just "
    "before and one just after each. What was written and removed earlier is settled first, outside the time. Ours "
    "have the system begin to write while they work, and the copy leaves that to its fsync: so they can be faster than "
    "the copy. A restore opens every page on its way and reads the maps back; *read back* reads the pages once more "
    "from the disk.",
    "log": "A commit stands beside the same in a node without a log; for the restore, plain is a copy of the store's "
    "file.",
    "rotation": "Rotations stand beside that of the node of 1 MiB, and the reads beside the same without rotations. "
    "Bytes written are those of all files together; data files that were written to are counted by their time of "
    "change.",
    "emulator": "`time` is that in which one more call is answered, with several under way; client and server share "
    "the machine. The primitive is one `AESGCM.encrypt` of the same 32 bytes: nearly all of a call is wire. [Beside "
    "moto's server](../emulator.md), and [the wires by processor time](../clouds.md).",
    "peers": "Plain is the same library without its key; for ours and for libraries, a plain file. Databases write "
    "16 MiB as values of 4 KiB in durable transactions of 256 and are opened anew before they are read; libraries seal "
    "and open a file of 16 MiB. A page store is no database: theirs do SQL and an index, ours looks up a number. So "
    "what each loses to itself without a key says more than the speeds beside each other; and the plain side of ours "
    "is the hardest, a bare file.",
}
NOT_SHOWN = (
    "Other machines. Two virtual processors may be two threads of one physical core; then no figure for two workers "
    "says what two cores would give. Compare ratios, not figures, with another machine.",
    "Other disks. Commits, copies and cold reads are of the disk under the directory for temporary files, with its "
    "own caches, and of a file system that others may be using.",
    "Long runs. Each case takes turns with its other for half a second; clocks that sink when hot, and stores that "
    "are fragmented after months, are not in here.",
    "Large stores. Reads and commits are of a store of 64 MiB, whose page map stays in memory; in a store of a "
    "tebibyte a random read may have to read nodes of the map first.",
    "Your pages. Contents are random bytes. They are neither compressed nor compared, so this should not matter.",
    "Many clients. One thread reads or commits; writers that share a commit, and readers beside writers, are not "
    "measured.",
    "A KMS. Rotations and nodes are under a key file: calls over a network, as many as are counted, come on top.",
    "Security. The peers differ in what they promise: see the attack matrix in docs/THREAT_MODEL.md. Unauthenticated "
    "or page-wise encryption does less work than a store that notices an old page.",
    "`openssl speed`: that is another build of OpenSSL than the one which `cryptography` carries.",
)
