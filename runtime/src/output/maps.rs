//! Whole maps: which entries, in which order, and how a map is written.

use super::sink::Sink;
use super::{Entries, Env, json, text};
use crate::maps::Row;
use awl_compiler::agg::View;
use awl_compiler::artifact::{Map, MapKind, Plan, Storage};
use awl_compiler::sema::is_device;
use awl_compiler::types::{Agg, Ty, struct_layout};
use awl_compiler::value::{self, Stack, Value};
use std::collections::{HashMap, HashSet};

/// `print(@m, top, div)`: 0 where not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// only the last so many, which are the largest
    pub top: u64,
    /// scales numbers
    pub div: i64,
}

impl Selection {
    fn div(self) -> i128 {
        i128::from(self.div.max(1))
    }
}

/// What an entry is ordered by, and which one it is.
struct Order {
    rank: i128,
    /// of the first key
    prefix: u64,
    index: usize,
}

/// The chosen entries: numbers by value, averages by average, histograms by their total, anything else by key; ties by key.
fn rows(map: &Map, kind: Option<MapKind>, entries: &Entries, select: Selection) -> Vec<Order> {
    let ordered = matches!(kind, Some(MapKind::Queue | MapKind::Stack));
    let by_value = !ordered && !kind.is_some_and(is_device) && matches!(map.value, Ty::Int { .. } | Ty::Enum(_) | Ty::Agg(_));
    let row = |(index, row): (usize, Row)| Order {
        rank: if by_value { rank(&map.value, row) } else { 0 },
        prefix: map.keys.first().map_or(0, |ty| value::prefix(ty, row.key)),
        index,
    };
    let mut rows: Vec<Order> = entries.iter().enumerate().map(row).collect();
    // Without keys and ranks these stay in the order in which they left.
    rows.sort_by(|a, b| {
        let key = |of: &Order| entries.row(of.index).key;
        let by_key = || value::compare_all(&map.keys, key(a), key(b));
        // equal keys come from stacks that print alike: their bytes still give them one order
        let order = a.rank.cmp(&b.rank).then(a.prefix.cmp(&b.prefix));
        let order = order.then_with(by_key);
        order.then_with(|| key(a).cmp(key(b)))
    });
    if let Ty::Agg(Agg::Top { n }) = map.value {
        most_of_each(map, entries, &mut rows, n as usize);
    }
    // As bpftrace: of `stats` there is no largest.
    let top = if matches!(map.value, Ty::Agg(Agg::Stats { .. })) { 0 } else { select.top };
    let top = usize::try_from(top).unwrap_or(usize::MAX);
    if top > 0 && top < rows.len() {
        rows.drain(..rows.len() - top);
    }
    rows
}

/// Of all rows, which the largest end, the last `n` for each value of the keys but the last one.
fn most_of_each(map: &Map, entries: &Entries, rows: &mut Vec<Order>, n: usize) {
    let (offsets, _) = struct_layout(map.keys.iter());
    let outer = offsets.last().map_or(0, |o| *o as usize);
    let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
    rows.reverse();
    rows.retain(|r| {
        let key = entries.row(r.index).key;
        let count = seen.entry(key[..outer.min(key.len())].to_vec()).or_default();
        *count += 1;
        *count <= n
    });
    rows.reverse();
}

/// Kind of the kernel map behind it, where there is one.
pub fn kind(map: &Map, plan: &Plan) -> Option<MapKind> {
    match map.storage {
        Storage::Kernel(k) => plan.kernel_maps.get(k).map(|m| m.kind),
        Storage::Slot { .. } => None,
    }
}

fn rank(ty: &Ty, row: Row) -> i128 {
    match value::decode_slots(ty, row.slots()) {
        Value::Int(n) => i128::from(n),
        Value::Uint(n) => i128::from(n),
        Value::Enum { value, .. } => i128::from(value),
        Value::Agg(view) => view.rank(),
        _ => 0,
    }
}

/// Looks up the symbols of all stacks at once: one by one would read a process's memory map again for each.
fn look_up_stacks(map: &Map, entries: &Entries, rows: &[Order], env: &mut Env) {
    let mut kernel = Vec::new();
    let mut users: HashMap<u32, Vec<u64>> = HashMap::new();
    let mut seen = HashSet::new();
    let mut gather = |stack: &Stack, env: &mut Env| {
        if !stack.is_named() || !seen.insert((stack.store(), stack.id, stack.tgid)) {
            return;
        }
        let frames = text::frames(stack, env);
        if stack.kind.is_user() {
            users.entry(stack.tgid).or_default().extend(frames);
        } else {
            kernel.extend(frames);
        }
    };
    if !map.keys.iter().any(has_stack) && !has_stack(&map.value) {
        return;
    }
    for row in rows.iter().map(|r| entries.row(r.index)) {
        if map.keys.iter().any(has_stack) {
            for key in value::sequence(&map.keys, row.key) {
                each_stack(&key, &mut |stack| gather(stack, env));
            }
        }
        if has_stack(&map.value) {
            let value = value::decode_slots(&map.value, row.slots());
            each_stack(&value, &mut |stack| gather(stack, env));
        }
    }
    if !kernel.is_empty() {
        env.ctx.symbols().kernel_all(&kernel);
    }
    for (tgid, addrs) in users {
        env.ctx.symbols().user_all(tgid, &addrs);
    }
}

fn has_stack(ty: &Ty) -> bool {
    match ty {
        Ty::Stack { .. } => true,
        Ty::Array(of, _) => has_stack(of),
        Ty::Tuple(tys) => tys.iter().any(has_stack),
        Ty::NamedTuple(tys) => tys.iter().any(|(_, ty)| has_stack(ty)),
        _ => false,
    }
}

fn each_stack(value: &Value, f: &mut impl FnMut(&Stack)) {
    match value {
        Value::Stack(stack) => f(stack),
        Value::Tuple(all) | Value::Array(all) => all.iter().for_each(|v| each_stack(v, f)),
        Value::Named(all) => all.iter().for_each(|(_, v)| each_stack(v, f)),
        _ => {}
    }
}

/// A count that nothing was counted in is 0, where any other map without an entry is empty.
fn is_zero_count(map: &Map, entries: &Entries) -> bool {
    entries.is_empty() && map.keys.is_empty() && map.value == Ty::Agg(Agg::Count)
}

/// The key of a trie of addresses is a network, written as one.
fn network(map: &Map, kind: Option<MapKind>, key: &[u8], env: &mut Env) -> Option<Vec<u8>> {
    let (Some(MapKind::LpmTrie), [_, Ty::Ipv4 | Ty::Ipv6]) = (kind, map.keys.as_slice()) else { return None };
    let parts = value::sequence(&map.keys, key);
    let [Value::Uint(bits), address] = parts.as_slice() else { return None };
    let mut out = Vec::new();
    text::value(&mut out, address, env);
    out.extend_from_slice(format!("/{bits}").as_bytes());
    Some(out)
}

/// Interfaces have names.
fn interface(kind: Option<MapKind>, value: &Value, env: &mut Env) -> Option<Vec<u8>> {
    match (kind, value) {
        (Some(MapKind::DevMap), Value::Uint(n)) => env.names.interface(*n).map(<[u8]>::to_vec),
        _ => None,
    }
}

/// `@name[keys]: value`, a line for each entry; an empty line where there is none.
pub fn text(sink: &mut Sink, map: &Map, entries: &Entries, select: Selection, env: &mut Env) {
    let kind = kind(map, env.plan);
    let rows = rows(map, kind, entries, select);
    look_up_stacks(map, entries, &rows, env);
    let single = map.keys.len() == 1;
    for row in rows.iter().map(|r| entries.row(r.index)) {
        let out = sink.buffer();
        out.push(b'@');
        out.extend_from_slice(map.name.as_bytes());
        if let Some(network) = network(map, kind, row.key, env) {
            out.push(b'[');
            out.extend_from_slice(&network);
            out.push(b']');
        } else if single {
            out.push(b'[');
            // The brackets are those of the key.
            match value::decode(&map.keys[0], row.key) {
                Value::Named(fields) => text::named(out, &fields, env),
                key => text::value(out, &key, env),
            }
            out.push(b']');
        } else if !map.keys.is_empty() {
            for (i, key) in value::sequence(&map.keys, row.key).iter().enumerate() {
                out.extend_from_slice(if i == 0 { b"[" } else { b", " });
                text::value(out, key, env);
            }
            out.push(b']');
        }
        out.push(b':');
        match value::decode_slots(&map.value, row.slots()) {
            Value::Agg(view @ (View::Hist(_) | View::Series(_))) => {
                out.push(b'\n');
                text::view(out, &view, select.div(), env);
            }
            value => {
                out.push(b' ');
                let interface = interface(kind, &value, env);
                match value {
                    _ if interface.is_some() => out.extend(interface.unwrap_or_default()),
                    Value::Agg(view) => text::view(out, &view, select.div(), env),
                    Value::Int(n) => text::amount(out, env, i128::from(n) / select.div()),
                    Value::Uint(n) => text::amount(out, env, i128::from(n) / select.div()),
                    value => text::value(out, &value, env),
                }
            }
        }
        out.push(b'\n');
        sink.done();
    }
    let out = sink.buffer();
    if is_zero_count(map, entries) {
        out.extend_from_slice(format!("@{}: 0\n", map.name).as_bytes());
    } else if rows.is_empty() {
        out.push(b'\n');
    }
    if matches!(map.value, Ty::Agg(Agg::Avg { .. } | Agg::Stats { .. })) {
        out.push(b'\n');
    }
}

/// An object with one member for each entry; a map without keys has its value alone; nothing where there is no entry.
pub fn json(sink: &mut Sink, map: &Map, entries: &Entries, select: Selection, env: &mut Env) {
    let kind = kind(map, env.plan);
    let rows = rows(map, kind, entries, select);
    look_up_stacks(map, entries, &rows, env);
    let name = match map.value {
        Ty::Agg(Agg::Hist { .. } | Agg::Lhist { .. }) => "hist",
        Ty::Agg(Agg::Avg { .. } | Agg::Stats { .. }) => "stats",
        Ty::Agg(Agg::Series { .. }) => "tseries",
        _ => "map",
    };
    if is_zero_count(map, entries) {
        let map = format!("@{}", map.name);
        return json::line(sink.buffer(), name, |out| {
            out.push(b'{');
            json::string(out, map.as_bytes());
            out.extend_from_slice(b": 0}");
        });
    }
    if rows.is_empty() {
        return;
    }
    let out = sink.buffer();
    json::start(out, name);
    out.push(b'{');
    json::string(out, format!("@{}", map.name).as_bytes());
    out.extend_from_slice(b": ");
    let keyed = !map.keys.is_empty();
    let list = matches!(kind, Some(MapKind::Queue | MapKind::Stack));
    if keyed || list {
        out.push(if keyed { b'{' } else { b'[' });
    }
    for (i, row) in rows.iter().map(|r| entries.row(r.index)).enumerate() {
        let out = sink.buffer();
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        if let Some(network) = network(map, kind, row.key, env) {
            json::string(out, &network);
            out.extend_from_slice(b": ");
        } else if keyed {
            json::keys(out, &value::sequence(&map.keys, row.key), env);
            out.extend_from_slice(b": ");
        }
        let value = value::decode_slots(&map.value, row.slots());
        let interface = interface(kind, &value, env);
        match value {
            _ if interface.is_some() => json::string(out, &interface.unwrap_or_default()),
            Value::Agg(view) => json::view(out, &view, select.div(), env),
            Value::Int(n) => json::integer(out, i128::from(n) / select.div()),
            Value::Uint(n) => json::integer(out, i128::from(n) / select.div()),
            value => json::value(out, &value, env),
        }
        sink.done();
    }
    let out = sink.buffer();
    if keyed || list {
        out.push(if keyed { b'}' } else { b']' });
    }
    out.push(b'}');
    json::end(out);
}
