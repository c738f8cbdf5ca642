//! Verdicts: what a program says shall become of what it saw.

use crate::artifact::{CgroupHook, ProgramKind};
use crate::hir::{Expr, ExprKind, Stmt, StmtKind};
use crate::lower::walk;
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
    /// any negative error number is a verdict too
    pub errors: bool,
    pub verdicts: &'static [Verdict],
}

const fn verdict(name: &'static str, value: i32, word: &'static str) -> Verdict {
    Verdict { name, value, word }
}

/// `enum xdp_action`
const XDP: Family = Family {
    probes: "xdp",
    default: 2,
    errors: false,
    verdicts: &[
        verdict("PASS", 2, ""),
        verdict("DROP", 1, "drop"),
        verdict("TX", 3, "send back"),
        verdict("ABORTED", 0, "abort"),
        verdict("REDIRECT", 4, "redirect"),
    ],
};

/// `TC_ACT_*`, `TCX_*`: -1 asks the next program
const TC: Family = Family {
    probes: "tc",
    default: -1,
    errors: false,
    verdicts: &[verdict("PASS", 0, ""), verdict("DROP", 2, "drop"), verdict("REDIRECT", 7, "redirect"), verdict("NEXT", -1, "")],
};

const CGROUP: Family =
    Family { probes: "cgroup", default: 1, errors: false, verdicts: &[verdict("ALLOW", 1, ""), verdict("DENY", 0, "deny")] };

const EVENTS: Family = Family { probes: "sockops", default: 1, errors: false, verdicts: &[verdict("ALLOW", 1, "")] };

const POLICY: Family =
    Family { probes: "lsm", default: 0, errors: true, verdicts: &[verdict("ALLOW", 0, ""), verdict("DENY", -1, "deny")] };

const FAMILIES: &[&Family] = &[&XDP, &TC, &CGROUP, &POLICY];

/// Counters of watched verdicts: of value `v` it is number `v + 1`, the last one stands for all that are out of range.
pub const COUNTERS: u32 = 10;
/// What the counter behind those counts: a write that was left out.
pub const CHANGE: &str = "change";

pub fn family(kind: ProgramKind) -> Option<&'static Family> {
    match kind {
        ProgramKind::Xdp => Some(&XDP),
        ProgramKind::Tc => Some(&TC),
        ProgramKind::Cgroup(CgroupHook::SockOps) => Some(&EVENTS),
        ProgramKind::Cgroup(_) => Some(&CGROUP),
        ProgramKind::Lsm { .. } | ProgramKind::ModifyReturn { .. } => Some(&POLICY),
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

    /// What a body may come to but for letting things go on, as verbs.
    pub fn may(&self, body: &[Stmt]) -> Vec<&'static str> {
        let mut seen = Vec::new();
        let (mut changes, mut returns) = (false, false);
        for s in body {
            let stmt = &mut |s: &Stmt| match &s.kind {
                StmtKind::Return(Some(e)) => {
                    self.add(e, &mut seen);
                    returns = true;
                }
                StmtKind::SetField { .. } => changes = true,
                _ => {}
            };
            walk::in_stmt(s, stmt, &mut |_| {});
        }
        let all = self.verdicts.iter().map(|v| v.word).filter(|w| !w.is_empty());
        match seen.is_empty() {
            // Where it says no verdict there is a helper that changes the packet.
            true if changes || !returns => vec![CHANGE],
            true => all.take(1).collect(),
            false => all.filter(|w| seen.contains(w)).collect(),
        }
    }

    /// The verbs of a verdict; of one that is computed all.
    fn add(&self, e: &Expr, to: &mut Vec<&'static str>) {
        match &e.kind {
            ExprKind::Int(n) if self.errors && *n < 0 => to.push("deny"),
            ExprKind::Int(n) => to.extend(i32::try_from(*n).ok().map(|n| self.word(n)).filter(|w| !w.is_empty())),
            ExprKind::Cast(inner) => self.add(inner, to),
            ExprKind::Ternary { then, other, .. } | ExprKind::If { then, other, .. } => {
                self.add(then, to);
                self.add(other, to);
            }
            // Of all functions one gives a verdict.
            ExprKind::Call { .. } if matches!(e.ty, Ty::Enum(_)) => to.extend(self.find("REDIRECT").map(|v| v.word)),
            _ => to.extend(self.verdicts.iter().map(|v| v.word)),
        }
    }

    /// What each counter stands for.
    pub fn words(&self) -> Vec<&'static str> {
        let word = |i: i32| match i + 1 {
            last if self.errors && last == COUNTERS as i32 => "deny",
            _ => self.word(i - 1),
        };
        (0..COUNTERS as i32).map(word).chain([CHANGE]).collect()
    }

    fn word(&self, value: i32) -> &'static str {
        self.verdicts.iter().find(|v| v.value == value).map_or("", |v| v.word)
    }
}

/// The kernel's own names for verdicts, as C programs return them, behind what they begin with.
const OF_C: &[(&str, &[(&str, &str)])] = &[
    ("XDP_", &[]),
    ("TC_ACT_", &[("OK", "PASS"), ("SHOT", "DROP"), ("UNSPEC", "NEXT")]),
    ("TCX_", &[]),
    ("SK_", &[("PASS", "ALLOW"), ("DROP", "DENY")]),
];

/// What a constant of C stands for, if it is one.
pub fn of_c(name: &str) -> Option<&'static Verdict> {
    let (rest, names) = OF_C.iter().find_map(|(before, names)| Some((name.strip_prefix(before)?, *names)))?;
    let own = names.iter().find(|(c, _)| *c == rest).map_or(rest, |(_, own)| own);
    FAMILIES.iter().find_map(|f| f.find(own))
}

/// Families that have a verdict of this name.
pub fn having(name: &str) -> Vec<&'static str> {
    FAMILIES.iter().filter(|f| f.find(name).is_some()).map(|f| f.probes).collect()
}
