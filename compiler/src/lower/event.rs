//! Records for the runtime, through the ring buffer.

use super::body::{Addr, Body};
use super::expr::in_register;
use super::helper;
use crate::artifact::{AttachTo, EventKind, global, percpu};
use crate::bpf::helpers;
use crate::hir::{Context, Expr, ExprKind};
use crate::lowered::Object;
use crate::types::Ty;
use cranelift_codegen::ir::Value;
use cranelift_codegen::ir::condcodes::IntCC;

/// Larger records are made in scratch memory and copied: reserving them would hold the ring's lock-free head for long.
const RESERVE_MOST: u32 = 4096;

impl Body<'_> {
    /// Writes a record; one that finds no room is counted.
    pub(crate) fn emit(&mut self, event: usize, args: &[Expr]) {
        let plan = self.m.plan.events[event].clone();
        if let EventKind::Exit = plan.kind {
            self.note_exit(args.first());
            if let Some(AttachTo::Begin | AttachTo::End | AttachTo::Test | AttachTo::Bench) = self.probe.attach.first().map(|a| &a.to) {
                // awl waits for these to return and looks at the flag: no one has to be woken.
                self.leave();
                return;
            }
        }
        let ring = self.m.ringbuf();
        // Registers first: while a record is reserved nothing else should happen.
        let scalars: Vec<Option<Value>> = args.iter().map(|a| in_register(&a.ty).then(|| self.scalar(a))).collect();
        let ring_map = self.symbol(Object::Map(ring));
        if plan.size > RESERVE_MOST {
            let record = self.temp(plan.size, "record");
            self.fill(event, record, args, &scalars);
            let (data, size, flags) = (self.address(record), self.int(i64::from(plan.size)), self.int(0));
            let r = self.helper(helper::RINGBUF_OUTPUT, &[ring_map, data, size, flags]);
            self.when(r, |s| s.count_failure(percpu::LOST));
            return;
        }
        let (size, flags) = (self.int(i64::from(plan.size)), self.int(0));
        let record = self.helper(helper::RINGBUF_RESERVE, &[ring_map, size, flags]);
        let (there, lost, done) = (self.block(), self.block(), self.block());
        self.branch_if(IntCC::NotEqual, record, 0, there, lost);
        self.enter(there);
        self.push_facts();
        // A run that ends here for want of a header must give the record back.
        let outer = (self.missing, self.given_up);
        let given_up = args.iter().any(super::packet::reads_packet).then(|| self.block());
        self.missing = given_up.or(outer.0);
        self.given_up = given_up.or(outer.1);
        self.fill(event, Addr::ptr(record), args, &scalars);
        (self.missing, self.given_up) = outer;
        let flags = self.int(0);
        self.helper(helper::RINGBUF_SUBMIT, &[record, flags]);
        self.pop_facts();
        self.jump(done);
        if let Some(block) = given_up {
            self.enter(block);
            let flags = self.int(0);
            self.helper(helper::RINGBUF_DISCARD, &[record, flags]);
            let missing = self.missing_block();
            self.jump(missing);
        }
        self.enter(lost);
        self.push_facts();
        self.count_failure(percpu::LOST);
        self.pop_facts();
        self.jump(done);
        self.enter(done);
        if let EventKind::Exit = plan.kind {
            self.leave();
        }
    }

    fn fill(&mut self, event: usize, record: Addr, args: &[Expr], scalars: &[Option<Value>]) {
        let plan = self.m.plan.events[event].clone();
        self.record_header(event, record);
        for ((a, place), v) in args.iter().zip(&plan.args).zip(scalars) {
            match v {
                Some(v) => self.store(*v, record.at(place.offset), place.ty.size()),
                None => {
                    // Taken by `buf` itself.
                    self.seen_only = matches!((&a.kind, &a.ty), (ExprKind::Call { .. }, Ty::Buf(_)));
                    self.into(a, record.at(place.offset));
                }
            }
        }
    }

    /// Which event, at which attach point.
    pub(crate) fn record_header(&mut self, event: usize, record: Addr) {
        let point = self.point_number();
        let id = self.int(event as i64);
        match point {
            Some(p) => {
                self.store(id, record, 4);
                self.store(p, record.at(4), 4);
            }
            None => self.store(id, record, 8),
        }
    }

    /// A record for the failure of a helper.
    pub(crate) fn report_helper(&mut self, number: u32, code: Value) {
        let (event, call) = self.m.helper_error(self.span, helpers::name(number).unwrap_or("helper").trim_start_matches("bpf_"));
        let plan = &self.m.plan.events[event];
        let (size, places) = (plan.size, [plan.args[0].offset, plan.args[1].offset]);
        let record = self.temp(size, "helper's failure");
        self.fill(event, record, &[], &[]);
        let call = self.int(call as i64);
        self.store(call, record.at(places[0]), 4);
        self.store(code, record.at(places[1]), 4);
        let ring = self.m.ringbuf();
        let map = self.symbol(Object::Map(ring));
        let (data, size, flags) = (self.address(record), self.int(i64::from(size)), self.int(0));
        let r = self.helper(helper::RINGBUF_OUTPUT, &[map, data, size, flags]);
        self.when(r, |s| s.count_failure(percpu::LOST));
    }

    /// The record may find no room, so the wish to exit stands in memory too.
    fn note_exit(&mut self, code: Option<&Expr>) {
        if let Some(c) = code {
            let v = self.scalar(c);
            let at = self.global(global::EXIT_CODE);
            self.store(v, at, 8);
        }
        let at = self.global(global::EXIT);
        self.store_imm(1, at, 8);
    }

    /// After `exit()` what is attached does nothing more, though it takes a while until it is detached. Programs that are
    /// not attached run when their time comes.
    pub(crate) fn unless_ended(&mut self) {
        if matches!(self.probe.context, Context::None) {
            return;
        }
        let at = self.global(global::EXIT);
        let ended = self.load(at, 8, false);
        let (go, out) = (self.block(), self.out);
        self.branch_if(IntCC::Equal, ended, 0, go, out);
        self.enter(go);
    }

    /// Number of the attach point that runs; `None` is 0.
    pub(crate) fn point_number(&mut self) -> Option<Value> {
        match &self.probe.context {
            Context::Syscall { numbers, .. } if numbers.len() > 1 => Some(self.syscall_point()),
            Context::Registers { cookie: true, .. } => Some(self.fact(super::body::Fact::Point, |s| {
                let context = s.context;
                let cookie = s.helper(super::helper::GET_ATTACH_COOKIE, &[context]);
                if s.cookie_shift == 0 { cookie } else { s.add_imm(cookie, s.cookie_shift) }
            })),
            _ => match self.probe.attach.first().map(|a| a.point) {
                Some(0) | None => None,
                Some(n) => Some(self.int(n as i64)),
            },
        }
    }
}
