//! The system calls that have no safe wrapper in rustix, each behind a small safe function.
//!
//! The shim has one thread, which is what makes the `fork` here sound. Spawning is in [`crate::spawn`].

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use jobwright_shim::record::{ExitStatus, Usage};

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: u32) {
    // SAFETY: called before anything of this process owns a descriptor above `first`.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if closed != 0 {
        // Kernels before 5.9; the names in the folder are the open descriptors.
        let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")
            .map(|entries| entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
            .unwrap_or_default();
        for number in open.into_iter().filter(|number| *number >= first as i32) {
            // SAFETY: as above; closing the descriptor of the folder itself again is a harmless EBADF.
            unsafe { libc::close(number) };
        }
    }
}

/// Forks; the parent exits successfully at once, the child returns.
pub(crate) fn fork_and_leave() -> io::Result<()> {
    // SAFETY: there is one thread, so the child may use everything.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(()),
        // SAFETY: ends the process without running what the child still needs (buffers, temporary files).
        _ => unsafe { libc::_exit(0) },
    }
}

/// All signals to their default and unblocked, but those whose default would end the shim while it writes.
pub(crate) fn reset_signals() {
    for signal in 1..=64_i32 {
        let handler = if IGNORED.contains(&signal) { libc::SIG_IGN } else { libc::SIG_DFL };
        let action = [handler as u64, 0, 0, 0];
        // The plain call, because the C library's hides the signals it keeps for itself, and a caller may have
        // ignored those too.
        // SAFETY: no handler is installed; the kernel's structure is handler, flags, restorer and mask, in words.
        // SIGKILL and SIGSTOP refuse, which is right.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), std::ptr::null_mut::<u64>(), 8);
        }
    }
    // SAFETY: the set is initialised before it is used.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

/// The signals that [`reset_signals`] leaves ignored, to be put back to default in a step.
pub(crate) const IGNORED: [i32; 4] = [libc::SIGPIPE, libc::SIGXFSZ, libc::SIGHUP, libc::SIGINT];

/// Blocks SIGCHLD and SIGTERM and gives the descriptor that tells of them.
pub(crate) fn signal_descriptor() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised before it is used; the descriptor is new and owned by nobody else.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            number => Ok(OwnedFd::from_raw_fd(number)),
        }
    }
}

/// Whether the bytes read from the signal descriptor tell of SIGTERM.
pub(crate) fn tells_of_term(bytes: &[u8]) -> bool {
    let size = std::mem::size_of::<libc::signalfd_siginfo>();
    // The signal's number is the first field.
    bytes.chunks_exact(size).any(|info| info[..4] == (libc::SIGTERM as u32).to_ne_bytes())
}

/// Becomes the process to which orphans below it are given.
pub(crate) fn become_subreaper() -> io::Result<()> {
    // SAFETY: plain numbers.
    match unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The number of a child that ended and was not waited for, left as it is: its number cannot be given away yet.
pub(crate) fn peek_ended_child() -> Option<u32> {
    // SAFETY: the kernel fills `info`; with WNOHANG and nothing to tell, its pid stays 0.
    let (result, pid) = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        (libc::waitid(libc::P_ALL, 0, &mut info, options), info.si_pid())
    };
    (result == 0 && pid > 0).then_some(pid as u32)
}

/// Takes the exit status of one ended child; `None` if it has not ended.
pub(crate) fn reap(pid: u32) -> Option<(ExitStatus, Usage)> {
    wait(pid, libc::WNOHANG)
}

/// Waits for a child that is ending by itself; it must not be one that runs.
pub(crate) fn reap_ending(pid: u32) {
    wait(pid, 0);
}

fn wait(pid: u32, options: i32) -> Option<(ExitStatus, Usage)> {
    let mut status = 0;
    // SAFETY: zeroed is a valid rusage and the kernel fills both.
    let (reaped, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(pid as i32, &mut status, options, &mut usage), usage)
    };
    if reaped != pid as i32 {
        return None;
    }
    let exit = if libc::WIFSIGNALED(status) {
        ExitStatus::Signal { number: libc::WTERMSIG(status), core_dumped: libc::WCOREDUMP(status) }
    } else {
        ExitStatus::Code(libc::WEXITSTATUS(status))
    };
    let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    let usage = Usage {
        user_us: micros(usage.ru_utime),
        system_us: micros(usage.ru_stime),
        max_rss_bytes: usage.ru_maxrss as u64 * 1024,
    };
    Some((exit, usage))
}

/// `kill(2)`; a negative number is a process group. An answer of false: nobody was there.
pub(crate) fn kill(pid: i32, signal: i32) -> bool {
    // SAFETY: plain numbers. 0, 1 and -1 would reach far more than a step.
    assert!(!matches!(pid, -1..=1), "a step is never process {pid}");
    unsafe { libc::kill(pid, signal) == 0 }
}

/// Signals a process by a descriptor, so that the number cannot have been given to another one meanwhile.
/// `still_meant` is asked once the descriptor is held.
pub(crate) fn kill_checked(pid: u32, signal: i32, still_meant: impl FnOnce() -> bool) -> bool {
    // SAFETY: plain numbers and a null pointer that the call allows; the descriptor is new and owned by nobody else.
    unsafe {
        let number = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        if number < 0 {
            return false;
        }
        let descriptor = OwnedFd::from_raw_fd(number as i32);
        let number = std::os::fd::AsRawFd::as_raw_fd(&descriptor);
        still_meant()
            && libc::syscall(
                libc::SYS_pidfd_send_signal,
                number,
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            ) == 0
    }
}

/// Raises the soft limit of open files to the hard one; gives the limit that was, for the steps.
pub(crate) fn raise_open_files() -> libc::rlimit64 {
    // SAFETY: zeroed is a valid rlimit and the kernel fills it.
    unsafe {
        let mut limit: libc::rlimit64 = std::mem::zeroed();
        libc::getrlimit64(libc::RLIMIT_NOFILE, &mut limit);
        let raised = libc::rlimit64 { rlim_cur: limit.rlim_max, ..limit };
        libc::setrlimit64(libc::RLIMIT_NOFILE, &raised);
        limit
    }
}

/// A file in memory that holds `text`, which nobody can change. It has no name, and goes with its last descriptor.
pub(crate) fn sealed_text(text: &str) -> io::Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let descriptor = memfd_create("script", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let file = std::fs::File::from(descriptor);
    std::os::unix::fs::FileExt::write_all_at(&file, text.as_bytes(), 0)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file.into())
}

/// Bytes that nobody can guess.
pub(crate) fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    // SAFETY: the pointer and the length belong to `bytes`; up to 256 bytes are given whole.
    match unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) } {
        16 => Ok(bytes),
        _ => Err(io::Error::last_os_error()),
    }
}
