//! perf_event_open(2) and what is done with its descriptors.

use super::{check, owned};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// The first 72 bytes of `struct perf_event_attr` (`PERF_ATTR_SIZE_VER1`, and every later kernel).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PerfAttr {
    kind: u32,
    size: u32,
    config: u64,
    /// period or frequency
    sample: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    bp_type: u32,
    config1: u64,
    config2: u64,
}

/// One event to be opened.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// `PERF_TYPE_*` or a PMU's number from sysfs
    pub kind: u32,
    pub config: u64,
    /// events, or ns of a clock, between two samples; 0: none
    pub period: u64,
    /// `config1` as an address: the binary of a uprobe
    pub path: Option<&'a CStr>,
    /// `config1` where there is no path: an address
    pub address: u64,
    /// `config2`: the offset in that binary, the length at that address
    pub offset: u64,
    /// `bp_type`: how memory is touched
    pub breakpoint: u32,
    /// -1: every process
    pub pid: i32,
    /// -1: every CPU, where a process is given
    pub cpu: i32,
    /// with the threads that the given one starts
    pub inherit: Inherit,
}

/// Who gets an event that a thread has, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inherit {
    #[default]
    Nobody,
    /// threads that it starts (5.13)
    Threads,
    /// threads and processes that it starts
    All,
}

impl Inherit {
    /// `inherit`, `inherit_thread` of the attributes
    fn bits(self) -> u64 {
        match self {
            Inherit::Nobody => 0,
            Inherit::Threads => 1 << 1 | 1 << 35,
            Inherit::All => 1 << 1,
        }
    }
}

pub const TYPE_SOFTWARE: u32 = 1;
pub const TYPE_HARDWARE: u32 = 0;
pub const TYPE_TRACEPOINT: u32 = 2;
pub const TYPE_BREAKPOINT: u32 = 5;
pub const SW_CPU_CLOCK: u64 = 0;

impl Default for Event<'_> {
    fn default() -> Self {
        Event {
            kind: TYPE_SOFTWARE,
            config: SW_CPU_CLOCK,
            period: 0,
            path: None,
            address: 0,
            offset: 0,
            breakpoint: 0,
            pid: -1,
            cpu: -1,
            inherit: Inherit::Nobody,
        }
    }
}

/// Opens the event. It counts at once, but without a program nothing comes of it.
pub fn open(event: &Event) -> io::Result<OwnedFd> {
    let attr = PerfAttr {
        kind: event.kind,
        size: size_of::<PerfAttr>() as u32,
        config: event.config,
        sample: event.period,
        config1: event.path.map_or(event.address, |p| p.as_ptr() as u64),
        config2: event.offset,
        bp_type: event.breakpoint,
        flags: event.inherit.bits(),
        ..PerfAttr::default()
    };
    // SAFETY: the attributes and the path in them live through the call.
    owned(unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_ref(&attr),
            event.pid,
            event.cpu,
            -1,
            // PERF_FLAG_FD_CLOEXEC
            8,
        )
    })
}

/// Opens a stream of what a process and those that it starts map, fork and execute, as far as it happens on that CPU. Its
/// records end in a time.
pub fn open_mappings(pid: i32, cpu: i32) -> io::Result<OwnedFd> {
    const SW_DUMMY: u64 = 9;
    const SAMPLE_TIME: u64 = 1 << 2;
    // inherit, mmap, comm, task, sample_id_all, mmap2, comm_exec
    const FLAGS: u64 = 1 << 1 | 1 << 8 | 1 << 9 | 1 << 13 | 1 << 18 | 1 << 23 | 1 << 24;
    let attr = PerfAttr {
        kind: TYPE_SOFTWARE,
        size: size_of::<PerfAttr>() as u32,
        config: SW_DUMMY,
        sample_type: SAMPLE_TIME,
        flags: FLAGS,
        ..PerfAttr::default()
    };
    // SAFETY: the attributes live through the call.
    owned(unsafe { libc::syscall(libc::SYS_perf_event_open, std::ptr::from_ref(&attr), pid, cpu, -1, 8) })
}

/// Opens a CPU's buffer for what programs put out there (`bpf_skb_output`); each record wakes who waits.
pub fn open_output(cpu: i32) -> io::Result<OwnedFd> {
    const SW_BPF_OUTPUT: u64 = 10;
    const SAMPLE_RAW: u64 = 1 << 10;
    let attr = PerfAttr {
        kind: TYPE_SOFTWARE,
        size: size_of::<PerfAttr>() as u32,
        config: SW_BPF_OUTPUT,
        sample: 1,
        sample_type: SAMPLE_RAW,
        wakeup: 1,
        ..PerfAttr::default()
    };
    // SAFETY: the attributes live through the call.
    owned(unsafe { libc::syscall(libc::SYS_perf_event_open, std::ptr::from_ref(&attr), -1, cpu, -1, 8) })
}

/// `PERF_EVENT_IOC_SET_BPF`: the program runs at the event until the descriptor is closed.
pub fn set_program(event: BorrowedFd, prog: BorrowedFd) -> io::Result<()> {
    const SET_BPF: libc::Ioctl = 0x4004_2408;
    // SAFETY: takes two descriptors and touches no memory of ours.
    check(unsafe { libc::ioctl(event.as_raw_fd(), SET_BPF, prog.as_raw_fd()) }.into()).map(drop)
}

/// `PERF_EVENT_IOC_ENABLE`, for an event that was opened disabled or lost its CPU.
pub fn enable(event: BorrowedFd) -> io::Result<()> {
    const ENABLE: libc::Ioctl = 0x2400;
    // SAFETY: touches no memory of ours.
    check(unsafe { libc::ioctl(event.as_raw_fd(), ENABLE, 0) }.into()).map(drop)
}

/// The CPU that this thread runs on now: one that is online.
pub fn current_cpu() -> i32 {
    // SAFETY: gives a number.
    unsafe { libc::sched_getcpu() }.max(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn attributes_lie_as_the_kernel_reads_them() {
        assert_eq!(size_of::<super::PerfAttr>(), 72);
        assert_eq!(std::mem::offset_of!(super::PerfAttr, config2), 64);
    }
}
