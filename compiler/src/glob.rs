//! Patterns with `*`, as in attach points.

/// A pattern in which `*` stands for any number of characters.
pub struct Glob<'a> {
    pattern: &'a str,
}

impl<'a> Glob<'a> {
    pub fn new(pattern: &'a str) -> Glob<'a> {
        Glob { pattern }
    }

    /// In time linear in the text for each `*`.
    pub fn matches(&self, text: &str) -> bool {
        let (p, t) = (self.pattern.as_bytes(), text.as_bytes());
        let (mut i, mut j, mut star) = (0, 0, None);
        while j < t.len() {
            if p.get(i) == Some(&b'*') {
                star = Some((i, j));
                i += 1;
            } else if p.get(i) == Some(&t[j]) {
                i += 1;
                j += 1;
            } else if let Some((si, sj)) = star {
                i = si + 1;
                j = sj + 1;
                star = Some((si, sj + 1));
            } else {
                return false;
            }
        }
        p[i..].iter().all(|c| *c == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn stars() {
        for (p, t, yes) in [
            ("a*c", "abbc", true),
            ("*", "", true),
            ("sys_*_read", "sys_enter_read", true),
            ("a", "ab", false),
            ("*b*", "abc", true),
            ("a*b", "a", false),
        ] {
            assert_eq!(Glob::new(p).matches(t), yes, "{p} {t}");
        }
    }
}
