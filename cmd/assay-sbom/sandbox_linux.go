package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sandbox gives up what reading an image does not need, for the whole process and for good. Limits and the system call filter are required;
// what an older kernel does not know (Landlock) is left out, because everything it would stop is stopped by another layer as well.
func sandbox(memory int64, timeout time.Duration, file int64, scratch string) error {
	if err := os.Chdir("/"); err != nil {
		return err
	}
	// Writing beyond the limit shall be an error of that file, not the end of the process.
	signal.Ignore(syscall.SIGXFSZ)
	limits := []struct {
		resource int
		max      uint64
	}{
		{unix.RLIMIT_DATA, uint64(memory)},
		{unix.RLIMIT_FSIZE, uint64(file)},
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_NOFILE, 512},
		{unix.RLIMIT_MEMLOCK, 0},
		{unix.RLIMIT_CPU, uint64(timeout/time.Second)*uint64(runtime.NumCPU()) + 10},
	}
	for _, l := range limits {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.max, Max: l.max}); err != nil {
			return fmt.Errorf("limit %d: %w", l.resource, err)
		}
	}
	beNice()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := filterCalls(); err != nil {
		return err
	}
	onlyScratch(scratch)
	return nil
}

// beNice lets the server's threads go first. Niceness is a property of threads on Linux.
func beNice() {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range tasks {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, id, 10) // a courtesy, not a safeguard
		}
	}
}

// forbidden are the system calls of network, of other processes, and of the kernel's rarely used doors.
var forbidden = [...]uint32{
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4,
	unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDMMSG,
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
	unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_FSOPEN, unix.SYS_MOVE_MOUNT,
	unix.SYS_OPEN_TREE, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_OPEN_BY_HANDLE_AT,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_QUOTACTL,
	unix.SYS_MKNODAT, unix.SYS_MEMFD_CREATE,
}

// Numbers that x/sys names on one architecture only, and offsets in struct seccomp_data (linux/seccomp.h).
const (
	amd64Fork, amd64Vfork, amd64Mknod = 57, 58, 133
	x32Bit                            = 0x40000000
	offsetNumber, offsetArch          = 0, 4
	offsetFlags                       = 16 // low half of the first argument, little endian
)

// filterCalls installs the system call filter on every thread: forbidden calls fail with EPERM, so does starting a process; threads may start.
func filterCalls() error {
	arch, more := uint32(unix.AUDIT_ARCH_X86_64), []uint32{amd64Fork, amd64Vfork, amd64Mknod}
	switch runtime.GOARCH {
	case "amd64":
	case "arm64":
		arch, more = unix.AUDIT_ARCH_AARCH64, nil
	default:
		return nil // no filter is known for this architecture; the other limits hold
	}
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	jump := func(op uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	give := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	deny := give(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))
	program := []unix.SockFilter{
		load(offsetArch), jump(unix.BPF_JEQ, arch, 1, 0), give(unix.SECCOMP_RET_KILL_PROCESS),
		load(offsetNumber), jump(unix.BPF_JGE, x32Bit, 0, 1), deny,
		// clone3 hides its flags in memory: as on old kernels it does not exist, and callers fall back to clone.
		jump(unix.BPF_JEQ, unix.SYS_CLONE3, 0, 1), give(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)),
	}
	for _, n := range append(more, forbidden[:]...) {
		program = append(program, jump(unix.BPF_JEQ, n, 0, 1), deny)
	}
	program = append(program,
		jump(unix.BPF_JEQ, unix.SYS_CLONE, 0, 3), load(offsetFlags), jump(unix.BPF_JSET, unix.CLONE_THREAD, 1, 0), deny,
		give(unix.SECCOMP_RET_ALLOW))
	p := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&p)))
	runtime.KeepAlive(program)
	if e != 0 && e != unix.ENOSYS && e != unix.EINVAL {
		return fmt.Errorf("system call filter: %w", e)
	}
	return nil
}

// onlyScratch leaves one directory of the file system (Landlock): even a cataloguer that is taken over reads no key and no other image.
// It needs a program without cgo, which is how releases are built, and Linux 5.13.
func onlyScratch(dir string) {
	const all = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
		unix.LANDLOCK_ACCESS_FS_READ_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	const files = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR |
		unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG
	attr := unix.LandlockRulesetAttr{Access_fs: all}
	rules, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr.Access_fs), 0)
	if e != 0 {
		return
	}
	defer unix.Close(int(rules))
	if fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0); err == nil {
		rule := struct {
			access uint64
			fd     int32
		}{files, int32(fd)}
		_, _, e = unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, rules, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
		unix.Close(fd)
		if e != 0 {
			return
		}
	}
	_, _, _ = syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, rules, 0, 0)
}
