//! Stand-ins for the kernel's helpers. Those that aren't here answer -ENOTSUPP.

use super::jit::{Shared, call_back, read, write};
use super::memory::{Block, E2BIG, EEXIST, EFAULT, EINVAL, ENOENT, ENOTSUPP, ERANGE, State};
use crate::artifact::MapKind;

/// A call of helper `number`, or of a kernel function, none of which is here.
pub fn call(shared: &Shared, number: u32, a: [u64; 5]) -> u64 {
    let name = crate::bpf::helpers::name(number).unwrap_or("");
    match name {
        // these call back into compiled code, which calls helpers in turn
        "bpf_for_each_map_elem" => for_each(shared, a),
        "bpf_loop" => repeat(shared, a),
        _ => shared.with(|s| plain(s, name, a)),
    }
}

fn plain(s: &mut State, name: &str, a: [u64; 5]) -> u64 {
    let signed = match name {
        "bpf_map_lookup_elem" => {
            let cpu = s.world.cpu;
            return with_key(s, a[0], a[1], |s, m, k| s.find(m, k, cpu));
        }
        "bpf_map_lookup_percpu_elem" => {
            return with_key(s, a[0], a[1], |s, m, k| s.find(m, k, a[2] as u32));
        }
        "bpf_map_update_elem" => {
            let Some(m) = s.map_at(a[0]) else {
                return EINVAL as u64;
            };
            let key = read(a[1], s.maps[m].key_size);
            let value = read(a[2], s.maps[m].value_size);
            s.put(m, &key, &value, a[3])
        }
        "bpf_map_delete_elem" => match s.map_at(a[0]) {
            Some(m) => {
                let key = read(a[1], s.maps[m].key_size);
                s.delete(m, &key)
            }
            None => EINVAL,
        },
        "bpf_map_push_elem" | "bpf_map_pop_elem" | "bpf_map_peek_elem" => queue(s, name, a),
        "bpf_task_storage_get" => return task_storage(s, a),
        "bpf_task_storage_delete" => match s.map_at(a[0]) {
            Some(m) => s.delete(m, &a[1].to_ne_bytes()),
            None => EINVAL,
        },
        "bpf_probe_read" | "bpf_probe_read_kernel" | "bpf_probe_read_user" => {
            let len = a[1] as u32 as usize;
            if s.readable(a[2]) >= len as u64 {
                let bytes = read(a[2], len);
                write(a[0], &bytes);
                0
            } else {
                write(a[0], &vec![0; len]);
                refused(name, a[2])
            }
        }
        "bpf_probe_read_str" | "bpf_probe_read_kernel_str" | "bpf_probe_read_user_str" => read_str(s, name, a),
        "bpf_ktime_get_ns" | "bpf_ktime_get_boot_ns" | "bpf_ktime_get_coarse_ns" | "bpf_ktime_get_tai_ns" => {
            let now = s.world.time_ns;
            s.world.time_ns = now.wrapping_add(s.world.tick_ns);
            return now;
        }
        "bpf_jiffies64" => return s.world.time_ns / 4_000_000,
        "bpf_get_prandom_u32" => {
            // xorshift: the same numbers in every run
            let mut x = s.world.random.max(1);
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            s.world.random = x;
            return x >> 32;
        }
        "bpf_get_smp_processor_id" | "bpf_get_numa_node_id" => {
            return if name == "bpf_get_numa_node_id" { 0 } else { u64::from(s.world.cpu) };
        }
        "bpf_get_current_pid_tgid" => {
            return (u64::from(s.world.tgid) << 32) | u64::from(s.world.pid);
        }
        "bpf_get_current_uid_gid" => {
            return (u64::from(s.world.gid) << 32) | u64::from(s.world.uid);
        }
        "bpf_get_current_comm" => {
            let size = a[1] as u32 as usize;
            if size == 0 {
                return EINVAL as u64;
            }
            let mut bytes = s.world.comm.clone().into_bytes();
            bytes.truncate(15.min(size - 1));
            bytes.resize(size, 0);
            write(a[0], &bytes);
            0
        }
        "bpf_get_current_task" | "bpf_get_current_task_btf" => return s.world.task,
        "bpf_get_current_cgroup_id" => return s.world.cgroup_id,
        "bpf_get_attach_cookie" => return s.world.cookie,
        "bpf_trace_printk" => {
            let format = read(a[0], a[1] as u32 as usize);
            let end = format.iter().position(|b| *b == 0).unwrap_or(format.len());
            let text = String::from_utf8_lossy(&format[..end]).into_owned();
            let n = text.len() as i64;
            s.printed.push(text);
            n
        }
        "bpf_perf_event_output" => output(s, a[1], a[3], a[4]),
        "bpf_ringbuf_output" => output(s, a[0], a[1], a[2]),
        "bpf_ringbuf_reserve" => return reserve(s, a[0], a[1]),
        "bpf_ringbuf_submit" | "bpf_ringbuf_discard" => {
            if let Some((map, block)) = s.reserved.remove(&a[0]) {
                s.regions.remove(a[0]);
                if name == "bpf_ringbuf_submit" {
                    s.events.push((map, block.bytes()));
                }
            }
            0
        }
        "bpf_ringbuf_query" => match (s.map_at(a[0]), a[1]) {
            // BPF_RB_RING_SIZE
            (Some(m), 1) => s.maps[m].max_entries as i64,
            _ => 0,
        },
        "bpf_strncmp" => strncmp(s, a),
        _ => ENOTSUPP,
    };
    signed as u64
}

fn with_key(s: &mut State, map: u64, key: u64, f: impl FnOnce(&mut State, usize, &[u8]) -> u64) -> u64 {
    match s.map_at(map) {
        Some(m) => {
            let key = read(key, s.maps[m].key_size);
            f(s, m, &key)
        }
        None => 0,
    }
}

/// A read of kernel memory below the kernel's half says so (Linux `copy_from_kernel_nofault`).
fn refused(name: &str, from: u64) -> i64 {
    let kernel = name.starts_with("bpf_probe_read_kernel");
    if kernel && from < 1 << 47 { ERANGE } else { EFAULT }
}

/// Copies up to a NUL and ends with one; the length with it.
fn read_str(s: &State, name: &str, a: [u64; 5]) -> i64 {
    let (to, size, from) = (a[0], a[1] as u32 as usize, a[2]);
    if size == 0 {
        return 0;
    }
    let readable = s.readable(from).min(size as u64) as usize;
    let bytes = read(from, readable);
    match bytes.iter().position(|b| *b == 0) {
        Some(end) => {
            write(to, &bytes[..=end]);
            end as i64 + 1
        }
        None if readable == size => {
            write(to, &bytes[..size - 1]);
            write(to + size as u64 - 1, &[0]);
            size as i64
        }
        None => {
            write(to, &vec![0; size]);
            refused(name, from)
        }
    }
}

/// How many bytes of records wait in a ring buffer before it counts as full: a part of it is for headers.
fn has_room(s: &State, map: usize, len: u64) -> bool {
    let m = &s.maps[map];
    if m.kind != MapKind::Ringbuf {
        return true;
    }
    let record = |n: u64| n.next_multiple_of(8) + 8;
    let waiting = s.events.iter().filter(|e| e.0 == map);
    let waiting: u64 = waiting.map(|e| record(e.1.len() as u64)).sum();
    let open = s.reserved.values().filter(|r| r.0 == map);
    let open: u64 = open.map(|r| record(r.1.bytes().len() as u64)).sum();
    waiting + open + record(len) <= m.max_entries as u64
}

fn output(s: &mut State, map: u64, data: u64, size: u64) -> i64 {
    let Some(m) = s.map_at(map) else {
        return EINVAL;
    };
    if !has_room(s, m, size) {
        // -EAGAIN
        return -11;
    }
    let bytes = read(data, size as usize);
    s.events.push((m, bytes));
    0
}

fn reserve(s: &mut State, map: u64, size: u64) -> u64 {
    let Some(m) = s.map_at(map) else { return 0 };
    if size > 1 << 30 || !has_room(s, m, size) {
        return 0;
    }
    let block = Block::new(size as usize);
    let at = block.address();
    s.regions.add(at, size as usize);
    s.reserved.insert(at, (m, block));
    at
}

/// The storage of a task is a map keyed by the task's address. Flag 1: make it where there is none.
fn task_storage(s: &mut State, a: [u64; 5]) -> u64 {
    let Some(m) = s.map_at(a[0]) else { return 0 };
    let key = a[1].to_ne_bytes();
    let found = s.find(m, &key, 0);
    if found != 0 || a[3] & 1 == 0 {
        return found;
    }
    let size = s.maps[m].value_size;
    let initial = if a[2] != 0 { read(a[2], size) } else { vec![0; size] };
    s.put(m, &key, &initial, 0);
    s.find(m, &key, 0)
}

fn queue(s: &mut State, name: &str, a: [u64; 5]) -> i64 {
    let Some(i) = s.map_at(a[0]) else {
        return EINVAL;
    };
    let m = &mut s.maps[i];
    if !matches!(m.kind, MapKind::Queue | MapKind::Stack) {
        return ENOTSUPP;
    }
    match name {
        "bpf_map_push_elem" => {
            let value = read(a[1], m.value_size);
            if m.queue.len() >= m.max_entries {
                // BPF_EXIST: make room by dropping the oldest
                if a[2] != 2 {
                    return E2BIG;
                }
                m.queue.pop_front();
            }
            if a[2] == 1 {
                return EEXIST;
            }
            m.queue.push_back(value);
            0
        }
        _ => {
            let last = m.kind == MapKind::Stack;
            let found = if last { m.queue.back() } else { m.queue.front() };
            let Some(value) = found.cloned() else {
                write(a[1], &vec![0; m.value_size]);
                return ENOENT;
            };
            if name == "bpf_map_pop_elem" {
                if last {
                    m.queue.pop_back();
                } else {
                    m.queue.pop_front();
                }
            }
            write(a[1], &value);
            0
        }
    }
}

fn strncmp(s: &State, a: [u64; 5]) -> i64 {
    let len = a[1] as u32 as u64;
    let one = read(a[0], s.readable(a[0]).min(len) as usize);
    let two = read(a[2], s.readable(a[2]).min(len) as usize);
    for i in 0..len as usize {
        let (x, y) = (one.get(i).copied().unwrap_or(0), two.get(i).copied().unwrap_or(0));
        if x != y {
            return i64::from(x) - i64::from(y);
        }
        if x == 0 {
            break;
        }
    }
    0
}

/// `callback(map, key, value, ctx)` for each element until it returns 1; how many there were.
fn for_each(shared: &Shared, a: [u64; 5]) -> u64 {
    let Some(m) = shared.with(|s| s.map_at(a[0])) else {
        return EINVAL as u64;
    };
    if a[3] != 0 {
        return EINVAL as u64;
    }
    let mut n = 0;
    for (key, _) in shared.with(|s| s.keys(m)) {
        // the callback may have deleted it
        let value = shared.with(|s| s.find(m, &key, s.world.cpu));
        if value == 0 {
            continue;
        }
        let mut block = Block::new(key.len());
        block.write(0, &key);
        let at = block.address();
        shared.with(|s| s.regions.add(at, key.len()));
        n += 1;
        let stop = call_back(a[1], [a[0], at, value, a[2]]);
        shared.with(|s| s.regions.remove(at));
        if stop != 0 {
            break;
        }
    }
    n
}

/// `callback(index, ctx)` until it returns 1; how many times.
fn repeat(shared: &Shared, a: [u64; 5]) -> u64 {
    let _ = shared;
    let n = u64::from(a[0] as u32);
    // BPF_MAX_LOOPS
    if n > 8 << 20 {
        return E2BIG as u64;
    }
    if a[3] != 0 {
        return EINVAL as u64;
    }
    for i in 0..n {
        if call_back(a[1], [i, a[2], 0, 0]) != 0 {
            return i + 1;
        }
    }
    n
}
