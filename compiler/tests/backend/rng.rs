//! Random numbers that are the same in every run.

/// splitmix64
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Numbers at which things go wrong.
    pub fn number(&mut self) -> i64 {
        match self.below(8) {
            0 => 0,
            1 => self.pick(&[1, -1, 2, -2]),
            2 => self.below(256) as i64 - 128,
            3 => 1i64 << self.below(64),
            4 => (1i64 << self.below(63)) - 1,
            5 => self.pick(&[
                i64::from(i32::MAX),
                i64::from(i32::MIN),
                i64::from(u32::MAX),
                i64::MIN,
                i64::MAX,
                0x8000_0000,
                0x1_0000_0000,
                0x7fff,
                -0x8000,
                0xffff,
            ]),
            6 => i64::from(self.next() as i32),
            _ => self.next() as i64,
        }
    }
}
