//! How fast a full ring buffer is read: by our reader and by aya's. Million records a second, filling not counted.

use awl_runtime::sys::{bpf, ring::Ring};
use aya::maps::{Map as AyaMap, MapData, RingBuf};
use aya_obj::generated::{bpf_insn, bpf_prog_type};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

const SIZE: u32 = 8 << 20;
const PER_RUN: i32 = 5000;

fn code(lines: &[(u8, u8, i16, i32)]) -> Vec<bpf_insn> {
    let bytes: Vec<u8> = lines
        .iter()
        .flat_map(|(op, regs, off, imm)| {
            let mut b = vec![*op, *regs];
            b.extend(off.to_le_bytes());
            b.extend(imm.to_le_bytes());
            b
        })
        .collect();
    aya_obj::copy_instructions(&bytes).unwrap()
}

fn main() {
    let cpus = bpf::PossibleCpus::read().unwrap();
    let map = bpf::Map::create(&bpf::MapSpec { name: "ring", kind: 27, max_entries: SIZE, ..Default::default() }, cpus).unwrap();
    for len in [16, 32, 64] {
        // r6 = PER_RUN; zero fp-64..fp; do ringbuf_output(map, fp-64, len, 0) while (--r6)
        let mut lines = vec![(0xb7, 0x06, 0, PER_RUN)];
        for at in (-64..0).step_by(8) {
            lines.push((0x7a, 0x0a, at, 0));
        }
        let start = lines.len();
        lines.push((0x18, 0x11, 0, map.as_fd().as_raw_fd()));
        lines.push((0, 0, 0, 0));
        lines.push((0xbf, 0xa2, 0, 0));
        lines.push((0x07, 0x02, 0, -64));
        lines.push((0xb7, 0x03, 0, len));
        // BPF_RB_NO_WAKEUP
        lines.push((0xb7, 0x04, 0, 1));
        lines.push((0x85, 0, 0, 130));
        lines.push((0x07, 0x06, 0, -1));
        let back = start as i16 - lines.len() as i16 - 1;
        lines.push((0x55, 0x06, back, 0));
        lines.push((0xb7, 0, 0, 0));
        lines.push((0x95, 0, 0, 0));
        let kind = bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT as u32;
        let prog = bpf::prog_load(&bpf::ProgSpec::new("fill", kind, &code(&lines)), None).unwrap();
        let per_fill = SIZE as usize / (len as usize + 8).next_multiple_of(8);
        let fill = || {
            for _ in 0..per_fill / PER_RUN as usize {
                bpf::test_run(prog.as_fd()).unwrap();
            }
        };
        let rate = |name: &str, drain: &mut dyn FnMut() -> usize| {
            let (mut records, mut time) = (0, Duration::ZERO);
            for _ in 0..20 {
                fill();
                let start = Instant::now();
                records += drain();
                time += start.elapsed();
            }
            println!("{name:5} {len:3} bytes: {:6.1} M/s ({records} records)", records as f64 / time.as_secs_f64() / 1e6);
        };
        let mut sum = 0u64;
        for _ in 0..2 {
            let mut ring = Ring::new(map.as_fd(), SIZE).unwrap();
            rate("ours", &mut || {
                ring.drain(|r| {
                    sum += u64::from(r[8]);
                    ControlFlow::Continue(())
                })
            });
            drop(ring);
            let data = MapData::from_fd(map.as_fd().try_clone_to_owned().unwrap()).unwrap();
            let mut aya = RingBuf::try_from(AyaMap::RingBuf(data)).unwrap();
            rate("aya", &mut || {
                let mut n = 0;
                while let Some(r) = aya.next() {
                    sum += u64::from(r[8]);
                    n += 1;
                }
                n
            });
        }
        assert_eq!(sum, 0);
    }
}
