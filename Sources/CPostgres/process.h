// What Linux offers for starting and watching processes and Swift cannot reach: GNU extensions and a variadic system call.
#ifndef BURSAR_PROCESS_H
#define BURSAR_PROCESS_H
#include <spawn.h>
#include <sys/syscall.h>
#include <unistd.h>

// Declared by glibc (2.29 and 2.34) only under _GNU_SOURCE, which cannot be set for a module that is built already.
extern int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
extern int pipe2(int ends[2], int flags);

// POSIX_SPAWN_SETSID of glibc 2.26.
enum { BURSAR_SPAWN_SETSID = 0x80 };

/// A close-on-exec descriptor that becomes readable when the process ends (pidfd_open(2), Linux 5.3); -1 where there is none.
static inline int bursar_open_process(int pid) {
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    return -1;
#endif
}
#endif
