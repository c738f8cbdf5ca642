//! Whole maps: which entries, in which order, and how a map is written.

use super::{Entries, Env, json, number, text};
use awl_compiler::agg::View;
use awl_compiler::artifact::Map;
use awl_compiler::types::{Agg, Ty};
use awl_compiler::value::{self, Value};

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

struct Row<'a> {
    keys: Vec<Value<'a>>,
    slots: &'a [Vec<u8>],
    rank: i128,
}

/// The chosen entries: numbers by value, averages by average, histograms by their total, anything else by key; ties by key.
fn rows<'a>(map: &'a Map, entries: &'a Entries, select: Selection) -> Vec<Row<'a>> {
    let by_value = matches!(map.value, Ty::Int { .. } | Ty::Enum(_) | Ty::Agg(_));
    let mut rows: Vec<Row> = entries
        .iter()
        .map(|(key, slots)| {
            let rank = if by_value { rank(&map.value, slots) } else { 0 };
            let keys = value::sequence(&map.keys, key);
            Row { keys, slots, rank }
        })
        .collect();
    rows.sort_by(|a, b| {
        let keys = || {
            let each = a.keys.iter().zip(&b.keys).map(|(a, b)| a.order(b));
            each.fold(std::cmp::Ordering::Equal, |o, next| o.then(next))
        };
        a.rank.cmp(&b.rank).then_with(keys)
    });
    let top = usize::try_from(select.top).unwrap_or(usize::MAX);
    if top > 0 && top < rows.len() {
        rows.drain(..rows.len() - top);
    }
    rows
}

fn rank(ty: &Ty, slots: &[Vec<u8>]) -> i128 {
    match value::decode_slots(ty, slots) {
        Value::Int(n) => i128::from(n),
        Value::Uint(n) => i128::from(n),
        Value::Enum { value, .. } => i128::from(value),
        Value::Agg(view) => view.rank(),
        _ => 0,
    }
}

/// `@name[keys]: value`, a line for each entry.
pub fn text(out: &mut Vec<u8>, map: &Map, entries: &Entries, select: Selection, env: &mut Env) {
    let rows = rows(map, entries, select);
    for row in &rows {
        name(out, map);
        if !row.keys.is_empty() {
            for (i, key) in row.keys.iter().enumerate() {
                out.extend_from_slice(if i == 0 { b"[" } else { b", " });
                text::value(out, key, env);
            }
            out.push(b']');
        }
        out.push(b':');
        match value::decode_slots(&map.value, row.slots) {
            Value::Agg(View::Hist(hist)) => {
                out.push(b'\n');
                text::view(out, &View::Hist(hist), select.div());
            }
            value => {
                out.push(b' ');
                match value {
                    Value::Agg(view) => text::view(out, &view, select.div()),
                    Value::Int(n) => number::wide(out, i128::from(n) / select.div()),
                    Value::Uint(n) => number::wide(out, i128::from(n) / select.div()),
                    value => text::value(out, &value, env),
                }
            }
        }
        out.push(b'\n');
    }
    if !rows.is_empty() && matches!(map.value, Ty::Agg(Agg::Avg { .. } | Agg::Stats { .. })) {
        out.push(b'\n');
    }
}

/// An object with one member for each entry; a map without keys has its value alone.
pub fn json(out: &mut Vec<u8>, map: &Map, entries: &Entries, select: Selection, env: &mut Env) {
    let rows = rows(map, entries, select);
    let kind = match map.value {
        Ty::Agg(Agg::Hist { .. } | Agg::Lhist { .. }) => "hist",
        Ty::Agg(Agg::Avg { .. } | Agg::Stats { .. }) => "stats",
        _ => "map",
    };
    if rows.is_empty() {
        return;
    }
    json::line(out, kind, |out| {
        out.push(b'{');
        json::string(out, format!("@{}", map.name).as_bytes());
        out.extend_from_slice(b": ");
        let keyed = !map.keys.is_empty();
        if keyed {
            out.push(b'{');
        }
        for (i, row) in rows.iter().enumerate() {
            if keyed {
                if i > 0 {
                    out.extend_from_slice(b", ");
                }
                json::keys(out, &row.keys, env);
                out.extend_from_slice(b": ");
            }
            match value::decode_slots(&map.value, row.slots) {
                Value::Agg(view) => json::view(out, &view, select.div()),
                Value::Int(n) => json::integer(out, i128::from(n) / select.div()),
                Value::Uint(n) => json::integer(out, i128::from(n) / select.div()),
                value => json::value(out, &value, env),
            }
        }
        if keyed {
            out.push(b'}');
        }
        out.push(b'}');
    });
}

fn name(out: &mut Vec<u8>, map: &Map) {
    out.push(b'@');
    out.extend_from_slice(map.name.as_bytes());
}
