//! Maps: keys, look-ups, updates, aggregations.

use super::body::{Addr, Body, Home};
use super::expr::in_register;
use super::helper;
use crate::artifact::{EventKind, MapKind, Storage, percpu};
use crate::hir::{Expr, LocalId, MapId};
use crate::lowered::Object;
use crate::types::{Agg, Ty, struct_layout};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// Where an element's value is to be found.
enum Element {
    /// memory that is always there; behind it the `u64` that says it was assigned
    Slot(Addr, u32),
    /// look it up: the map's kernel index and the key
    Keyed(usize, Addr),
}

impl Body<'_> {
    fn element(&mut self, map: MapId, keys: &[Expr]) -> Element {
        match self.m.plan.maps[map].storage {
            Storage::Slot { section, offset } => {
                let at = if section == super::module::PERCPU { self.percpu(offset) } else { self.global(offset) };
                Element::Slot(at, self.m.plan.maps[map].value.size().next_multiple_of(8))
            }
            Storage::Kernel(k) => Element::Keyed(k, self.key(map, keys)),
        }
    }

    /// Where a map without keys lies.
    pub(crate) fn plain_map(&mut self, map: MapId) -> Option<Addr> {
        match self.element(map, &[]) {
            Element::Slot(at, _) => Some(at),
            Element::Keyed(..) => None,
        }
    }

    /// The bytes of a key. Equal keys are equal bytes: strings are padded, gaps and the rest of the map's key are zero.
    pub(crate) fn key(&mut self, map: MapId, keys: &[Expr]) -> Addr {
        let types = self.m.plan.maps[map].keys.clone();
        let offsets = struct_layout(types.iter()).0;
        let size = match self.m.plan.maps[map].storage {
            Storage::Kernel(k) => self.m.plan.kernel_maps[k].key_size,
            Storage::Slot { .. } => 0,
        };
        let name = format!("key of @{}", self.program.maps[map].name);
        let at = self.temp(size, &name);
        self.zero_gaps(&types, size, at);
        let outer = std::mem::replace(&mut self.clean, true);
        for (k, o) in keys.iter().zip(offsets) {
            self.key_part(k, at.at(o));
        }
        self.clean = outer;
        at
    }

    fn key_part(&mut self, k: &Expr, to: Addr) {
        match (&k.kind, &k.ty) {
            // Strings that lie somewhere may have anything behind their NUL.
            (
                crate::hir::ExprKind::Local(_) | crate::hir::ExprKind::TupleField { .. } | crate::hir::ExprKind::MapGet { .. },
                Ty::Str(n),
            ) => {
                let from = self.memory(k);
                self.zero(to, *n);
                self.copy_string(to, from, *n);
            }
            _ => self.into(k, to),
        }
    }

    fn map_symbol(&mut self, kernel: usize) -> Value {
        self.symbol(Object::Map(kernel))
    }

    fn lookup(&mut self, kernel: usize, key: Addr) -> Value {
        let map = self.map_symbol(kernel);
        let key = self.address(key);
        self.helper(helper::MAP_LOOKUP_ELEM, &[map, key])
    }

    /// Each update has this behind it, so it is kept short: one atomic addition to the first CPU's counter, which takes half the
    /// instructions of finding this CPU's and little beside the search for a free element that has just failed.
    fn failed_update(&mut self, map: MapId, code: Value) {
        let one = self.int(1);
        let counters = Addr::ptr(self.symbol(Object::Section(super::module::PERCPU)));
        self.atomic_add(one, counters.at(percpu::MAP_FAILED + 8 * map as u32));
        if self.m.options.helper_errors {
            self.report_helper(helper::MAP_UPDATE_ELEM, code);
        }
    }

    /// An integer from a map; 0 where there is none.
    pub(crate) fn map_scalar(&mut self, map: MapId, keys: &[Expr]) -> Value {
        let ty = self.m.plan.maps[map].value.clone();
        match self.element(map, keys) {
            Element::Slot(at, _) => self.load_ty(at, &ty),
            Element::Keyed(k, key) => {
                let p = self.lookup(k, key);
                self.either(p, |s| s.load_ty(Addr::ptr(p), &ty), |s| s.int(0))
            }
        }
    }

    /// A value that lives in memory, copied to `to`; zeros where there is none.
    pub(crate) fn map_into(&mut self, map: MapId, keys: &[Expr], to: Addr) {
        let size = self.m.plan.maps[map].value.size();
        match self.element(map, keys) {
            Element::Slot(at, _) => self.copy(to, at, size),
            Element::Keyed(k, key) => {
                let p = self.lookup(k, key);
                let (yes, no, done) = (self.block(), self.block(), self.block());
                self.branch_if(IntCC::NotEqual, p, 0, yes, no);
                self.enter(yes);
                self.copy(to, Addr::ptr(p), size);
                self.jump(done);
                self.enter(no);
                self.zero(to, size);
                self.jump(done);
                self.enter(done);
            }
        }
    }

    pub(crate) fn set_map(&mut self, map: MapId, keys: &[Expr], value: &Expr) {
        let ty = self.m.plan.maps[map].value.clone();
        if let Some((k, _)) = self.kernel_kind(map) {
            // The value first, as for aggregations.
            let at = self.value_for_update(value, &ty);
            let key = self.key(map, keys);
            self.update(map, k, key, at, helper::BPF_ANY);
            return;
        }
        match self.element(map, keys) {
            Element::Slot(at, flag) => {
                if in_register(&ty) {
                    let v = self.scalar(value);
                    self.store(v, at, ty.size());
                } else {
                    self.into(value, at);
                }
                self.store_imm(1, at.at(flag), 8);
            }
            Element::Keyed(..) => {}
        }
    }

    /// The value in memory, eight bytes at least.
    fn value_for_update(&mut self, value: &Expr, ty: &Ty) -> Addr {
        if in_register(ty) {
            let v = self.scalar(value);
            let t = self.temp(8, "value");
            self.store(v, t, 8);
            return t;
        }
        if ty.size().is_multiple_of(8) {
            return self.memory(value);
        }
        let size = ty.size().next_multiple_of(8);
        let t = self.temp(size, "value");
        self.zero(t.at(ty.size()), size - ty.size());
        self.into(value, t);
        t
    }

    fn update(&mut self, map: MapId, kernel: usize, key: Addr, value: Addr, flags: i64) {
        let m = self.map_symbol(kernel);
        let (key, value, flags) = (self.address(key), self.address(value), self.int(flags));
        let r = self.helper(helper::MAP_UPDATE_ELEM, &[m, key, value, flags]);
        self.when(r, |s| s.failed_update(map, r));
    }

    /// The element's value, made of zeros if it is not there; then `then` runs, unless the map is full. Two CPUs may make
    /// it at the same time: whoever comes second finds it at the second look.
    fn with_element(&mut self, map: MapId, keys: &[Expr], then: impl FnOnce(&mut Self, Addr)) {
        match self.element(map, keys) {
            Element::Slot(at, flag) => {
                then(self, at);
                if !matches!(self.m.plan.maps[map].value, Ty::Agg(Agg::Count)) {
                    self.store_imm(1, at.at(flag), 8);
                }
            }
            Element::Keyed(k, key) => {
                let p = self.lookup(k, key);
                let (make, full, found, done) = (self.block(), self.block(), self.block(), self.block());
                let at = self.b.append_block_param(found, cranelift_codegen::ir::types::I64);
                let zero = self.int(0);
                let there = self.b.ins().icmp(IntCC::NotEqual, p, zero);
                self.b.ins().brif(there, found, &[p.into()], make, &[]);
                self.enter(make);
                self.push_facts();
                let size = self.m.plan.maps[map].value.size().next_multiple_of(8).max(8);
                let zeros = self.m.zeros(size);
                let m = self.map_symbol(k);
                let (key_at, value, flags) = (self.address(key), self.rodata(zeros), self.int(helper::BPF_NOEXIST));
                let value = self.address(value);
                let made = self.helper(helper::MAP_UPDATE_ELEM, &[m, key_at, value, flags]);
                let again = self.lookup(k, key);
                let there = self.b.ins().icmp(IntCC::NotEqual, again, zero);
                self.b.ins().brif(there, found, &[again.into()], full, &[]);
                self.enter(full);
                self.failed_update(map, made);
                self.pop_facts();
                self.jump(done);
                self.enter(found);
                self.push_facts();
                then(self, Addr::ptr(at));
                self.pop_facts();
                self.jump(done);
                self.enter(done);
            }
        }
    }

    /// `@m[k] += v`: no update is lost, whatever the other CPUs do.
    pub(crate) fn add_map(&mut self, map: MapId, keys: &[Expr], value: &Expr) {
        let v = self.scalar(value);
        self.with_element(map, keys, |s, at| s.atomic_add(v, at));
    }

    /// `@m[k]++` with its value wanted.
    pub(crate) fn step_map(&mut self, map: MapId, keys: &[Expr], by: i64, old: bool) -> Value {
        let result = self.b.declare_var(cranelift_codegen::ir::types::I64);
        let zero = self.int(0);
        self.b.def_var(result, zero);
        let v = self.int(by);
        self.with_element(map, keys, |s, at| {
            let before = s.atomic_fetch_add(v, at);
            let r = if old { before } else { s.add_imm(before, by) };
            s.b.def_var(result, r);
        });
        self.b.use_var(result)
    }

    pub(crate) fn aggregate(&mut self, map: MapId, keys: &[Expr], agg: &Agg, arg: Option<&Expr>) {
        let v = arg.map(|a| self.scalar(a));
        self.with_element(map, keys, |s, at| {
            let v = v.unwrap_or(at_zero(s));
            let takes = |k: &EventKind| matches!(k, EventKind::TakeMap(m) if *m == map);
            s.taken = matches!(s.m.plan.maps[map].storage, Storage::Slot { .. }) && s.m.plan.events.iter().any(|e| takes(&e.kind));
            crate::agg::update(s, agg, at, v);
            s.taken = false;
        });
    }

    /// An aggregation as a number: over all CPUs.
    pub(crate) fn map_sum(&mut self, map: MapId, keys: &[Expr]) -> Value {
        let Ty::Agg(agg) = self.m.plan.maps[map].value.clone() else { return self.int(0) };
        let mut total = crate::agg::Total::new(self, &agg);
        match self.m.plan.maps[map].storage {
            Storage::Slot { offset, .. } => {
                let stride = i64::from(self.m.plan.sections[super::module::PERCPU].per_cpu);
                let cpus = i64::from(self.m.plan.cpu_slots);
                let start = self.symbol(Object::Section(super::module::PERCPU));
                self.count_to(cpus, |s, i| {
                    let at = s.mul_imm(i, stride);
                    let at = s.add(start, at);
                    total.add(s, Addr::ptr(at).at(offset));
                });
            }
            Storage::Kernel(k) => {
                let key = self.key(map, keys);
                let cpus = i64::from(self.m.plan.cpu_slots);
                self.count_to(cpus, |s, i| {
                    let m = s.map_symbol(k);
                    let key = s.address(key);
                    let p = s.helper(helper::MAP_LOOKUP_PERCPU_ELEM, &[m, key, i]);
                    s.when(p, |s| total.add(s, Addr::ptr(p)));
                });
            }
        }
        total.finish(self)
    }

    /// A plain loop over 0..n.
    pub(crate) fn count_to(&mut self, n: i64, mut each: impl FnMut(&mut Self, Value)) {
        let i = self.b.declare_var(cranelift_codegen::ir::types::I64);
        let zero = self.int(0);
        self.b.def_var(i, zero);
        let (head, inside, done) = (self.block(), self.block(), self.block());
        self.jump(head);
        self.enter(head);
        self.push_facts();
        let v = self.b.use_var(i);
        self.branch_if(IntCC::UnsignedLessThan, v, n, inside, done);
        self.enter(inside);
        each(self, v);
        let v = self.b.use_var(i);
        let up = self.add_imm(v, 1);
        self.b.def_var(i, up);
        self.jump(head);
        self.pop_facts();
        self.enter(done);
    }

    /// Removes an element; 1 if it was there. Where its absence is a failure, `-k` tells it.
    pub(crate) fn delete(&mut self, map: MapId, keys: &[Expr], told: bool) -> Value {
        match self.element(map, keys) {
            Element::Slot(at, flag) => {
                let had = self.load(at.at(flag), 8, false);
                let size = self.m.plan.maps[map].value.size();
                self.zero(at, size.next_multiple_of(8) + 8);
                self.compare_imm(IntCC::NotEqual, had, 0)
            }
            // An array keeps its elements: a deleted one is zero.
            Element::Keyed(k, key) if matches!(self.m.plan.kernel_maps[k].kind, MapKind::Array | MapKind::PercpuArray) => {
                let size = self.m.plan.maps[map].value.size();
                let p = self.lookup(k, key);
                self.when(p, |s| s.zero(Addr::ptr(p), size));
                self.compare_imm(IntCC::NotEqual, p, 0)
            }
            Element::Keyed(k, key) => {
                let m = self.map_symbol(k);
                let key = self.address(key);
                let r = self.helper(helper::MAP_DELETE_ELEM, &[m, key]);
                if told && self.m.options.helper_errors {
                    self.when(r, |s| s.report_helper(helper::MAP_DELETE_ELEM, r));
                }
                self.compare_imm(IntCC::Equal, r, 0)
            }
        }
    }

    /// 1 if the element is there.
    pub(crate) fn has_key(&mut self, map: MapId, keys: &[Expr]) -> Value {
        match self.element(map, keys) {
            Element::Slot(at, flag) => {
                let had = self.load(at.at(flag), 8, false);
                self.compare_imm(IntCC::NotEqual, had, 0)
            }
            Element::Keyed(k, key) => {
                let p = self.lookup(k, key);
                self.compare_imm(IntCC::NotEqual, p, 0)
            }
        }
    }

    /// `find(@m, k, $x)`: the element, if it is there, goes into the variable; 1 if it was.
    pub(crate) fn find_element(&mut self, map: MapId, keys: &[Expr], local: LocalId) -> Value {
        let ty = self.m.plan.maps[map].value.clone();
        match self.element(map, keys) {
            Element::Slot(at, flag) => {
                let had = self.load(at.at(flag), 8, false);
                let there = self.compare_imm(IntCC::NotEqual, had, 0);
                self.when(there, |s| s.local_from(local, at, &ty));
                there
            }
            Element::Keyed(k, key) => {
                let p = self.lookup(k, key);
                self.when(p, |s| s.local_from(local, Addr::ptr(p), &ty));
                self.compare_imm(IntCC::NotEqual, p, 0)
            }
        }
    }

    /// Sets a variable to a value of this type in memory.
    fn local_from(&mut self, local: LocalId, from: Addr, ty: &Ty) {
        if in_register(ty) {
            let v = self.load_ty(from, ty);
            return self.set_register(local, v);
        }
        if let Some(Home::Memory(to)) = self.homes.get(&local).copied() {
            let room = self.probe.locals[local].ty.size();
            self.copy(to, from, ty.size().min(room));
        }
    }

    /// `push(@q, v)`; one that finds no room is counted.
    pub(crate) fn push_element(&mut self, map: MapId, value: &Expr) {
        let Some((k, kind)) = self.kernel_kind(map) else { return };
        let ty = self.m.plan.maps[map].value.clone();
        let outer = std::mem::replace(&mut self.clean, kind == MapKind::BloomFilter);
        let at = self.value_for_update(value, &ty);
        self.clean = outer;
        let (m, at, flags) = (self.map_symbol(k), self.address(at), self.int(helper::BPF_ANY));
        let r = self.helper(helper::MAP_PUSH_ELEM, &[m, at, flags]);
        self.when(r, |s| s.failed_update(map, r));
    }

    /// `pop(@q, $x)` and `peek(@q, $x)`: 1 if there was an element.
    pub(crate) fn pop_element(&mut self, map: MapId, local: LocalId, keep: bool) -> Value {
        let Some((k, _)) = self.kernel_kind(map) else { return self.int(0) };
        let ty = self.m.plan.maps[map].value.clone();
        let size = ty.size().next_multiple_of(8).max(8);
        let to = self.temp(size, "element");
        self.zero(to, size);
        let (m, at) = (self.map_symbol(k), self.address(to));
        let number = if keep { helper::MAP_PEEK_ELEM } else { helper::MAP_POP_ELEM };
        let r = self.helper(number, &[m, at]);
        let there = self.compare_imm(IntCC::Equal, r, 0);
        self.when(there, |s| s.local_from(local, to, &ty));
        there
    }

    /// `has_key(@b, v)` of a bloom filter: 0 is sure, 1 is likely.
    pub(crate) fn may_hold(&mut self, map: MapId, value: &Expr) -> Value {
        let Some((k, _)) = self.kernel_kind(map) else { return self.int(0) };
        let ty = self.m.plan.maps[map].value.clone();
        let outer = std::mem::replace(&mut self.clean, true);
        let at = self.value_for_update(value, &ty);
        self.clean = outer;
        let (m, at) = (self.map_symbol(k), self.address(at));
        let r = self.helper(helper::MAP_PEEK_ELEM, &[m, at]);
        self.compare_imm(IntCC::Equal, r, 0)
    }

    /// Kind of the kernel map behind a map with keys.
    pub(crate) fn kernel_kind(&self, map: MapId) -> Option<(usize, MapKind)> {
        match self.m.plan.maps[map].storage {
            Storage::Kernel(k) => Some((k, self.m.plan.kernel_maps[k].kind)),
            Storage::Slot { .. } => None,
        }
    }
}

fn at_zero(s: &mut Body) -> Value {
    s.int(0)
}
