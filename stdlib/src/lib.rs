//! awl's library: what scripts may use without defining it. Data only.

/// Constants of the C headers that scripts include, `NAME value` a line, sorted by name; values are those of x86-64.
const CONSTANTS: &str = include_str!("../constants.txt");

/// The value of a constant by its name in the headers.
pub fn constant(name: &str) -> Option<i64> {
    let line = CONSTANTS.lines().find(|l| l.split_once(' ').is_some_and(|(n, _)| n == name))?;
    line.split_once(' ')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{CONSTANTS, constant};

    #[test]
    fn constants() {
        assert_eq!(constant("AF_INET"), Some(2));
        assert_eq!(constant("ENOENT"), Some(2));
        assert_eq!(constant("O_CREAT"), Some(64));
        assert_eq!(constant("NO_SUCH"), None);
        assert!(CONSTANTS.lines().is_sorted() && CONSTANTS.lines().all(|l| l.split(' ').count() == 2));
    }
}
