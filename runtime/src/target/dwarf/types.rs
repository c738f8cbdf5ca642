//! Parameters of functions and their types, which are written down as the kernel writes its own (BTF): whoever reads these reads
//! them.

// DWARF writes its constants so.
#![allow(non_upper_case_globals)]

use super::{Bytes, holds, units};
use awl_compiler::target::btf::{Kind, Node};
use awl_compiler::target::{UserFunction, UserParameter};
use gimli::constants::*;
use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, Encoding, Expression, Operation, Result, Unit, UnitOffset};
use std::collections::HashMap;

type Entry<'a> = DebuggingInformationEntry<Bytes<'a>>;
/// number of the unit, place in it
type At = (usize, UnitOffset);

/// Types beyond this stay unknown: they are reached over very many pointers.
const MAX_TYPES: usize = 20_000;
/// Links from one entry to the next that is meant by it.
const MAX_LINKS: usize = 8;

pub(super) fn functions(dwarf: &Dwarf<Bytes>, addresses: &[u64]) -> Result<(Vec<Option<UserFunction>>, Vec<Node>)> {
    let mut reader = Reader { dwarf, units: units(dwarf)?, nodes: Vec::new(), known: HashMap::new(), left: Vec::new() };
    let mut found = vec![None; addresses.len()];
    for unit in 0..reader.units.len() {
        if !holds(dwarf, &reader.units[unit], addresses)? {
            continue;
        }
        for (place, address) in reader.subprograms(unit)? {
            for (i, _) in addresses.iter().enumerate().filter(|(_, a)| **a == address) {
                if found[i].is_none() {
                    found[i] = reader.function((unit, place), address)?;
                }
            }
        }
    }
    while let Some((id, at)) = reader.left.pop() {
        reader.nodes[id as usize - 1] = reader.node(at)?;
    }
    Ok((found, reader.nodes))
}

struct Reader<'d, 'a> {
    dwarf: &'d Dwarf<Bytes<'a>>,
    units: Vec<Unit<Bytes<'a>>>,
    nodes: Vec<Node>,
    known: HashMap<At, u32>,
    /// types that have their number and nothing else yet
    left: Vec<(u32, At)>,
}

impl<'a> Reader<'_, 'a> {
    fn entry(&self, at: At) -> Result<Entry<'a>> {
        self.units[at.0].entry(at.1)
    }

    /// The functions of a unit that have code, and where it begins.
    fn subprograms(&self, unit: usize) -> Result<Vec<(UnitOffset, u64)>> {
        let (u, mut found) = (&self.units[unit], Vec::new());
        let mut entries = u.entries();
        while let Some(e) = entries.next_dfs()? {
            if e.tag() == DW_TAG_subprogram
                && let Some(address) = self.start(u, e)?
            {
                found.push((e.offset(), address));
            }
        }
        Ok(found)
    }

    fn start(&self, unit: &Unit<Bytes<'a>>, e: &Entry<'a>) -> Result<Option<u64>> {
        if let Some(v) = e.attr_value(DW_AT_low_pc) {
            return self.dwarf.attr_address(unit, v);
        }
        // Parts in several places: the one that is entered comes first.
        Ok(self.dwarf.die_ranges(unit, e)?.next()?.map(|r| r.begin))
    }

    /// `None`: it isn't called as its parameters say.
    fn function(&mut self, at: At, start: u64) -> Result<Option<UserFunction>> {
        if convention(&self.entry(at)?) == Some(DW_CC_nocall) {
            return Ok(None);
        }
        let go = self.language(at.0)? == Some(DW_LANG_Go);
        let ret = self.named(at, DW_AT_type)?;
        let mut f = UserFunction { go, ret_by_reference: self.by_reference(ret)?, ..UserFunction::default() };
        f.ret = self.id(ret);
        for child in self.children(at)? {
            let e = self.entry(child)?;
            // Go's results stand among its parameters.
            let result = go && matches!(e.attr_value(DW_AT_variable_parameter), Some(AttributeValue::Flag(true)));
            if e.tag() == DW_TAG_formal_parameter && !result {
                let (ty, name) = (self.named(child, DW_AT_type)?, self.name(child)?);
                let by_reference = self.by_reference(ty)?;
                let (register, left_out) = self.location(child.0, &e, start)?;
                f.parameters.push(UserParameter { name, id: self.id(ty), by_reference, register, left_out });
            }
        }
        Ok(Some(f))
    }

    /// The register that a parameter is in at the function's entry, if it is said to be in one as a whole; and whether nothing at
    /// all is said of where it is.
    fn location(&self, unit: usize, e: &Entry<'a>, start: u64) -> Result<(Option<u16>, bool)> {
        let u = &self.units[unit];
        let Some(value) = e.attr_value(DW_AT_location) else { return Ok((None, true)) };
        if let AttributeValue::Exprloc(x) = value {
            return Ok((whole(x, u.encoding())?, false));
        }
        if let Some(mut list) = self.dwarf.attr_locations(u, value)? {
            while let Some(entry) = list.next()? {
                if entry.range.begin <= start && start < entry.range.end {
                    return Ok((whole(entry.data, u.encoding())?, false));
                }
            }
        }
        Ok((None, false))
    }

    fn language(&self, unit: usize) -> Result<Option<DwLang>> {
        let u = &self.units[unit];
        let root = u.entry(u.header.root_offset())?;
        Ok(match root.attr_value(DW_AT_language) {
            Some(AttributeValue::Language(l)) => Some(l),
            _ => None,
        })
    }

    fn children(&self, at: At) -> Result<Vec<At>> {
        let mut tree = self.units[at.0].entries_tree(Some(at.1))?;
        let (mut found, mut children) = (Vec::new(), tree.root()?.children());
        while let Some(c) = children.next()? {
            found.push((at.0, c.entry().offset()));
        }
        Ok(found)
    }

    /// What an attribute refers to.
    fn target(&self, from: usize, value: AttributeValue<Bytes<'a>>) -> Option<At> {
        match value {
            AttributeValue::UnitRef(o) => Some((from, o)),
            AttributeValue::DebugInfoRef(o) => {
                let behind = self.units.partition_point(|u| u.header.debug_info_offset().is_some_and(|start| start.0 <= o.0));
                let unit = behind.checked_sub(1)?;
                let start = self.units[unit].header.debug_info_offset()?;
                Some((unit, UnitOffset(o.0 - start.0)))
            }
            _ => None,
        }
    }

    /// The entry itself, then those that it takes over from: its declaration, what was inlined or cloned.
    fn sources(&self, at: At) -> Result<Vec<At>> {
        let mut all = vec![at];
        while let Some(last) = all.last().copied().filter(|_| all.len() < MAX_LINKS) {
            let e = self.entry(last)?;
            let link = e.attr_value(DW_AT_abstract_origin).or_else(|| e.attr_value(DW_AT_specification));
            match link.and_then(|l| self.target(last.0, l)) {
                Some(next) => all.push(next),
                None => break,
            }
        }
        Ok(all)
    }

    /// What an attribute of the entry, or of one that it takes over from, refers to.
    fn named(&self, at: At, attribute: DwAt) -> Result<Option<At>> {
        for s in self.sources(at)? {
            if let Some(v) = self.entry(s)?.attr_value(attribute) {
                return Ok(self.target(s.0, v));
            }
        }
        Ok(None)
    }

    fn name(&self, at: At) -> Result<String> {
        for s in self.sources(at)? {
            if let Some(v) = self.entry(s)?.attr_value(DW_AT_name) {
                return Ok(self.dwarf.attr_string(&self.units[s.0], v)?.to_string_lossy().into_owned());
            }
        }
        Ok(String::new())
    }

    /// Is a value of the type handed over by the address of a copy, whatever its size?
    fn by_reference(&self, ty: Option<At>) -> Result<bool> {
        self.by_reference_at(ty, MAX_LINKS)
    }

    fn by_reference_at(&self, ty: Option<At>, depth: usize) -> Result<bool> {
        let (mut next, mut links) = (ty, 0);
        while let Some(at) = next.filter(|_| links < MAX_LINKS) {
            let e = self.entry(at)?;
            match e.tag() {
                DW_TAG_typedef | DW_TAG_const_type | DW_TAG_volatile_type => {
                    next = e.attr_value(DW_AT_type).and_then(|v| self.target(at.0, v));
                    links += 1;
                }
                DW_TAG_structure_type | DW_TAG_class_type => {
                    return Ok(match convention(&e) {
                        Some(c) => c == DW_CC_pass_by_reference,
                        None => depth > 0 && self.cares_for_itself(at, depth - 1)?,
                    });
                }
                _ => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Compilers that don't say it themselves: an object of C++ with a destructor, or with a member that has one.
    fn cares_for_itself(&self, at: At, depth: usize) -> Result<bool> {
        for c in self.children(at)? {
            let e = self.entry(c)?;
            let found = match e.tag() {
                DW_TAG_subprogram => !e.has_attr(DW_AT_defaulted) && self.name(c)?.starts_with('~'),
                DW_TAG_member | DW_TAG_inheritance => {
                    self.by_reference_at(e.attr_value(DW_AT_type).and_then(|v| self.target(c.0, v)), depth)?
                }
                _ => false,
            };
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The number of a type; 0 is `void`.
    fn id(&mut self, at: Option<At>) -> u32 {
        let Some(at) = at else { return 0 };
        if let Some(id) = self.known.get(&at) {
            return *id;
        }
        if self.nodes.len() >= MAX_TYPES {
            return 0;
        }
        let id = self.add(Node::Open);
        self.known.insert(at, id);
        self.left.push((id, at));
        id
    }

    fn add(&mut self, n: Node) -> u32 {
        self.nodes.push(n);
        self.nodes.len() as u32
    }

    fn node(&mut self, at: At) -> Result<Node> {
        let e = self.entry(at)?;
        let name = match e.attr_value(DW_AT_name) {
            Some(v) => self.dwarf.attr_string(&self.units[at.0], v)?.to_string_lossy().into_owned(),
            None => String::new(),
        };
        let bytes = number(&e, DW_AT_byte_size).unwrap_or(0) as u32;
        let declared = matches!(e.attr_value(DW_AT_declaration), Some(AttributeValue::Flag(true)));
        let of = e.attr_value(DW_AT_type).and_then(|v| self.target(at.0, v));
        let wrap = |kind, name: &str, of| Node::Wrap { kind, name: name.to_owned(), of };
        Ok(match e.tag() {
            DW_TAG_base_type => match e.attr_value(DW_AT_encoding) {
                Some(AttributeValue::Encoding(DW_ATE_boolean)) if bytes == 1 => Node::Bool,
                Some(AttributeValue::Encoding(DW_ATE_float | DW_ATE_complex_float)) => Node::Float { name, bytes },
                encoding => {
                    let signed = matches!(encoding, Some(AttributeValue::Encoding(DW_ATE_signed | DW_ATE_signed_char)));
                    Node::Int { name, bytes, signed }
                }
            },
            DW_TAG_pointer_type | DW_TAG_reference_type | DW_TAG_rvalue_reference_type => {
                let of = self.id(of);
                wrap(Kind::Ptr, "", of)
            }
            DW_TAG_unspecified_type | DW_TAG_ptr_to_member_type => wrap(Kind::Ptr, "", 0),
            DW_TAG_typedef => {
                let of = self.id(of);
                wrap(Kind::Typedef, &name, of)
            }
            DW_TAG_volatile_type => {
                let of = self.id(of);
                wrap(Kind::Volatile, "", of)
            }
            DW_TAG_const_type | DW_TAG_restrict_type | DW_TAG_atomic_type => {
                let of = self.id(of);
                wrap(Kind::Const, "", of)
            }
            DW_TAG_array_type => self.array(at, of)?,
            DW_TAG_structure_type | DW_TAG_class_type | DW_TAG_union_type => {
                let union = e.tag() == DW_TAG_union_type;
                match declared {
                    true => Node::Fwd { union, name },
                    false => Node::Record { union, name, bytes, members: self.members(at)? },
                }
            }
            DW_TAG_enumeration_type if matches!(bytes, 4 | 8) && !declared => {
                let values = self.enumerators(at)?;
                let signed = values.iter().any(|(_, v)| *v < 0);
                Node::Enum { name, signed, wide: bytes == 8, values }
            }
            // a number without names
            DW_TAG_enumeration_type => Node::Int { name, bytes: bytes.max(1), signed: false },
            DW_TAG_subroutine_type => Node::Prototype { ret: 0, params: Vec::new() },
            _ => wrap(Kind::Typedef, "unknown", 0),
        })
    }

    /// With several dimensions: an array of arrays.
    fn array(&mut self, at: At, of: Option<At>) -> Result<Node> {
        let mut counts = Vec::new();
        for c in self.children(at)? {
            let e = self.entry(c)?;
            if e.tag() == DW_TAG_subrange_type {
                let n = number(&e, DW_AT_count).or_else(|| number(&e, DW_AT_upper_bound).map(|n| n.wrapping_add(1)));
                counts.push(u32::try_from(n.unwrap_or(0)).unwrap_or(0));
            }
        }
        let mut of = self.id(of);
        for n in counts.iter().skip(1).rev() {
            of = self.add(Node::Array { of, n: *n });
        }
        Ok(Node::Array { of, n: counts.first().copied().unwrap_or(0) })
    }

    /// What a class inherits is a member without a name.
    fn members(&mut self, at: At) -> Result<Vec<(String, u32, u32, u32)>> {
        let mut members = Vec::new();
        for c in self.children(at)? {
            let e = self.entry(c)?;
            let inherited = e.tag() == DW_TAG_inheritance;
            // of the class, not of its objects
            let shared = [DW_AT_external, DW_AT_declaration, DW_AT_const_value].into_iter().any(|a| e.has_attr(a));
            if !(inherited || e.tag() == DW_TAG_member) || shared {
                continue;
            }
            let place = match e.attr_value(DW_AT_data_member_location) {
                None => 0,
                Some(v) => match v.udata_value() {
                    Some(n) => n,
                    // Where a virtual base is, each object says itself.
                    None => continue,
                },
            };
            let width = number(&e, DW_AT_bit_size).unwrap_or(0);
            let bit = match (number(&e, DW_AT_data_bit_offset), number(&e, DW_AT_bit_offset), number(&e, DW_AT_byte_size)) {
                (Some(bit), ..) => bit,
                // from the high end of a unit of so many bytes
                (None, Some(high), Some(unit)) => place.saturating_add(unit).saturating_mul(8).saturating_sub(high.saturating_add(width)),
                _ => place.saturating_mul(8),
            };
            let ty = e.attr_value(DW_AT_type).and_then(|v| self.target(c.0, v));
            let (name, id) = (if inherited { String::new() } else { self.name(c)? }, self.id(ty));
            if let (Ok(bit), Ok(width)) = (u32::try_from(bit), u32::try_from(width)) {
                members.push((name, id, bit, width));
            }
        }
        members.truncate(usize::from(u16::MAX));
        Ok(members)
    }

    fn enumerators(&self, at: At) -> Result<Vec<(String, i64)>> {
        let mut values = Vec::new();
        for c in self.children(at)? {
            let e = self.entry(c)?;
            // Small forms are for small numbers without a sign; negative ones have their own.
            let value = match e.attr_value(DW_AT_const_value) {
                Some(AttributeValue::Sdata(v)) => v,
                Some(v) => v.udata_value().map_or(0, |v| v as i64),
                None => continue,
            };
            values.push((self.name(c)?, value));
        }
        values.truncate(usize::from(u16::MAX));
        Ok(values)
    }
}

/// The register that an expression consists of.
fn whole(x: Expression<Bytes>, encoding: Encoding) -> Result<Option<u16>> {
    let mut operations = x.operations(encoding);
    Ok(match (operations.next()?, operations.next()?) {
        (Some(Operation::Register { register }), None) => Some(register.0),
        _ => None,
    })
}

fn convention(e: &Entry) -> Option<DwCc> {
    match e.attr_value(DW_AT_calling_convention) {
        Some(AttributeValue::CallingConvention(c)) => Some(c),
        _ => None,
    }
}

fn number(e: &Entry, attribute: DwAt) -> Option<u64> {
    e.attr_value(attribute)?.udata_value()
}
