//! Numbers of BPF helpers that lowering calls (`enum bpf_func_id`, stable since each was added).

use crate::target::Feature;

pub const MAP_LOOKUP_ELEM: u32 = 1;
pub const MAP_UPDATE_ELEM: u32 = 2;
pub const MAP_DELETE_ELEM: u32 = 3;
pub const KTIME_GET_NS: u32 = 5;
pub const TRACE_PRINTK: u32 = 6;
pub const GET_PRANDOM_U32: u32 = 7;
pub const GET_SMP_PROCESSOR_ID: u32 = 8;
pub const GET_CURRENT_PID_TGID: u32 = 14;
pub const GET_CURRENT_UID_GID: u32 = 15;
pub const GET_CURRENT_COMM: u32 = 16;
pub const L3_CSUM_REPLACE: u32 = 10;
pub const L4_CSUM_REPLACE: u32 = 11;
pub const CLONE_REDIRECT: u32 = 13;
pub const SKB_VLAN_PUSH: u32 = 18;
pub const SKB_VLAN_POP: u32 = 19;
pub const REDIRECT: u32 = 23;
pub const REDIRECT_MAP: u32 = 51;
pub const XDP_ADJUST_HEAD: u32 = 44;
pub const SKB_ADJUST_ROOM: u32 = 50;
pub const XDP_ADJUST_TAIL: u32 = 65;
pub const SKB_LOAD_BYTES: u32 = 26;
pub const SKB_PULL_DATA: u32 = 39;
pub const GET_STACKID: u32 = 27;
pub const GET_CURRENT_TASK: u32 = 35;
pub const PROBE_WRITE_USER: u32 = 36;
pub const GET_NUMA_NODE_ID: u32 = 42;
pub const GET_SOCKET_COOKIE: u32 = 46;
pub const OVERRIDE_RETURN: u32 = 58;
pub const GET_CURRENT_CGROUP_ID: u32 = 80;
pub const MAP_PUSH_ELEM: u32 = 87;
pub const MAP_POP_ELEM: u32 = 88;
pub const MAP_PEEK_ELEM: u32 = 89;
pub const SEND_SIGNAL: u32 = 109;
pub const GET_STACK: u32 = 67;
pub const SKB_OUTPUT: u32 = 111;
pub const PROBE_READ_USER: u32 = 112;
pub const PROBE_READ_KERNEL: u32 = 113;
pub const PROBE_READ_USER_STR: u32 = 114;
pub const PROBE_READ_KERNEL_STR: u32 = 115;
pub const SEND_SIGNAL_THREAD: u32 = 117;
pub const JIFFIES64: u32 = 118;
pub const GET_NS_CURRENT_PID_TGID: u32 = 120;
pub const KTIME_GET_BOOT_NS: u32 = 125;
pub const SEQ_PRINTF: u32 = 126;
pub const SEQ_WRITE: u32 = 127;
pub const RINGBUF_OUTPUT: u32 = 130;
pub const RINGBUF_RESERVE: u32 = 131;
pub const RINGBUF_SUBMIT: u32 = 132;
pub const RINGBUF_DISCARD: u32 = 133;
pub const D_PATH: u32 = 147;
pub const GET_CURRENT_TASK_BTF: u32 = 158;
pub const FOR_EACH_MAP_ELEM: u32 = 164;
pub const GET_FUNC_IP: u32 = 173;
pub const GET_ATTACH_COOKIE: u32 = 174;
pub const TASK_PT_REGS: u32 = 175;
pub const LOOP: u32 = 181;
pub const GET_FUNC_RET: u32 = 184;
pub const XDP_LOAD_BYTES: u32 = 189;
pub const MAP_LOOKUP_PERCPU_ELEM: u32 = 195;
pub const KTIME_GET_TAI_NS: u32 = 208;

/// `bpf_map_update_elem`: make or overwrite; make only.
pub const BPF_ANY: i64 = 0;
pub const BPF_NOEXIST: i64 = 1;
/// `bpf_get_stackid`
pub const BPF_F_USER_STACK: i64 = 256;
/// What stack helpers return where there are no such frames (`-EFAULT`): of the kernel while a program runs, of a program in the kernel's threads.
pub const NO_FRAMES: i64 = -14;

/// What a kernel must have for the helper; nothing for those that every kernel of awl has.
pub fn feature(number: u32) -> Option<Feature> {
    match number {
        GET_CURRENT_TASK_BTF => Some(Feature::CurrentTaskBtf),
        FOR_EACH_MAP_ELEM => Some(Feature::ForEachMapElem),
        GET_ATTACH_COOKIE => Some(Feature::AttachCookie),
        LOOP => Some(Feature::Loop),
        MAP_LOOKUP_PERCPU_ELEM => Some(Feature::LookupPercpuElem),
        KTIME_GET_TAI_NS => Some(Feature::TaiClock),
        XDP_LOAD_BYTES => Some(Feature::XdpLoadBytes),
        _ => None,
    }
}
