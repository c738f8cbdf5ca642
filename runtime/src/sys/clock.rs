//! Clocks that programs and the runtime must agree on.

fn now(clock: libc::clockid_t) -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the structure; these clocks always exist, and were it otherwise zeros would stand.
    unsafe { libc::clock_gettime(clock, &mut t) };
    (t.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(t.tv_nsec as u64)
}

/// `bpf_ktime_get_ns`, ns.
pub fn monotonic_ns() -> u64 {
    now(libc::CLOCK_MONOTONIC)
}

/// CPU time of the calling thread, ns: what a test may demand where other things run beside it.
pub fn thread_ns() -> u64 {
    now(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// ns since 1970.
pub fn real_ns() -> u64 {
    now(libc::CLOCK_REALTIME)
}

/// Realtime minus boottime, ns.
pub fn boot_to_real_ns() -> u64 {
    now(libc::CLOCK_REALTIME).wrapping_sub(now(libc::CLOCK_BOOTTIME))
}

/// Realtime minus atomic time, ns: leap seconds, where the kernel was told of them.
pub fn tai_to_real_ns() -> u64 {
    now(libc::CLOCK_REALTIME).wrapping_sub(now(libc::CLOCK_TAI))
}
