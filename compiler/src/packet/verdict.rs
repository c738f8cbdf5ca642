//! Verdicts: what a program says shall become of what it saw.

use crate::artifact::ProgramKind;
use crate::types::{EnumDef, Ty};
use std::sync::Arc;

/// One thing that a program may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub name: &'static str,
    pub value: i32,
    /// what it does, as a verb for reports; empty where it lets things go on
    pub word: &'static str,
}

/// The verdicts of some kinds of program.
#[derive(Debug)]
pub struct Family {
    /// the probes that have them, as people say
    pub probes: &'static str,
    /// said by falling off the end
    pub default: i32,
    pub verdicts: &'static [Verdict],
}

const fn verdict(name: &'static str, value: i32, word: &'static str) -> Verdict {
    Verdict { name, value, word }
}

/// `enum xdp_action`
const XDP: Family = Family {
    probes: "xdp",
    default: 2,
    verdicts: &[
        verdict("PASS", 2, ""),
        verdict("DROP", 1, "drop"),
        verdict("TX", 3, "send back"),
        verdict("ABORTED", 0, "abort"),
        verdict("REDIRECT", 4, "redirect"),
    ],
};

const FAMILIES: &[&Family] = &[&XDP];

/// Counters of watched verdicts: of value `v` it is number `v + 1`, the last one stands for all that are out of range.
pub const COUNTERS: u32 = 10;

pub fn family(kind: ProgramKind) -> Option<&'static Family> {
    match kind {
        ProgramKind::Xdp => Some(&XDP),
        _ => None,
    }
}

impl Family {
    pub fn find(&self, name: &str) -> Option<&'static Verdict> {
        self.verdicts.iter().find(|v| v.name == name)
    }

    pub fn names(&self) -> String {
        self.verdicts.iter().map(|v| format!("`{}`", v.name)).collect::<Vec<_>>().join(", ")
    }

    /// The type of its verdicts.
    pub fn ty(&self) -> Ty {
        let variants = self.verdicts.iter().map(|v| (v.name.to_string(), i64::from(v.value))).collect();
        Ty::Enum(Arc::new(EnumDef { name: "verdict".into(), bytes: 4, signed: true, variants }))
    }

    /// What each counter stands for.
    pub fn words(&self) -> Vec<&'static str> {
        let word = |i: i32| self.verdicts.iter().find(|v| v.value + 1 == i).map_or("", |v| v.word);
        (0..COUNTERS as i32).map(word).collect()
    }
}

/// Families that have a verdict of this name.
pub fn having(name: &str) -> Vec<&'static str> {
    FAMILIES.iter().filter(|f| f.find(name).is_some()).map(|f| f.probes).collect()
}
