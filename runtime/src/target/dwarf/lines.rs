//! Lines of source files to addresses.

// DWARF writes its constants so.
#![allow(non_upper_case_globals)]

use super::{Bytes, units};
use gimli::constants::*;
use gimli::{ColumnType, Dwarf, Result, Unit, UnitOffset};
use std::collections::{BTreeMap, BTreeSet};

/// What a line is in the code.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// it begins there: once for each function that it is in, and for each place where such a function was inlined
    Code(Vec<u64>),
    /// nothing; the next line that is something, or, where a column was asked for, those of the line that are
    NoCode(Option<u64>, BTreeSet<u64>),
    /// there is no such file; those that there are
    NoFile(BTreeSet<String>),
}

/// `file` is the end of a path. Functions that the linker left out are at addresses that `code` doesn't know.
pub(super) fn find(dwarf: &Dwarf<Bytes>, file: &str, line: u64, column: Option<u64>, code: &dyn Fn(u64) -> bool) -> Result<Line> {
    let (mut names, mut met) = (BTreeSet::new(), false);
    let (mut starts, mut next, mut columns) = (BTreeSet::new(), None::<u64>, BTreeSet::new());
    for unit in units(dwarf)? {
        let files = files(dwarf, &unit)?;
        let wanted: BTreeSet<u64> = files.iter().filter(|(_, name)| is_end(name, file)).map(|(i, _)| *i).collect();
        if wanted.is_empty() {
            names.extend(files.into_values());
            continue;
        }
        met = true;
        let rows: Vec<Row> = rows(&unit)?.into_iter().filter(|r| r.end || code(r.address)).collect();
        let ours = |r: &Row| !r.end && wanted.contains(&r.file) && r.line == line && column.is_none_or(|c| c == r.column);
        let later = rows.iter().filter(|r| !r.end && r.statement && wanted.contains(&r.file) && r.line > line).map(|r| r.line).min();
        next = [next, later].into_iter().flatten().min();
        let all = rows.iter().filter(|r| !r.end && r.statement && wanted.contains(&r.file) && r.line == line);
        columns.extend(all.map(|r| r.column).filter(|c| column.is_some() && *c > 0));
        starts.extend(entered(dwarf, &unit, &begins(&rows, &ours))?);
    }
    Ok(match (met, starts.is_empty()) {
        (false, _) => Line::NoFile(names),
        (true, true) => Line::NoCode(next, columns),
        (true, false) => Line::Code(starts.into_iter().collect()),
    })
}

/// `main.c` and `src/main.c` are ends of `/home/me/src/main.c`, `in.c` is not.
fn is_end(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('/') || end.starts_with('/'))
}

struct Row {
    address: u64,
    file: u64,
    line: u64,
    column: u64,
    statement: bool,
    /// the address behind the last instruction of a piece
    end: bool,
}

fn rows(unit: &Unit<Bytes>) -> Result<Vec<Row>> {
    let Some(program) = unit.line_program.clone() else { return Ok(Vec::new()) };
    let (mut found, mut rows) = (Vec::new(), program.rows());
    while let Some((_, r)) = rows.next_row()? {
        let column = match r.column() {
            ColumnType::LeftEdge => 0,
            ColumnType::Column(c) => c.get(),
        };
        let line = r.line().map_or(0, |l| l.get());
        let (statement, end) = (r.is_stmt(), r.end_sequence());
        found.push(Row { address: r.address(), file: r.file_index(), line, column, statement, end });
    }
    Ok(found)
}

/// Where runs of rows begin that are ours. A row that the next one takes the place of, at the same address, has no instruction;
/// it counts where no other does.
fn begins(rows: &[Row], ours: &dyn Fn(&Row) -> bool) -> Vec<u64> {
    let (mut found, mut empty, mut inside) = (Vec::new(), Vec::new(), false);
    for (i, r) in rows.iter().enumerate() {
        let taken = rows.get(i + 1).is_some_and(|n| !n.end && n.address == r.address && !ours(n));
        match ours(r) {
            true if !inside && r.statement => {
                if taken {
                    empty.push(r.address)
                } else {
                    found.push(r.address)
                }
                inside = !taken;
            }
            true => {}
            false => inside = false,
        }
    }
    if found.is_empty() { empty } else { found }
}

/// The first of the addresses in each function, or copy of one. A loop's line is where it begins, is asked for and is counted on:
/// it is entered at the first of these places.
fn entered(dwarf: &Dwarf<Bytes>, unit: &Unit<Bytes>, addresses: &[u64]) -> Result<Vec<u64>> {
    if addresses.is_empty() {
        return Ok(Vec::new());
    }
    // the innermost function or copy that each is in
    let mut home: BTreeMap<u64, (isize, Option<UnitOffset>)> = addresses.iter().map(|a| (*a, (-1, None))).collect();
    let mut entries = unit.entries();
    while let Some(e) = entries.next_dfs()? {
        if !matches!(e.tag(), DW_TAG_subprogram | DW_TAG_inlined_subroutine) {
            continue;
        }
        let (depth, at) = (e.depth(), e.offset());
        let mut ranges = dwarf.die_ranges(unit, e)?;
        while let Some(r) = ranges.next()? {
            for (_, place) in home.range_mut(r.begin..r.end.max(r.begin)).filter(|(_, p)| p.0 < depth) {
                *place = (depth, Some(at));
            }
        }
    }
    let mut first = BTreeMap::new();
    for (address, (_, at)) in home {
        first.entry(at.map(|o| o.0)).or_insert(address);
    }
    Ok(first.into_values().collect())
}

/// Whole paths of the files of a unit, by number.
fn files(dwarf: &Dwarf<Bytes>, unit: &Unit<Bytes>) -> Result<BTreeMap<u64, String>> {
    let Some(program) = &unit.line_program else { return Ok(BTreeMap::new()) };
    let header = program.header();
    let text = |v| dwarf.attr_string(unit, v).map(|t| t.to_string_lossy().into_owned());
    let base = unit.comp_dir.map(|d| d.to_string_lossy().into_owned()).unwrap_or_default();
    let joined = |dir: String, name: String| if name.starts_with('/') || dir.is_empty() { name } else { format!("{dir}/{name}") };
    let mut found = BTreeMap::new();
    // Before DWARF 5 they are numbered from 1 on.
    let first = u64::from(header.version() < 5);
    for i in first..first + header.file_names().len() as u64 {
        let Some(f) = header.file(i) else { continue };
        let dir = match f.directory(header) {
            Some(d) => joined(base.clone(), text(d)?),
            None => base.clone(),
        };
        found.insert(i, joined(dir, text(f.path_name())?));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_paths() {
        for (end, fits) in [("main.c", true), ("src/main.c", true), ("/home/me/src/main.c", true), ("in.c", false), ("c/main.c", false)] {
            assert_eq!(is_end("/home/me/src/main.c", end), fits, "{end}");
        }
    }

    #[test]
    fn where_runs_begin() {
        let row = |address, line, statement| Row { address, file: 1, line, column: 0, statement, end: false };
        let of = |rows: &[Row], line| begins(rows, &|r| r.line == line);
        let rows =
            [row(1, 5, true), row(2, 6, true), row(3, 6, false), row(4, 5, true), row(4, 7, true), row(9, 6, false), row(9, 6, true)];
        assert_eq!(of(&rows, 5), [1]);
        assert_eq!(of(&rows, 6), [2, 9]);
        assert_eq!(of(&rows[3..], 5), [4]);
        assert!(of(&rows, 8).is_empty());
    }
}
