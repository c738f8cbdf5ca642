//! `--probe-filter`: of all attach points, those whose names match a regular expression.

use super::Expanded;
use crate::artifact::AttachTo;
use crate::hir::Context;
use regex_lite::Regex;

#[derive(Clone, Debug)]
pub struct Filter(Regex);

impl Filter {
    /// # Errors
    /// What is wrong with the expression.
    pub fn new(text: &str) -> Result<Filter, String> {
        Regex::new(text).map(Filter).map_err(|e| e.to_string())
    }

    /// Does the expression match somewhere in the name?
    pub fn keeps(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

impl Expanded {
    /// Leaves out the points of other names. What attaches several of them goes on attaching those that stay.
    pub(crate) fn retain(&mut self, keeps: impl Fn(&str) -> bool) {
        let mut next = 0;
        // by old number, the new one
        let kept: Vec<Option<usize>> = self
            .points
            .iter()
            .map(|(name, _)| {
                keeps(name).then(|| {
                    next += 1;
                    next - 1
                })
            })
            .collect();
        let new = |point: &mut usize| match kept.get(*point).copied().flatten() {
            Some(n) => {
                *point = n;
                true
            }
            None => false,
        };
        if let Context::Syscall { numbers, .. } = &mut self.context {
            numbers.retain_mut(|(_, p)| new(p));
        }
        let mut shared = None;
        let mut points = Vec::with_capacity(next);
        for (i, (name, mut to)) in std::mem::take(&mut self.points).into_iter().enumerate() {
            match &mut to {
                Some(AttachTo::Uprobe { sites, .. }) => sites.retain_mut(|s| new(&mut s.point)),
                Some(AttachTo::Kprobe { sites, .. }) => sites.retain_mut(|s| new(&mut s.point)),
                _ => {}
            }
            if kept[i].is_some() {
                points.push((name, to));
            } else {
                shared = shared.or(to);
            }
        }
        if let Some((_, to @ None)) = points.first_mut() {
            *to = shared;
        }
        self.points = points;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::{KprobeSite, ProgramKind};

    #[test]
    fn one_attachment_for_several() {
        let sites = ["a", "b", "c"]
            .iter()
            .enumerate()
            .map(|(point, s)| KprobeSite { point, symbol: (*s).into(), offset: 0, span: Default::default() })
            .collect();
        let mut e = Expanded {
            kind: ProgramKind::KprobeMulti,
            context: Context::Registers { ret: false, user: false, cookie: true, typed: None },
            points: vec![
                ("kprobe:a".into(), Some(AttachTo::Kprobe { sites, ret: false })),
                ("kprobe:b".into(), None),
                ("kprobe:c".into(), None),
            ],
        };
        let filter = Filter::new(":[bc]$").unwrap();
        e.retain(|n| filter.keeps(n));
        let [(first, Some(AttachTo::Kprobe { sites, .. })), (second, None)] = e.points.as_slice() else { panic!("{:?}", e.points) };
        assert_eq!((first.as_str(), second.as_str()), ("kprobe:b", "kprobe:c"));
        assert_eq!(sites.iter().map(|s| (s.point, s.symbol.as_str())).collect::<Vec<_>>(), [(0, "b"), (1, "c")]);
        e.retain(|_| false);
        assert!(e.points.is_empty());
    }

    #[test]
    fn expressions() {
        assert!(Filter::new("^kprobe:vfs_(read|write)$").unwrap().keeps("kprobe:vfs_read"));
        assert!(Filter::new("(").is_err());
    }
}
