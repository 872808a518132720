//! Starting a step's first process.
//!
//! The child shares the shim's memory until it executes the program (`CLONE_VM | CLONE_VFORK`, as the C library's own
//! posix_spawn does), so nothing is copied however the step is set up, and a failure comes back as a plain write to
//! shared memory instead of through a pipe. That is why the child may not allocate, and why everything it needs is
//! prepared before. Which failure a person is told is decided here too; pipes and files are not made here.

#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use jobwright_shim::protocol::{
    Resource, SCRIPT_DESCRIPTOR, StartFailure, StartOrder, StartProblem, TOKEN_VARIABLE,
};
use libc::rlimit64;

use crate::system;

const STACK: usize = 64 << 10;

/// What all starts have in common.
pub(crate) struct Spawner {
    /// The child's stack; the shim sleeps while the child uses it, so one is enough.
    stack: Vec<u128>,
    /// The limit of open files that the shim itself was started with.
    open_files: rlimit64,
    /// Whether the shim's own out-of-memory score is not the default and must not be inherited.
    reset_oom_score: bool,
}

/// What the program gets as its standard streams.
pub(crate) struct Streams<'a> {
    /// None: the shim's own, `/dev/null`.
    pub(crate) input: Option<BorrowedFd<'a>>,
    pub(crate) output: BorrowedFd<'a>,
    pub(crate) error: BorrowedFd<'a>,
    /// What the program finds on [`SCRIPT_DESCRIPTOR`].
    pub(crate) script: Option<BorrowedFd<'a>>,
    /// The input is a terminal that becomes the one of the program's session.
    pub(crate) terminal: bool,
}

/// Where the child was when it failed. The order is the order in which it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Session,
    Cgroup(usize),
    Limit(usize),
    Groups,
    Gid,
    Uid,
    Privileges,
    Streams,
    Directory,
    Execute,
}

/// All that the child reads, and the one field that it writes.
struct Child<'a> {
    parent: c_int,
    cgroups: &'a [CString],
    limits: &'a [(u32, rlimit64)],
    identity: Option<(u32, u32, &'a [u32])>,
    reset_oom_score: bool,
    no_new_privileges: bool,
    input: Option<c_int>,
    output: c_int,
    error: c_int,
    script: Option<c_int>,
    terminal: bool,
    directory: &'a CString,
    programs: &'a [CString],
    argv: &'a [*const c_char],
    envp: &'a [*const c_char],
    failure: Option<(Stage, c_int)>,
}

impl Spawner {
    pub(crate) fn new() -> Self {
        // Steps come and go; the one that remembers them should be the last that a full memory takes.
        let _ = std::fs::write("/proc/self/oom_score_adj", "-900");
        let score = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
        Self {
            stack: vec![0; STACK / size_of::<u128>()],
            open_files: system::raise_open_files(),
            reset_oom_score: score.trim() != "0",
        }
    }

    /// Starts the program with these streams. Returns when it runs.
    pub(crate) fn spawn(
        &mut self,
        order: &StartOrder,
        token: &str,
        streams: &Streams<'_>,
    ) -> Result<u32, StartFailure> {
        let prepared = Prepared::new(order, token, self.open_files)?;
        let pointers = |list: &[CString]| -> Vec<*const c_char> {
            list.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
        };
        let (argv, envp) = (pointers(&prepared.argv), pointers(&prepared.envp));
        let mut child = Child {
            parent: std::process::id() as c_int,
            cgroups: &prepared.cgroups,
            limits: &prepared.limits,
            identity: order.run_as.as_ref().map(|to| (to.uid, to.gid, to.groups.as_slice())),
            reset_oom_score: self.reset_oom_score,
            no_new_privileges: order.no_new_privileges,
            input: streams.input.map(|input| input.as_raw_fd()),
            output: streams.output.as_raw_fd(),
            error: streams.error.as_raw_fd(),
            script: streams.script.map(|script| script.as_raw_fd()),
            terminal: streams.terminal,
            directory: &prepared.directory,
            programs: &prepared.programs,
            argv: &argv,
            envp: &envp,
            failure: None,
        };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the stack is ours, aligned to 16 and unused; with CLONE_VFORK this thread sleeps until the child
        // has executed or ended, so `child` and everything it points to outlive its use.
        let pid = unsafe {
            let top = self.stack.as_mut_ptr().add(self.stack.len());
            libc::clone(child_main, top.cast(), flags, ptr::from_mut(&mut child).cast())
        };
        if pid < 0 {
            let errno = last_errno();
            return Err(StartFailure {
                problem: StartProblem::Resources,
                subject: order.argv[0].clone(),
                errno,
            });
        }
        // SAFETY: the child wrote it, through the pointer that `clone` was given.
        let failure = unsafe { ptr::read_volatile(&child.failure) };
        let Some((stage, errno)) = failure else { return Ok(pid as u32) };
        // It gave its memory back before it is quite gone; whoever is told of the failure must not find it any more.
        system::reap_ending(pid as u32);
        Err(prepared.explain(order, stage, errno))
    }
}

/// The order in the forms that the kernel takes.
struct Prepared {
    programs: Vec<CString>,
    argv: Vec<CString>,
    envp: Vec<CString>,
    directory: CString,
    cgroups: Vec<CString>,
    limits: Vec<(u32, rlimit64)>,
}

impl Prepared {
    fn new(order: &StartOrder, token: &str, open_files: rlimit64) -> Result<Self, StartFailure> {
        let Some(program) = order.argv.first().filter(|program| !program.is_empty()) else {
            return Err(bad_order("no program in argv"));
        };
        for (what, path) in [("cwd", &order.cwd), ("dir", &order.files.dir)] {
            if !path.is_absolute() {
                return Err(bad_order(&format!("{what} `{}` is not absolute", path.display())));
            }
        }
        let argv = order.argv.iter().map(|text| c_string("argv", text)).collect::<Result<_, _>>()?;
        let mut envp = Vec::with_capacity(order.env.len() + 1);
        for (name, value) in &order.env {
            if name.is_empty() || name.contains('=') {
                return Err(bad_order(&format!("`{name}` cannot be the name of a variable")));
            }
            // The value may be a secret, so only the name is ever shown.
            let entry = CString::new(format!("{name}={value}"));
            envp.push(entry.map_err(|_| bad_order(&format!("variable `{name}` holds a NUL byte")))?);
        }
        envp.push(c_string("token", &format!("{TOKEN_VARIABLE}={token}"))?);
        let mut limits = vec![(number_of(Resource::OpenFiles), open_files)];
        limits.extend(order.limits.iter().map(|limit| {
            let value = |limit: Option<u64>| limit.unwrap_or(libc::RLIM64_INFINITY);
            let limits = rlimit64 { rlim_cur: value(limit.soft), rlim_max: value(limit.hard) };
            (number_of(limit.resource), limits)
        }));
        let cgroups = order.cgroups.iter().map(|path| c_path(&path.join("cgroup.procs")));
        Ok(Self {
            programs: candidates(program, order.env.get("PATH").map(String::as_str))?,
            argv,
            envp,
            directory: c_path(&order.cwd)?,
            cgroups: cgroups.collect::<Result<_, _>>()?,
            limits,
        })
    }

    /// What a person needs to know of a failure.
    fn explain(&self, order: &StartOrder, stage: Stage, errno: c_int) -> StartFailure {
        let denied = matches!(errno, libc::EACCES | libc::EPERM);
        let directory = order.cwd.display().to_string();
        let run_as = order.run_as.as_ref();
        let (problem, subject) = match stage {
            Stage::Cgroup(index) => (StartProblem::Cgroup, order.cgroups[index].display().to_string()),
            // Index 0 is the shim's own limit of open files, put back.
            Stage::Limit(0) => (StartProblem::Limit, "open files".into()),
            Stage::Limit(index) => (StartProblem::Limit, format!("{:?}", order.limits[index - 1].resource)),
            Stage::Groups => (StartProblem::Identity, format!("groups {:?}", run_as.map(|to| &to.groups))),
            Stage::Gid => (StartProblem::Identity, format!("group {}", run_as.map_or(0, |to| to.gid))),
            Stage::Uid => (StartProblem::Identity, format!("user {}", run_as.map_or(0, |to| to.uid))),
            Stage::Directory if denied => (StartProblem::DirectoryDenied, directory),
            Stage::Directory => (StartProblem::DirectoryMissing, directory),
            Stage::Execute => (self.why_not_executed(order, errno), order.argv[0].clone()),
            Stage::Session | Stage::Privileges | Stage::Streams => {
                (StartProblem::Other, order.argv[0].clone())
            }
        };
        StartFailure { problem, subject, errno }
    }

    fn why_not_executed(&self, order: &StartOrder, errno: c_int) -> StartProblem {
        match errno {
            libc::ENOENT | libc::ENOTDIR => {
                // The kernel says "not found" of a script's interpreter in the same words as of the script.
                let exists = self
                    .programs
                    .iter()
                    .any(|program| order.cwd.join(std::ffi::OsStr::from_bytes(program.as_bytes())).is_file());
                if exists { StartProblem::InterpreterMissing } else { StartProblem::ProgramNotFound }
            }
            libc::EACCES | libc::EPERM => StartProblem::ProgramDenied,
            libc::ENOEXEC => StartProblem::ProgramFormat,
            libc::E2BIG => StartProblem::ArgumentsTooLong,
            libc::EAGAIN | libc::ENOMEM => StartProblem::Resources,
            _ => StartProblem::Other,
        }
    }
}

/// The paths to try: the program itself if it names one, else each folder of the step's PATH.
fn candidates(program: &str, path: Option<&str>) -> Result<Vec<CString>, StartFailure> {
    if program.contains('/') {
        return Ok(vec![c_string("argv", program)?]);
    }
    let path = path.unwrap_or("/usr/local/bin:/usr/bin:/bin");
    let candidates: Vec<CString> = path
        .split(':')
        .map(|folder| {
            c_string("PATH", &format!("{}/{program}", if folder.is_empty() { "." } else { folder }))
        })
        .collect::<Result<_, _>>()?;
    let absent = candidates.iter().take_while(|candidate| is_surely_absent(candidate)).count();
    // When none is there, the child says it.
    Ok(if absent < candidates.len() { candidates[absent..].to_vec() } else { candidates })
}

/// Whether the child would not find the program there: a look costs a tenth of trying to execute it. A relative path is the child's
/// own to look up.
fn is_surely_absent(program: &CString) -> bool {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    let is_absolute = program.as_bytes().starts_with(b"/");
    let look = || accessat(CWD, program, Access::EXISTS, AtFlags::empty());
    is_absolute && matches!(look(), Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR))
}

fn bad_order(why: &str) -> StartFailure {
    StartFailure { problem: StartProblem::Order, subject: why.into(), errno: 0 }
}

fn c_string(what: &str, text: &str) -> Result<CString, StartFailure> {
    CString::new(text).map_err(|_| bad_order(&format!("{what} holds a NUL byte")))
}

fn c_path(path: &Path) -> Result<CString, StartFailure> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| bad_order("a path holds a NUL byte"))
}

#[allow(clippy::unnecessary_cast, reason = "the constants' type differs between C libraries")]
fn number_of(resource: Resource) -> u32 {
    let number = match resource {
        Resource::AddressSpace => libc::RLIMIT_AS,
        Resource::Core => libc::RLIMIT_CORE,
        Resource::Cpu => libc::RLIMIT_CPU,
        Resource::Data => libc::RLIMIT_DATA,
        Resource::FileSize => libc::RLIMIT_FSIZE,
        Resource::LockedMemory => libc::RLIMIT_MEMLOCK,
        Resource::OpenFiles => libc::RLIMIT_NOFILE,
        Resource::Processes => libc::RLIMIT_NPROC,
        Resource::Stack => libc::RLIMIT_STACK,
    };
    number as u32
}

fn last_errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Runs in the child, in the shim's memory, on its own stack. Never returns into the shim's code.
extern "C" fn child_main(argument: *mut c_void) -> c_int {
    // SAFETY: the pointer is the `Child` of the sleeping parent; nothing else looks at it meanwhile.
    unsafe {
        let child = &mut *argument.cast::<Child<'_>>();
        let stage = set_up_and_execute(child);
        let errno = *libc::__errno_location();
        ptr::write_volatile(&mut child.failure, Some((stage, errno)));
        libc::_exit(127)
    }
}

/// Returns only on failure, with where it was; the reason is in errno.
///
/// # Safety
/// Only in the child of a `CLONE_VM | CLONE_VFORK`: calls nothing that allocates, locks or unwinds.
unsafe fn set_up_and_execute(child: &Child<'_>) -> Stage {
    // SAFETY: system calls with pointers to prepared, NUL-terminated memory.
    unsafe {
        if libc::setsid() < 0 {
            return Stage::Session;
        }
        for (index, procs) in child.cgroups.iter().enumerate() {
            if !write_file(procs.as_ptr(), b"0\n") {
                return Stage::Cgroup(index);
            }
        }
        if child.reset_oom_score {
            // Lowering may be forbidden; then the step keeps a score that only makes it die sooner.
            write_file(c"/proc/self/oom_score_adj".as_ptr(), b"0\n");
        }
        for (index, (resource, limit)) in child.limits.iter().enumerate() {
            let none = ptr::null_mut::<rlimit64>();
            if libc::syscall(libc::SYS_prlimit64, 0, *resource as c_long, ptr::from_ref(limit), none) != 0 {
                return Stage::Limit(index);
            }
        }
        // The plain calls: the C library's wrappers would try to tell threads that are not this process's.
        if let Some((uid, gid, groups)) = child.identity {
            if libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) != 0 {
                return Stage::Groups;
            }
            if libc::syscall(libc::SYS_setresgid, gid, gid, gid) != 0 {
                return Stage::Gid;
            }
            if libc::syscall(libc::SYS_setresuid, uid, uid, uid) != 0 {
                return Stage::Uid;
            }
        }
        // After the change of user, which clears it. When the shim dies its steps die with it (DESIGN section 7).
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 || libc::getppid() != child.parent {
            return Stage::Session;
        }
        if child.no_new_privileges && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Stage::Privileges;
        }
        if child.input.is_some_and(|input| libc::dup2(input, 0) < 0) {
            return Stage::Streams;
        }
        if libc::dup2(child.output, 1) < 0 || libc::dup2(child.error, 2) < 0 {
            return Stage::Streams;
        }
        // After the streams, whose numbers it may have.
        if child.script.is_some_and(|script| !hand_over(script, SCRIPT_DESCRIPTOR)) {
            return Stage::Streams;
        }
        if child.terminal && libc::ioctl(0, libc::TIOCSCTTY, 0) != 0 {
            return Stage::Streams;
        }
        if libc::chdir(child.directory.as_ptr()) != 0 {
            return Stage::Directory;
        }
        default_signals();
        execute(child)
    }
}

/// # Safety
/// As [`set_up_and_execute`].
unsafe fn write_file(path: *const c_char, bytes: &[u8]) -> bool {
    // SAFETY: `path` is NUL-terminated, `bytes` a live slice.
    unsafe {
        let file = libc::open(path, libc::O_WRONLY | libc::O_CLOEXEC);
        if file < 0 {
            return false;
        }
        let written = libc::write(file, bytes.as_ptr().cast(), bytes.len()) == bytes.len() as isize;
        let errno = *libc::__errno_location();
        libc::close(file);
        *libc::__errno_location() = errno;
        written
    }
}

/// Gives a descriptor the number under which the program finds it.
///
/// # Safety
/// As [`set_up_and_execute`].
unsafe fn hand_over(descriptor: c_int, number: c_int) -> bool {
    // SAFETY: plain numbers.
    unsafe {
        match descriptor == number {
            true => libc::fcntl(number, libc::F_SETFD, 0) == 0,
            false => libc::dup2(descriptor, number) >= 0,
        }
    }
}

/// # Safety
/// As [`set_up_and_execute`]: the table of handlers is the child's own (no `CLONE_SIGHAND`).
unsafe fn default_signals() {
    // SAFETY: no handler is installed; the set is initialised before it is used.
    unsafe {
        for signal in system::IGNORED {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
}

/// Tries the candidates as a shell would: a folder without the program is passed over, one where it may not be
/// executed is remembered.
///
/// # Safety
/// As [`set_up_and_execute`].
unsafe fn execute(child: &Child<'_>) -> Stage {
    // SAFETY: all pointers are to prepared, NUL-terminated memory that ends with a null pointer.
    unsafe {
        let mut denied = false;
        for program in child.programs {
            libc::execve(program.as_ptr(), child.argv.as_ptr(), child.envp.as_ptr());
            match *libc::__errno_location() {
                libc::EACCES => denied = true,
                libc::ENOENT | libc::ENOTDIR => {}
                _ => return Stage::Execute,
            }
        }
        if denied {
            *libc::__errno_location() = libc::EACCES;
        }
        Stage::Execute
    }
}
