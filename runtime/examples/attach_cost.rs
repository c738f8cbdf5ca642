//! What it costs to attach and detach, for each way of attaching: microseconds apiece, one after another and by threads.

use awl_runtime::sys::{bpf, perf};
use aya_obj::generated::{bpf_attach_type as a, bpf_prog_type as t};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

type Attach = Box<dyn Fn(usize) -> io::Result<Vec<OwnedFd>>>;

fn program(kind: t, expected: u32) -> OwnedFd {
    // r0 = 0; exit
    let insns = aya_obj::copy_instructions(&[0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    let spec = bpf::ProgSpec { expected_attach_type: expected, ..bpf::ProgSpec::new("cost", kind as u32, &insns) };
    bpf::prog_load(&spec, None).unwrap()
}

fn measure(name: &str, n: usize, attach: &Attach) {
    let round = |close: &dyn Fn(Vec<Vec<OwnedFd>>)| -> io::Result<(f64, f64)> {
        let start = Instant::now();
        let links = (0..n).map(attach).collect::<io::Result<Vec<_>>>()?;
        let attached = start.elapsed();
        let start = Instant::now();
        close(links);
        Ok((attached.as_secs_f64() * 1e6 / n as f64, start.elapsed().as_secs_f64() * 1e3))
    };
    let r = (|| {
        let (up, one) = round(&|l| drop(l))?;
        let (_, many) = round(&|l| {
            std::thread::scope(|s| {
                for link in l {
                    s.spawn(move || drop(link));
                }
            })
        })?;
        io::Result::Ok((up, one, many))
    })();
    match r {
        Ok((up, one, many)) => println!(
            "{name:32} {n:4} attach {up:9.1} us each; detach all {one:8.1} ms in turn ({:8.1} us each), {many:8.1} ms by threads",
            one * 1e3 / n as f64
        ),
        Err(e) => println!("{name:32} {e}"),
    }
}

fn main() {
    let events: Vec<u64> = std::fs::read_dir("/sys/kernel/tracing/events/syscalls")
        .unwrap()
        .filter_map(|e| std::fs::read_to_string(e.ok()?.path().join("id")).ok()?.trim().parse().ok())
        .collect();
    let n: usize = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(16);
    let tp = std::rc::Rc::new(program(t::BPF_PROG_TYPE_TRACEPOINT, 0));
    let raw = program(t::BPF_PROG_TYPE_RAW_TRACEPOINT, 0);
    let sample = std::rc::Rc::new(program(t::BPF_PROG_TYPE_PERF_EVENT, 0));
    let kprobe = std::rc::Rc::new(program(t::BPF_PROG_TYPE_KPROBE, 0));
    let multi = program(t::BPF_PROG_TYPE_KPROBE, a::BPF_TRACE_UPROBE_MULTI as u32);

    measure(
        "raw tracepoint, one name",
        n,
        &(Box::new(move |_: usize| Ok(vec![bpf::raw_tracepoint_open(Some(c"sys_enter"), raw.as_fd(), 0)?])) as Attach),
    );
    let raw = program(t::BPF_PROG_TYPE_RAW_TRACEPOINT, 0);
    let names = [
        "sched_switch",
        "sched_wakeup",
        "sched_process_fork",
        "sched_process_exit",
        "sys_enter",
        "sys_exit",
        "irq_handler_entry",
        "softirq_entry",
    ];
    measure(
        "raw tracepoint, several",
        8,
        &(Box::new(move |i: usize| Ok(vec![bpf::raw_tracepoint_open(Some(&CString::new(names[i % 8]).unwrap()), raw.as_fd(), 0)?]))
            as Attach),
    );
    let open = move |i: usize| perf::open(&perf::Event { kind: perf::TYPE_TRACEPOINT, config: events[i], cpu: 0, ..Default::default() });
    let open = std::rc::Rc::new(open);
    let (o, p) = (open.clone(), tp.clone());
    measure(
        "perf tracepoint, SET_BPF",
        n,
        &(Box::new(move |i: usize| {
            let e = o(i)?;
            perf::set_program(e.as_fd(), p.as_fd())?;
            Ok(vec![e])
        }) as Attach),
    );
    let (o, p) = (open.clone(), tp.clone());
    measure(
        "perf tracepoint, link",
        n,
        &(Box::new(move |i: usize| {
            let e = o(i)?;
            Ok(vec![bpf::link_perf_event(p.as_fd(), e.as_fd(), 1)?])
        }) as Attach),
    );
    let o = open.clone();
    measure("perf tracepoint, no program", n, &(Box::new(move |i: usize| Ok(vec![o(i)?])) as Attach));
    let p = sample.clone();
    measure(
        "cpu-clock, SET_BPF",
        n,
        &(Box::new(move |_: usize| {
            let e = perf::open(&perf::Event { period: 1_000_000_000, cpu: 0, ..Default::default() })?;
            perf::set_program(e.as_fd(), p.as_fd())?;
            Ok(vec![e])
        }) as Attach),
    );
    let p = sample.clone();
    measure(
        "cpu-clock, link",
        n,
        &(Box::new(move |_: usize| {
            let e = perf::open(&perf::Event { period: 1_000_000_000, cpu: 0, ..Default::default() })?;
            Ok(vec![bpf::link_perf_event(p.as_fd(), e.as_fd(), 1)?])
        }) as Attach),
    );
    let p = sample.clone();
    measure(
        "page-faults, SET_BPF",
        n,
        &(Box::new(move |_: usize| {
            let e = perf::open(&perf::Event { config: 2, period: 100, cpu: 0, ..Default::default() })?;
            perf::set_program(e.as_fd(), p.as_fd())?;
            Ok(vec![e])
        }) as Attach),
    );

    let libc = c"/lib/x86_64-linux-gnu/libc.so.6";
    let offsets: Vec<u64> = {
        // the first instructions of some functions
        let out = std::process::Command::new("sh").args(["-c", "objdump -T /lib/x86_64-linux-gnu/libc.so.6 | awk '$4==\".text\" && ($3==\"DF\") && ($7 ~ /^(getpw|setpw|fgetpw|putpw|inet_|ether_|getgr|setgr|wcs|argz_|envz_|qsort|rand|strtol|strtod|hsearch|hcreate|lsearch|tsearch)/) {print $1}' | sort -u"]).output().unwrap();
        String::from_utf8_lossy(&out.stdout).lines().filter_map(|l| u64::from_str_radix(l, 16).ok()).collect()
    };
    let n = n.min(offsets.len());
    let kind: u32 = std::fs::read_to_string("/sys/bus/event_source/devices/uprobe/type").unwrap().trim().parse().unwrap();
    for ret in [0, 1] {
        let (p, o) = (kprobe.clone(), offsets.clone());
        measure(
            &format!("uprobe perf, link, ret={ret}"),
            n,
            &(Box::new(move |i: usize| {
                let e = perf::open(&perf::Event { kind, config: ret, path: Some(libc), offset: o[i], cpu: 0, ..Default::default() })?;
                Ok(vec![bpf::link_perf_event(p.as_fd(), e.as_fd(), 1)?])
            }) as Attach),
        );
        let (p, o) = (kprobe.clone(), offsets.clone());
        measure(
            &format!("uprobe perf, SET_BPF, ret={ret}"),
            n,
            &(Box::new(move |i: usize| {
                let e = perf::open(&perf::Event { kind, config: ret, path: Some(libc), offset: o[i], cpu: 0, ..Default::default() })?;
                perf::set_program(e.as_fd(), p.as_fd())?;
                Ok(vec![e])
            }) as Attach),
        );
    }
    let multi = std::rc::Rc::new(multi);
    let (p, o) = (multi.clone(), offsets.clone());
    measure(
        "uprobe.multi, one site each",
        n,
        &(Box::new(move |i: usize| Ok(vec![bpf::link_uprobe_multi(p.as_fd(), libc, &o[i..=i], &[1], false, 0)?])) as Attach),
    );
    let (p, o) = (multi.clone(), offsets.clone());
    let cookies = vec![1; n];
    measure(
        &format!("uprobe.multi, {n} sites in one"),
        1,
        &(Box::new(move |_: usize| Ok(vec![bpf::link_uprobe_multi(p.as_fd(), libc, &o[..n], &cookies, false, 0)?])) as Attach),
    );
}
