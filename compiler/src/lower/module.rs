//! What all programs of a script share: maps, data sections, events, literals, line numbers.

use crate::artifact::{
    self, Event, EventArg, EventKind, FrameForm, KernelMap, Kfunc, Map, MapKind, Pin, Plan, Section, StackStore, Storage, Watched, global,
    percpu,
};
use crate::hir;
use crate::lowered::{Function, Line, Object};
use crate::packet::verdict;
use crate::sema::Options;
use crate::target::{Feature, KernelVersion, Target};
use crate::types::{Agg, Ty, struct_layout};
use awl_grammar::span::Span;
use cranelift_codegen::ir::{self, AbiParam, InstBuilder, Signature, types};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use std::collections::HashMap;

/// Indices of `Plan::sections`.
pub const RODATA: usize = 0;
pub const GLOBALS: usize = 1;
pub const PERCPU: usize = 2;
pub const SCRATCH: usize = 3;

/// Maps whose failures have a counter from the start where programs come later.
const FOLLOWED_MAPS: usize = 64;

/// Text of a place in the source, for line tables.
pub trait Lines {
    fn line(&self, span: Span) -> Line;
}

pub struct ModuleBuilder {
    pub plan: Plan,
    /// by number; `None` while it is being made
    pub(crate) functions: Vec<Option<Function>>,
    pub slot_names: Vec<String>,
    pub options: Options,
    pub arch: crate::target::Arch,
    pub kernel: KernelVersion,
    /// device and inode of the pid namespace that numbers processes, where it isn't the initial one
    pub pid_namespace: Option<(u64, u64)>,
    /// offset in a task of what says that it is in a 32-bit call
    pub(crate) thread_status: Option<u32>,
    /// `bpf_get_current_task_btf` is there
    pub(crate) task_btf: bool,
    /// typed loads from addresses of the kernel's structures
    pub(crate) typed: Option<super::typed::Typed>,
    /// what not every kernel has, and where the script wants it
    pub(crate) required: Vec<(Feature, Span)>,
    /// place in the source of the code that is being made
    pub(crate) at: Span,
    pub(crate) atomic_fetch: bool,
    /// `bpf_loop` is there
    pub(crate) has_loops: bool,
    /// the verifier takes what callbacks do for what they do at their first turn (before 6.7)
    pub(crate) first_turn_only: bool,
    objects: Vec<Object>,
    object_ids: HashMap<Object, usize>,
    lines: Vec<Line>,
    line_ids: HashMap<Span, u32>,
    literals: HashMap<Vec<u8>, u32>,
    ringbuf: Option<usize>,
    /// offsets in rodata of the tables of attach points' names and of their functions', and bytes of one name
    names: [Option<(u32, u32)>; 2],
    zeros: Option<u32>,
    /// largest value that has to be made of zeros
    zero_bytes: u32,
}

impl ModuleBuilder {
    pub fn new(program: &hir::Program, options: &Options, cpu_slots: u32, target: &dyn Target) -> ModuleBuilder {
        let section = |name: &str, readonly, mapped| Section { name: name.into(), size: 0, per_cpu: 0, init: Vec::new(), readonly, mapped };
        let thread_status = super::context::thread_status(program, target);
        let mut m = ModuleBuilder {
            plan: Plan {
                sections: vec![
                    section(".rodata.awl", true, false),
                    section(".bss.awl", false, true),
                    section(".bss.percpu", false, true),
                    section(".bss.scratch", false, false),
                ],
                strings: program.strings.clone(),
                points: program.points.clone(),
                cpu_slots,
                ..Default::default()
            },
            functions: Vec::new(),
            slot_names: Vec::new(),
            options: options.clone(),
            arch: target.arch(),
            kernel: target.kernel(),
            pid_namespace: target.pid_namespace(),
            thread_status,
            task_btf: thread_status.is_some() && target.has(Feature::CurrentTaskBtf),
            typed: super::typed::Typed::of(program, options, target),
            required: Vec::new(),
            at: Span::default(),
            atomic_fetch: target.has(Feature::AtomicFetch),
            has_loops: target.has(Feature::Loop),
            first_turn_only: target.kernel() < KernelVersion(6, 7, 0),
            objects: Vec::new(),
            object_ids: HashMap::new(),
            lines: vec![Line::default()],
            line_ids: HashMap::new(),
            literals: HashMap::new(),
            ringbuf: None,
            names: [None; 2],
            zeros: None,
            zero_bytes: 0,
        };
        m.plan.events = program.events.iter().map(layout_event).collect();
        m.maps(program);
        m
    }

    /// Gives every map its place.
    fn maps(&mut self, program: &hir::Program) {
        let mut global_at = global::FIRST_FREE;
        // Programs that come later find the maps where they are, and put others behind them.
        let follow = self.options.follow.clone();
        let counters = if follow.is_some() { program.maps.len().max(FOLLOWED_MAPS) } else { program.maps.len() };
        let mut percpu_at = percpu::MAP_FAILED + 8 * counters as u32;
        if follow.is_some() {
            self.watch(program, &mut percpu_at);
        }
        for (i, map) in program.maps.iter().enumerate() {
            let keyless = map.declared.is_some_and(|(k, _)| crate::sema::is_keyless(k));
            let storage = if map.keys.is_empty() && !keyless {
                let per_cpu = matches!(map.value, Ty::Agg(_));
                let at = if per_cpu { &mut percpu_at } else { &mut global_at };
                let offset = at.next_multiple_of(8);
                *at = offset + map.value.size().next_multiple_of(8) + 8;
                Storage::Slot { section: if per_cpu { PERCPU } else { GLOBALS }, offset }
            } else {
                let (kind, max_entries) = map.declared.unwrap_or((
                    if matches!(map.value, Ty::Agg(_)) { MapKind::PercpuHash } else { MapKind::Hash },
                    self.options.config.max_map_keys,
                ));
                let key_size = key_size(map, kind);
                if matches!(map.value, Ty::Agg(_)) {
                    self.zero_bytes = self.zero_bytes.max(map.value.size());
                }
                self.zero_bytes = self.zero_bytes.max(8);
                // Entries of eight bytes could hold programs, too: 5.10 refuses such maps below `generic`.
                let whole = map.value.size().next_multiple_of(8).max(8);
                let value_size = if matches!(kind, MapKind::DevMap | MapKind::CpuMap) { 4 } else { whole };
                self.plan.kernel_maps.push(KernelMap {
                    name: format!("m{i}_{}", symbol(&map.name)),
                    kind,
                    key_size,
                    value_size,
                    max_entries,
                    pin: map.pin.clone().map(|name| Pin { name, keys: map.keys.clone(), value: map.value.clone() }),
                    stacks: None,
                });
                Storage::Kernel(self.plan.kernel_maps.len() - 1)
            };
            self.plan.maps.push(Map { name: map.name.clone(), keys: map.keys.clone(), value: map.value.clone(), storage, span: map.span });
        }
        if follow.is_none() {
            self.watch(program, &mut percpu_at);
        }
        let mut stride = percpu_at.next_multiple_of(64);
        if let Some(follow) = follow {
            let spare = |used: u32, there: u32| if there == 0 { (used + 1024).next_multiple_of(4096) } else { used.max(there) };
            (global_at, stride) = (spare(global_at, follow.room.0), spare(stride, follow.room.1));
        }
        self.plan.sections[GLOBALS].size = global_at;
        self.plan.sections[PERCPU].per_cpu = stride;
        self.plan.sections[PERCPU].size = stride * self.plan.cpu_slots;
    }

    /// Gives the verdicts that are only watched their counters.
    fn watch(&mut self, program: &hir::Program, percpu_at: &mut u32) {
        for (i, probe) in program.probes.iter().enumerate().filter(|(_, p)| !self.options.enforce && p.acts) {
            let Some(family) = verdict::family(probe.kind) else { continue };
            self.plan.watched.push(Watched { program: i, offset: *percpu_at, may: family.may(&probe.body), words: family.words() });
            *percpu_at += 8 * (verdict::COUNTERS + 1);
        }
    }

    /// Where the verdicts of this program are counted, if they are only watched.
    pub(crate) fn watched(&self, probe: &hir::Probe, program: &hir::Program) -> Option<u32> {
        self.plan.watched.iter().find(|w| program.probes[w.program].name == probe.name).map(|w| w.offset)
    }

    /// Index in namespace 1 of a map or section.
    pub(crate) fn object(&mut self, object: Object) -> usize {
        if let Some(i) = self.object_ids.get(&object) {
            return *i;
        }
        self.objects.push(object);
        self.object_ids.insert(object, self.objects.len() - 1);
        self.objects.len() - 1
    }

    /// Number of a function of the kernel that programs call.
    pub(crate) fn kfunc(&mut self, name: &str, btf_id: u32) -> u32 {
        let known = &mut self.plan.kfuncs;
        let index = known.iter().position(|k| k.name == name).unwrap_or_else(|| {
            known.push(Kfunc { name: name.into(), btf_id });
            known.len() - 1
        });
        index as u32
    }

    /// Number of a line of the source; the text is filled in at the end.
    pub(crate) fn line(&mut self, span: Span) -> u32 {
        let next = self.lines.len() as u32;
        match self.line_ids.get(&span) {
            Some(n) => *n,
            None => {
                self.lines.push(Line { span, ..Default::default() });
                self.line_ids.insert(span, next);
                next
            }
        }
    }

    /// The next function's number.
    pub(crate) fn reserve_function(&mut self) -> usize {
        self.functions.push(None);
        self.functions.len() - 1
    }

    /// A callback that returns 0.
    pub(crate) fn counting_callback(&mut self) -> usize {
        let index = self.reserve_function();
        let mut sig = Signature::new(CallConv::SystemV);
        sig.params = vec![AbiParam::new(types::I64); 4];
        sig.returns = vec![AbiParam::new(types::I64)];
        let mut clif = ir::Function::with_name_signature(ir::UserFuncName::user(0, index as u32), sig);
        let mut context = FunctionBuilderContext::new();
        let mut b = FunctionBuilder::new(&mut clif, &mut context);
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        let zero = b.ins().iconst(types::I64, 0);
        b.ins().return_(&[zero]);
        b.seal_all_blocks();
        b.finalize(super::FRONTEND);
        self.functions[index] = Some(Function { name: format!("count_{index}"), program: None, clif, slots: Vec::new() });
        index
    }

    /// Offset in rodata of these bytes.
    pub(crate) fn literal(&mut self, bytes: &[u8]) -> u32 {
        if let Some(o) = self.literals.get(bytes) {
            return *o;
        }
        let at = self.append_rodata(bytes);
        self.literals.insert(bytes.to_vec(), at);
        at
    }

    fn append_rodata(&mut self, bytes: &[u8]) -> u32 {
        let s = &mut self.plan.sections[RODATA];
        let at = (s.init.len() as u32).next_multiple_of(8);
        s.init.resize(at as usize, 0);
        s.init.extend_from_slice(bytes);
        s.size = s.init.len() as u32;
        at
    }

    /// Offset in rodata of at least `bytes` zeros.
    pub(crate) fn zeros(&mut self, bytes: u32) -> u32 {
        self.zero_bytes = self.zero_bytes.max(bytes);
        // Programs of one script are lowered one after another: a later, larger need makes a new run of zeros.
        match self.zeros {
            Some(at) if self.literals_fit(at, bytes) => at,
            _ => {
                let at = self.append_rodata(&vec![0; self.zero_bytes as usize]);
                self.zeros = Some(at);
                at
            }
        }
    }

    fn literals_fit(&self, at: u32, bytes: u32) -> bool {
        let init = &self.plan.sections[RODATA].init;
        init.get(at as usize..(at + bytes) as usize).is_some_and(|b| b.iter().all(|x| *x == 0))
    }

    /// Offset in rodata of the names of all attach points, and the bytes of one.
    /// The table of attach points' names, or of their functions': offset in rodata, bytes of one name.
    pub(crate) fn names(&mut self, func: bool) -> (u32, u32) {
        if let Some(n) = self.names[usize::from(func)] {
            return n;
        }
        let stride = names_stride(&self.plan.points, func);
        let mut table = Vec::new();
        for p in &self.plan.points {
            let end = table.len() + stride as usize;
            table.extend_from_slice(if func { function_of(p) } else { p }.as_bytes());
            table.resize(end, 0);
        }
        let at = self.append_rodata(&table);
        self.names[usize::from(func)] = Some((at, stride));
        (at, stride)
    }

    /// Event and number of a helper call that can fail.
    pub(crate) fn helper_error(&mut self, span: Span, helper: &'static str) -> (usize, usize) {
        let events = &mut self.plan.events;
        let event = events.iter().position(|e| matches!(e.kind, EventKind::HelperError)).unwrap_or_else(|| {
            events.push(helper_event(span));
            events.len() - 1
        });
        let calls = &mut self.plan.calls;
        let call = calls.iter().position(|c| *c == (span, helper)).unwrap_or_else(|| {
            calls.push((span, helper));
            calls.len() - 1
        });
        (event, call)
    }

    pub(crate) fn ringbuf(&mut self) -> usize {
        if let Some(i) = self.ringbuf {
            return i;
        }
        let pages = self.options.config.perf_rb_pages;
        // The kernel hands all of it to our address space at once, twice: a script that only gives orders needs little.
        let orders = |k: &EventKind| {
            matches!(
                k,
                EventKind::Exit
                    | EventKind::PrintMap(_)
                    | EventKind::TakeMap(_)
                    | EventKind::Clear(_)
                    | EventKind::Zero(_)
                    | EventKind::Fill(_)
                    | EventKind::Unwatch
                    | EventKind::Losses
                    | EventKind::Packet { .. }
                    | EventKind::Time(_)
            )
        };
        let bytes = match pages {
            0 if self.plan.events.iter().all(|e| orders(&e.kind)) => 64 << 10,
            0 => 4 << 20,
            n => n.next_power_of_two().clamp(1, 1 << 18) * 4096,
        };
        self.plan.kernel_maps.push(KernelMap {
            name: "events".into(),
            kind: MapKind::Ringbuf,
            key_size: 0,
            value_size: 0,
            max_entries: bytes,
            pin: None,
            stacks: None,
        });
        self.ringbuf = Some(self.plan.kernel_maps.len() - 1);
        self.plan.kernel_maps.len() - 1
    }

    /// The map of the CPUs' buffers for packets.
    pub(crate) fn packet_buffers(&mut self) -> usize {
        let is_it = |m: &KernelMap| m.kind == MapKind::PerfEventArray;
        if let Some(i) = self.plan.kernel_maps.iter().position(is_it) {
            return i;
        }
        self.plan.packet_pages = match self.options.config.perf_rb_pages {
            0 => 64,
            n => n.next_power_of_two().clamp(1, 1 << 18),
        };
        self.plan.kernel_maps.push(KernelMap {
            name: "packets".into(),
            kind: MapKind::PerfEventArray,
            key_size: 4,
            value_size: 4,
            max_entries: self.plan.cpu_slots,
            pin: None,
            stacks: None,
        });
        self.plan.kernel_maps.len() - 1
    }

    /// The map with stacks of that form and limit.
    pub(crate) fn stack_map(&mut self, store: StackStore) -> usize {
        if let Some(i) = self.plan.kernel_maps.iter().position(|m| m.stacks == Some(store)) {
            return i;
        }
        let (word, kind, key_size, max_entries) = match store.frames {
            FrameForm::Address => ("stacks", MapKind::StackTrace, 4, 128 << 10),
            FrameForm::BuildId => ("build_ids", MapKind::StackTrace, 4, 32 << 10),
            FrameForm::Unwound => ("unwound", MapKind::Hash, 8, 16 << 10),
        };
        self.plan.kernel_maps.push(KernelMap {
            name: format!("{word}_{}", store.limit),
            kind,
            key_size,
            value_size: u32::from(store.limit) * store.frames.size(),
            max_entries,
            pin: None,
            stacks: Some(store),
        });
        self.plan.kernel_maps.len() - 1
    }

    /// A section that no program names is not made.
    fn drop_unused_sections(&mut self) {
        let mut used: Vec<bool> =
            self.plan.sections.iter().enumerate().map(|(i, _)| self.object_ids.contains_key(&Object::Section(i))).collect();
        if self.options.follow.is_some() {
            // Those of programs that come later are the same.
            used.fill(true);
        }
        for m in &self.plan.maps {
            if let Storage::Slot { section, .. } = m.storage {
                used[section] = true;
            }
        }
        let new: Vec<usize> = used.iter().scan(0, |n, u| Some(std::mem::replace(n, *n + usize::from(*u)))).collect();
        for o in &mut self.objects {
            if let Object::Section(i) = o {
                *i = new[*i];
            }
        }
        for m in &mut self.plan.maps {
            if let Storage::Slot { section, .. } = &mut m.storage {
                *section = new[*section];
            }
        }
        let mut keep = used.iter();
        self.plan.sections.retain(|_| keep.next().copied().unwrap_or(false));
        for s in &mut self.plan.sections {
            s.size = s.size.max(8);
        }
    }

    pub(crate) fn finish(mut self, lines: &dyn Lines) -> (crate::lowered::Module, Plan) {
        for l in self.lines.iter_mut().skip(1) {
            *l = lines.line(l.span);
        }
        self.drop_unused_sections();
        (
            crate::lowered::Module {
                functions: self.functions.into_iter().flatten().map(super::without_copies).collect(),
                kfuncs: self.plan.kfuncs.iter().map(|k| k.name.clone()).collect(),
                objects: self.objects,
                maps: self.plan.kernel_maps.clone(),
                sections: self.plan.sections.clone(),
                lines: self.lines,
            },
            self.plan,
        )
    }
}

/// Bytes of one name in the table of names: what `probe` holds.
pub fn names_stride(points: &[String], func: bool) -> u32 {
    let longest = points.iter().map(|p| if func { function_of(p) } else { p }.len()).max().unwrap_or(0) as u32;
    (longest + 1).next_multiple_of(8)
}

/// `kprobe:vfs_read+4` is about `vfs_read`.
pub fn function_of(point: &str) -> &str {
    // `uprobe:/bin/app:cpp:"ns::grow(int)"`
    if let Some((_, quoted)) = point.split_once(":\"") {
        return quoted.strip_suffix('"').unwrap_or(quoted);
    }
    let last = point.rsplit(':').next().unwrap_or_default();
    last.split_once('+').map_or(last, |(f, _)| f)
}

/// Bytes of the longest key of a map.
pub(crate) fn longest_key(program: &hir::Program) -> u32 {
    program.maps.iter().map(|m| struct_layout(m.keys.iter()).1).max().unwrap_or_default()
}

/// Bytes of a map's key in the kernel. Hash tables compare keys eight bytes at a time and what is left byte by byte (`memcmp` of
/// lib/string.c: six instructions for each, in every look-up), and give each key a multiple of eight anyway: keys that are ours alone
/// are filled up with zeros. Others read a pinned map by the types of its keys.
fn key_size(map: &hir::Map, kind: MapKind) -> u32 {
    let size = struct_layout(map.keys.iter()).1;
    let table = matches!(kind, MapKind::Hash | MapKind::PercpuHash | MapKind::LruHash | MapKind::LruPercpuHash);
    if table && map.pin.is_none() { size.next_multiple_of(8) } else { size }
}

fn layout_event(e: &hir::Event) -> Event {
    let mut at = artifact::EVENT_HEADER;
    let args = e
        .args
        .iter()
        .map(|ty| {
            let offset = at.next_multiple_of(ty.align().max(1));
            at = offset + ty.size();
            EventArg { ty: ty.clone(), offset }
        })
        .collect();
    let kind = e.kind.clone();
    if let EventKind::PrintMap(_) = kind {
        at = at.max(artifact::EVENT_HEADER);
    }
    Event { kind, size: at.next_multiple_of(8), args, span: e.span }
}

/// Number of the call and code of the failure.
fn helper_event(span: Span) -> Event {
    layout_event(&hir::Event { kind: EventKind::HelperError, args: vec![Ty::U32, Ty::I32], span })
}

/// Letters, digits and `_` of a name.
pub(crate) fn symbol(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Does this aggregation hold its bytes in a wide slot that is not copied around?
pub fn is_wide(agg: &Agg) -> bool {
    agg.slot_size() > 64
}
