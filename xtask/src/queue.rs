//! Work that a few threads share.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many at most that failed have a second try, alone: where more fail, it isn't chance.
pub const SECOND: usize = 4;

/// Does so many of them at once, the next as soon as one is done. What comes of them, in their order; panics where one of them does.
pub fn each<T: Sync, R: Send>(items: &[T], at_once: usize, run: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let worker = || {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(n) else { return };
                let result = run(item);
                done.lock().unwrap_or_else(|e| e.into_inner()).push((n, result));
            }
        };
        (0..at_once).for_each(|_| drop(scope.spawn(worker)));
    });
    let mut done = done.into_inner().unwrap_or_else(|e| e.into_inner());
    done.sort_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn in_order() {
        let numbers: Vec<usize> = (0..100).collect();
        let slow_at_first = |n: &usize| {
            std::thread::sleep(std::time::Duration::from_millis(if *n == 0 { 20 } else { 0 }));
            2 * n
        };
        assert_eq!(super::each(&numbers, 3, slow_at_first), (0..200).step_by(2).collect::<Vec<_>>());
    }
}
