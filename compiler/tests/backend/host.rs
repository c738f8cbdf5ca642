//! The host: the same CLIF, stand-in helpers and maps.

use crate::build::{self, call, data, func, slot};
use awl_compiler::artifact::MapKind;
use awl_compiler::bpf;
use awl_compiler::host::Host;
use awl_compiler::lowered::{LOCAL, Module};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, types};

#[test]
fn the_counter_runs() {
    let m = crate::object::counter();
    let mut h = Host::new(&m).unwrap();
    let ctx: Vec<u8> = [3u64, 5].iter().flat_map(|w| w.to_le_bytes()).collect();
    assert_eq!(h.run(0, &ctx), Some(0));
    assert_eq!(h.run(0, &ctx), Some(0));
    assert_eq!(h.run(0, &ctx), Some(1));
    assert_eq!(h.map(0), [(7u64.to_le_bytes().to_vec(), 3u64.to_le_bytes().to_vec())]);
    assert_eq!(h.section(0)[16..24], 15u64.to_le_bytes());
    assert_eq!(h.run(5, &ctx), None);
}

/// `x / 0`, `x % 0`, the least number by -1, and `trap`.
#[test]
fn division_and_trap_are_as_in_bpf() {
    type Op = fn(&mut cranelift_frontend::FunctionBuilder<'_>, [cranelift_codegen::ir::Value; 2]) -> cranelift_codegen::ir::Value;
    let ops: [(Op, i64, i64, i64); 8] = [
        (|b, [x, y]| b.ins().udiv(x, y), 7, 0, 0),
        (|b, [x, y]| b.ins().urem(x, y), 7, 0, 7),
        (|b, [x, y]| b.ins().sdiv(x, y), -7, 0, 0),
        (|b, [x, y]| b.ins().srem(x, y), -7, 0, -7),
        (|b, [x, y]| b.ins().sdiv(x, y), i64::MIN, -1, i64::MIN),
        (|b, [x, y]| b.ins().srem(x, y), i64::MIN, -1, 0),
        (|b, [x, y]| b.ins().sdiv(x, y), -7, 2, -3),
        (|b, [x, y]| b.ins().srem(x, y), -7, 2, -1),
    ];
    let mut m = build::empty();
    for (i, (op, ..)) in ops.iter().enumerate() {
        build::program(&mut m, &format!("p{i}"), |b, p| {
            let x = b.ins().load(types::I64, MemFlagsData::trusted(), p[0], 0);
            let y = b.ins().load(types::I64, MemFlagsData::trusted(), p[0], 8);
            let r = op(b, [x, y]);
            b.ins().return_(&[r]);
        });
    }
    build::program(&mut m, "trap", |b, _| {
        b.ins().trap(cranelift_codegen::ir::TrapCode::unwrap_user(1));
    });
    let mut h = Host::new(&m).unwrap();
    for (i, (_, x, y, want)) in ops.iter().enumerate() {
        let ctx: Vec<u8> = [*x, *y].iter().flat_map(|w| w.to_le_bytes()).collect();
        assert_eq!(h.run(i, &ctx), Some(*want as u64), "operation {i}");
    }
    assert_eq!(h.run(ops.len(), &[]), Some(0));
}

/// A callback that adds the values of a map, a record in a ring buffer, and reads of good and bad memory.
fn callbacks() -> Module {
    let mut m = build::empty();
    let map = build::map(&mut m, "m", MapKind::Hash, 8, 8, 8);
    let ring = build::map(&mut m, "ring", MapKind::Ringbuf, 0, 0, 4096);
    let flags = MemFlagsData::trusted();
    build::program(&mut m, "main", |b, p| {
        let sum = slot(b, 8);
        let zero = b.ins().iconst(types::I64, 0);
        b.ins().stack_store(types::I64, zero, sum, 0);
        let map_address = data(b, map);
        let f = func(b, LOCAL + 1, 4);
        let f = b.ins().func_addr(types::I64, f);
        let at = b.ins().stack_addr(types::I64, sum, 0);
        let n = call(b, 164, &[map_address, f, at, zero]);
        // a record: number of elements, their sum, result of a read
        let ring_address = data(b, ring);
        let size = b.ins().iconst(types::I64, 24);
        let record = call(b, 131, &[ring_address, size, zero]);
        let (some, none) = (b.create_block(), b.create_block());
        b.ins().brif(record, some, &[], none, &[]);
        b.switch_to_block(some);
        b.ins().store(flags, n, record, 0);
        let total = b.ins().stack_load(types::I64, types::I64, sum, 0);
        b.ins().store(flags, total, record, 8);
        let from = b.ins().load(types::I64, flags, p[0], 0);
        let eight = b.ins().iconst(types::I64, 8);
        let at = b.ins().iadd_imm_u(record, 16);
        let r = call(b, 113, &[at, eight, from]);
        call(b, 132, &[record, zero]);
        b.ins().return_(&[r]);
        b.switch_to_block(none);
        b.ins().return_(&[zero]);
    });
    build::add(&mut m, "each", None, 4, |b, p| {
        let v = b.ins().load(types::I64, flags, p[2], 0);
        let old = b.ins().load(types::I64, flags, p[3], 0);
        let new = b.ins().iadd(old, v);
        b.ins().store(flags, new, p[3], 0);
        let big = b.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, new, 1000);
        let stop = b.ins().uextend(types::I64, big);
        b.ins().return_(&[stop]);
    });
    m
}

#[test]
fn callbacks_records_and_reads() {
    let mut h = Host::new(&callbacks()).unwrap();
    for i in 1..=3u64 {
        assert!(h.update(0, &i.to_le_bytes(), &(i * 10).to_le_bytes()));
    }
    let good = h.expose(&77u64.to_le_bytes());
    assert_eq!(h.run(0, &good.to_le_bytes()), Some(0));
    assert_eq!(h.run(0, &0x10u64.to_le_bytes()), Some(-34i64 as u64));
    let records: Vec<Vec<u64>> = h
        .events()
        .into_iter()
        .map(|(_, bytes)| {
            let words = bytes.chunks(8);
            words.map(|w| u64::from_le_bytes(w.try_into().unwrap())).collect()
        })
        .collect();
    assert_eq!(records, [[3, 60, 77], [3, 60, 0]]);
}

#[test]
fn the_kernel_does_the_same() {
    if !crate::kernel::available() {
        return;
    }
    let out = bpf::compile(&callbacks(), &bpf::Options::default()).unwrap();
    let k = crate::kernel::load(&out.object).unwrap();
    for i in 1..=3u64 {
        k.update("m", &i.to_le_bytes(), &(i * 10).to_le_bytes());
    }
    // no kernel address
    let refused = if cfg!(target_arch = "aarch64") { -14i32 } else { -34 } as u32;
    assert_eq!(k.run("main", &0x10u64.to_le_bytes()), refused);
    // the page of the ring buffer with the records is the third
    let page = k.ring_page("ring");
    let word = |i: usize| u64::from_le_bytes(page[8 * i..8 * i + 8].try_into().unwrap());
    assert_eq!(word(0) as u32, 24, "the record's header");
    assert_eq!([word(1), word(2)], [3, 60]);
}
