//! What benchmarks took, as bpftrace prints it.

/// Empty where there was none.
pub fn table(benchmarks: &[(String, u64)]) -> String {
    const HEAD: [&str; 2] = ["BENCHMARK", "AVERAGE TIME"];
    if benchmarks.is_empty() {
        return String::new();
    }
    let wide = benchmarks.iter().map(|(name, _)| name.len()).fold(HEAD[0].len(), usize::max);
    let line = format!("+{}+{}+\n", "-".repeat(wide + 2), "-".repeat(HEAD[1].len() + 2));
    let row = |name: &str, time: &str| format!("| {name:wide$} | {time:12} |\n");
    let rows: String = benchmarks.iter().map(|(name, ns)| row(name, &duration(*ns))).collect();
    format!("{line}{}{line}{rows}{line}\n", row(HEAD[0], HEAD[1]))
}

/// In the largest unit that it has at least one of.
fn duration(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => format!("{}us", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{}ms", ns / 1_000_000),
        _ => format!("{}s", ns / 1_000_000_000),
    }
}
